"""What pushes and deletions leave for the replication controller to do, written in their own transactions."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from longshore.services.ecr.model import Repository
from longshore.services.ecr.replication.model import (
    REPLICATION_SETTINGS,
    REPLICATIONS,
    WITHDRAWALS,
    Destination,
    Replication,
    Wish,
    Withdrawal,
    replication_key,
    wishes,
)
from longshore.store.base import Reader, Tx


def wishes_for(reader: Reader, region: str, account_id: str, name: str) -> list[Wish]:
    return wishes(reader.get(REPLICATION_SETTINGS, f"{region}:{account_id}"), name)


def want_replicas(tx: Tx, repository: Repository, digest: str, tags: Iterable[str], now: float) -> None:
    """An image was pushed, or was given `tags`: every destination is to have it."""
    for wish in wishes_for(tx, repository.region, repository.account_id, repository.name):
        want_replica(tx, repository.key, digest, tags, wish.destination, now)


def want_replica(tx: Tx, repository: str, digest: str, tags: Iterable[str], destination: Destination, now: float) -> Replication:
    held = tx.get(REPLICATIONS, replication_key(repository, digest, destination))
    before = held.tags if held is not None else ()
    wanted = Replication(
        repository=repository,
        digest=digest,
        destination=destination,
        status="IN_PROGRESS",
        tags=tuple(dict.fromkeys((*before, *tags))),
        changed_at=now,
    )
    return tx.put(REPLICATIONS, wanted)


def want_withdrawal(tx: Tx, repository: Repository, digest: str, tag: str, now: float) -> None:
    """An image (`tag` is "") or one of its tags was deleted: so is it where deletions are replicated."""
    for wish in wishes_for(tx, repository.region, repository.account_id, repository.name):
        held = tx.get(REPLICATIONS, replication_key(repository.key, digest, wish.destination))
        if held is not None and tag in held.tags:
            tx.put(REPLICATIONS, msgspec.structs.replace(held, tags=tuple(each for each in held.tags if each != tag)))
        if not wish.delete_replication:
            continue
        withdrawal = Withdrawal(
            region=repository.region,
            account_id=repository.account_id,
            name=repository.name,
            digest=digest,
            tag=tag,
            destination=wish.destination,
            asked_at=now,
        )
        tx.put(WITHDRAWALS, withdrawal)
