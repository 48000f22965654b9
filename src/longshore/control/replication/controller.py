"""Carries images to where the replication configuration wants them, and tells how far it came.

Three kinds of keys: an image on its way to a destination, a deletion on its way, a backfill. What is to be done stands in the store,
written by the push, the deletion or StartReplicationBackfill itself, so nothing is lost when the server ends in the middle; carrying
the same image twice changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import partial

import msgspec

from longshore.aws.errors import AwsError
from longshore.control.loop import Watched
from longshore.control.replication import away, backfill, local
from longshore.control.replication.gather import snapshot_of
from longshore.control.replication.plan import SHOWN_AFTER, Plan, Snapshot, plan, wait_s
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.kit.sealing import Keys
from longshore.services.ecr.images import Unfound
from longshore.services.ecr.model import IMAGE_TAGS, IMAGES, REPOSITORIES, Repository, image_key, tag_key
from longshore.services.ecr.names import RepositoryId
from longshore.services.ecr.remote.connection import Remotes
from longshore.services.ecr.remote.errors import RemoteBusy, RemoteError, RemoteNotFound, RemoteRefused, RemoteUnavailable
from longshore.services.ecr.replication.destinations import remote_of
from longshore.services.ecr.replication.model import BACKFILLS, REPLICATIONS, WITHDRAWALS, Replication, Withdrawal
from longshore.services.ecr.replication.remotes import client_of
from longshore.store.base import Change, Conflict, Reader, Store, Tx
from longshore.store.blobs import BlobBroken, BlobStore, BlobStoreFull, DigestMismatch, NoSuchBlob

log = logging.getLogger("longshore.control.replication")

_IMAGE, _WITHDRAWAL, _BACKFILL = "image ", "withdrawal ", "backfill "
#: what may pass by itself
_PASSING = (RemoteUnavailable, RemoteBusy)
#: a deletion that a destination refuses so often in a row is given up
_MOST_DELETION_TRIES = 12


class Replicator:
    name = "replication"

    def __init__(
        self,
        store: Store,
        blobs: BlobStore,
        clock: Clock,
        ids: Ids,
        remotes: Remotes,
        secret: Keys,
        *,
        pace: backfill.Pace = backfill.USUAL,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._ids = ids
        self._remotes = remotes
        self._secret = secret
        self._pace = pace
        self.watches: Sequence[Watched] = (
            Watched(REPLICATIONS, self._touched),
            Watched(WITHDRAWALS, lambda change: (_WITHDRAWAL + change.key,) if change.new is not None else ()),
            Watched(BACKFILLS, lambda change: (_BACKFILL + change.key,) if change.new is not None else ()),
        )

    def keys(self) -> Iterable[str]:
        yield from (_IMAGE + each.key for each in self._store.list(REPLICATIONS, "open", "open"))
        yield from (_WITHDRAWAL + each.key for each in self._store.list(WITHDRAWALS))
        yield from (_BACKFILL + each.id for each in self._store.list(BACKFILLS))

    def _touched(self, change: Change[Replication]) -> Iterable[str]:
        """The image itself, while there is something to do, and backfills that may have waited for it."""
        if change.new is not None and change.new.status == "IN_PROGRESS":
            return (_IMAGE + change.key,)
        region, account_id, _ = change.value.repository.split(":", 2)
        return [_BACKFILL + each.id for each in self._store.list(BACKFILLS, "running", f"{region}:{account_id}")]

    async def reconcile(self, key: str) -> float | None:
        now = self._clock.now()
        if key.startswith(_IMAGE):
            return await self._carry(key.removeprefix(_IMAGE), now)
        if key.startswith(_WITHDRAWAL):
            return await self._withdraw(key.removeprefix(_WITHDRAWAL), now)
        return await self._store.transact(partial(backfill.step, key=key.removeprefix(_BACKFILL), now=now, pace=self._pace))

    # -- images ----------------------------------------------------------------------------------------------------------------

    async def _carry(self, key: str, now: float) -> float | None:
        replication = self._store.get(REPLICATIONS, key)
        source = self._store.get(REPOSITORIES, replication.repository) if replication is not None else None
        if replication is None or source is None:
            return None
        revision = self._store.revision_of(REPLICATIONS, key)
        snapshot = snapshot_of(self._store, replication, now)
        todo = plan(snapshot)
        if todo.wait_s is not None:
            return todo.wait_s
        if todo.refused:
            return await self._failed(replication, revision, todo.refused, passing=False)
        if todo.lacking:
            return await self._failed(replication, revision, todo.lacking, passing=snapshot.configured)
        if not todo.carry:
            return None  # the image is gone, and this row goes with it
        try:
            await self._deliver(source, snapshot, todo, revision, now)
        except local.SourceChanged:
            raise Conflict(key) from None
        except RemoteError as error:
            log.warning("%s: not carried to %s: %s", key, replication.destination.region, error)
            return await self._failed(
                replication, revision, away.CODES[type(error)], passing=snapshot.configured and isinstance(error, _PASSING)
            )
        except AwsError as error:
            log.warning("%s: not carried: %s", key, error)
            return await self._failed(replication, revision, error.code.removesuffix("Exception"), passing=False)
        except (BlobStoreFull, NoSuchBlob, BlobBroken, DigestMismatch) as error:
            log.error("%s: not carried: %s", key, error)
            return await self._failed(replication, revision, "BytesUnavailable", passing=snapshot.configured)
        log.info("%s: carried %d manifest(s), tags %s", key, len(todo.carry), ", ".join(todo.tags) or "none")
        return None

    async def _deliver(self, source: Repository, snapshot: Snapshot, todo: Plan, revision: int, now: float) -> None:
        replication = snapshot.replication
        images = [snapshot.images[digest] for digest in todo.carry]
        remote = remote_of(self._store, source, replication.destination)
        if remote is not None:
            client = client_of(self._remotes, remote, self._secret)
            await away.push(client, self._blobs, source, images, replication.digest, todo.tags)
            await self._store.transact(lambda tx: _completed(tx, replication, revision, self._clock.now()))
            return
        there = await self._store.transact(lambda tx: local.open_destination(tx, source, replication, now))
        await local.copy_bytes(self._blobs, source, there, images)

        def arrive(tx: Tx) -> None:
            local.deliver(tx, source, there, replication, todo.carry, todo.tags, self._clock.now())
            _completed(tx, replication, revision, self._clock.now())

        await self._store.transact(arrive)

    async def _failed(self, replication: Replication, revision: int, code: str, *, passing: bool) -> float | None:
        """Seconds until the next try, where there is one: not for a destination that the configuration names no longer."""
        attempts = replication.attempts + 1
        again_s = wait_s(attempts, self._ids.fraction()) if passing else None
        now = self._clock.now()
        failed = msgspec.structs.replace(
            replication,
            status="IN_PROGRESS" if passing and attempts < SHOWN_AFTER else "FAILED",
            failure_code=code,
            attempts=attempts,
            changed_at=now,
            retry_at=now + again_s if again_s is not None else None,
        )
        await self._store.transact(lambda tx: tx.put(REPLICATIONS, failed, expect=revision))
        return again_s

    # -- deletions -------------------------------------------------------------------------------------------------------------

    async def _withdraw(self, key: str, now: float) -> float | None:
        withdrawal = self._store.get(WITHDRAWALS, key)
        if withdrawal is None:
            return None
        if withdrawal.retry_at > now:
            return withdrawal.retry_at - now
        try:
            await self._delete(withdrawal, now)
        except (RemoteError, Unfound) as error:
            final = isinstance(error, RemoteRefused) or withdrawal.attempts + 1 >= _MOST_DELETION_TRIES
            log.warning("%s: not deleted there%s: %s", key, ", given up" if final else "", error)
            if not final:
                return await self._delete_later(withdrawal)
        await self._store.transact(lambda tx: tx.delete(WITHDRAWALS, key))
        return None

    async def _delete(self, withdrawal: Withdrawal, now: float) -> None:
        """Raises RemoteError, and Unfound while a manifest list at the destination names the image."""
        if _is_back(self._store, withdrawal):
            return
        remote = remote_of(self._store, withdrawal, withdrawal.destination)
        if remote is None:
            await self._store.transact(lambda tx: None if _is_back(tx, withdrawal) else local.withdraw(tx, withdrawal, now))
            return
        try:
            await away.withdraw(client_of(self._remotes, remote, self._secret), withdrawal)
        except RemoteNotFound:
            log.info("%s: there is none", withdrawal.key)

    async def _delete_later(self, withdrawal: Withdrawal) -> float:
        again_s = wait_s(withdrawal.attempts + 1, self._ids.fraction())
        later = msgspec.structs.replace(withdrawal, attempts=withdrawal.attempts + 1, retry_at=self._clock.now() + again_s)
        await self._store.transact(lambda tx: tx.put(WITHDRAWALS, later))
        return again_s


def _completed(tx: Tx, replication: Replication, revision: int, now: float) -> None:
    """Raises Conflict when the image was given further tags meanwhile: they are carried next."""
    done = msgspec.structs.replace(replication, status="COMPLETE", failure_code="", attempts=0, retry_at=None, changed_at=now)
    tx.put(REPLICATIONS, done, expect=revision)


def _is_back(reader: Reader, withdrawal: Withdrawal) -> bool:
    """What was deleted has been pushed again since."""
    source = RepositoryId(withdrawal.region, withdrawal.account_id, withdrawal.name).key
    if not withdrawal.tag:
        return reader.get(IMAGES, image_key(source, withdrawal.digest)) is not None
    tag = reader.get(IMAGE_TAGS, tag_key(source, withdrawal.tag))
    return tag is not None and tag.digest == withdrawal.digest
