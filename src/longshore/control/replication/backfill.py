"""Backfills: what a registry held before it was told to replicate, carried a window at a time.

Preparing lists what there is, a page per step; after that a bounded number of images is on its way at once, and each that arrives
or fails makes room for the next. An image is carried by the same `Replication` that a push would have written.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from longshore.services.ecr.images import tags_of
from longshore.services.ecr.manifests import INDEXES
from longshore.services.ecr.model import IMAGES, REPOSITORIES, Image, Repository, image_key
from longshore.services.ecr.replication.model import (
    BACKFILL_ITEMS,
    BACKFILLS,
    REPLICATION_SETTINGS,
    REPLICATIONS,
    RUNNING,
    Backfill,
    BackfillItem,
    replication_key,
    wishes,
)
from longshore.services.ecr.replication.wanted import want_replica
from longshore.store.base import Tx

#: ended backfills are shown for so long, as by ECR
KEPT_S = 90 * 24 * 3600.0


class Pace(NamedTuple):
    #: images listed in one step
    page: int = 200
    #: images and tags on their way at once
    window: int = 100


USUAL = Pace()


def step(tx: Tx, key: str, now: float, pace: Pace) -> float | None:
    """One step further; returns seconds until the next, None where it waits for images to arrive."""
    held = tx.get(BACKFILLS, key)
    if held is None:
        return None
    if held.status not in RUNNING:
        return _forget(tx, held, now, pace)
    if held.status == "PREPARING":
        return _prepare(tx, held, pace)
    _settle(tx, held)
    on_their_way = tx.count(BACKFILL_ITEMS, "status", f"{held.id}:CARRIED")
    if held.status == "STOPPING":
        pending = tx.list(BACKFILL_ITEMS, "status", f"{held.id}:PENDING", limit=pace.page)
        for item in pending:
            tx.delete(BACKFILL_ITEMS, item.key)
        return 0.0 if pending else _ended(tx, held, "STOPPED", now) if not on_their_way else None
    for item in tx.list(BACKFILL_ITEMS, "status", f"{held.id}:PENDING", limit=max(0, pace.window - on_their_way)):
        want_replica(tx, item.repository, item.digest, (item.tag,) if item.tag else (), held.destination, now)
        tx.put(BACKFILL_ITEMS, msgspec.structs.replace(item, status="CARRIED"))
        on_their_way += 1
    return None if on_their_way else _ended(tx, held, "COMPLETE", now)


def _prepare(tx: Tx, held: Backfill, pace: Pace) -> float:
    """The next page of images, or, past the last, on to carrying them."""
    settings = tx.get(REPLICATION_SETTINGS, held.scope)
    listed = 0
    repository_key, after = (held.prepared_to or "").partition("@")[0], held.prepared_to
    for repository in _repositories(tx, held.scope, repository_key):
        if not any(wish.destination == held.destination for wish in wishes(settings, repository.name)):
            continue
        begun_here = repository.key == repository_key
        images = tx.list(IMAGES, "repository", repository.key, after=after if begun_here else None, limit=pace.page - listed)
        for image in images:
            _list(tx, held, repository, image)
        listed += len(images)
        if listed >= pace.page:
            tx.put(BACKFILLS, msgspec.structs.replace(held, prepared_to=image_key(repository.key, images[-1].digest)))
            return 0.0
    total = tx.count(BACKFILL_ITEMS, "backfill", held.id)
    tx.put(BACKFILLS, msgspec.structs.replace(held, status="IN_PROGRESS", total=total))
    return 0.0


def _repositories(tx: Tx, scope: str, first: str) -> list[Repository]:
    """From `first` on, itself included where it is still there."""
    found = [held for held in (tx.get(REPOSITORIES, first),) if held is not None] if first else []
    return found + tx.list(REPOSITORIES, "scope", scope, after=first or None)


def _list(tx: Tx, held: Backfill, repository: Repository, image: Image) -> None:
    for tag in tags_of(tx, image) or [""]:
        item = BackfillItem(
            backfill_id=held.id,
            repository=repository.key,
            name=repository.name,
            digest=image.digest,
            tag=tag,
            sub_image_failure_codes=() if image.media_type in INDEXES else None,
        )
        tx.put(BACKFILL_ITEMS, item)


def _settle(tx: Tx, held: Backfill) -> None:
    """What has arrived or failed since the last step."""
    for item in tx.list(BACKFILL_ITEMS, "status", f"{held.id}:CARRIED"):
        replication = tx.get(REPLICATIONS, replication_key(item.repository, item.digest, held.destination))
        if replication is None:
            tx.put(BACKFILL_ITEMS, msgspec.structs.replace(item, status="FAILED", failure_code="ImageNotFound"))
        elif replication.status != "IN_PROGRESS":
            settled = msgspec.structs.replace(item, status=replication.status, failure_code=replication.failure_code)
            tx.put(BACKFILL_ITEMS, settled)


def _ended(tx: Tx, held: Backfill, status: str, now: float) -> float:
    tx.put(BACKFILLS, msgspec.structs.replace(held, status=status, ended_at=now))
    return KEPT_S


def _forget(tx: Tx, held: Backfill, now: float, pace: Pace) -> float | None:
    left = (held.ended_at or 0.0) + KEPT_S - now
    if left > 0:
        return left
    items = tx.list(BACKFILL_ITEMS, "backfill", held.id, limit=pace.page)
    for item in items:
        tx.delete(BACKFILL_ITEMS, item.key)
    if items:
        return 0.0
    tx.delete(BACKFILLS, held.id)
    return None
