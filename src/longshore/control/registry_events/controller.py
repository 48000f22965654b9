"""The streams of registry events do not grow without bound: what is too old, or too much, goes from their beginnings.

One key, looked at several times a minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from longshore.control.loop import Watched
from longshore.control.registry_events.plan import KEPT, surplus
from longshore.kit.clock import Clock
from longshore.services.ecr.model import REGISTRY_EVENTS
from longshore.store.base import Store, Tx

EVERY_S = 15.0
#: events forgotten in one transaction
MOST = 1_000


class RegistryEvents:
    name = "registry-events"
    watches: Sequence[Watched] = ()

    def __init__(self, store: Store, clock: Clock, most: int = KEPT) -> None:
        self._store = store
        self._clock = clock
        self._most = most

    def keys(self) -> Iterable[str]:
        return ("everything",)

    async def reconcile(self, key: str) -> float | None:
        for scope in list(self._scopes()):
            while gone := self._gone(scope):
                await self._store.transact(lambda tx, gone=gone: _forget(tx, gone))  # type: ignore[misc]
        return EVERY_S

    def _scopes(self) -> Iterator[str]:
        """`region:account` of every stream, whether the registry still has repositories or not."""
        after: str | None = None
        while first := self._store.list(REGISTRY_EVENTS, after=after, limit=1):
            scope = f"{first[0].region}:{first[0].account_id}"
            yield scope
            after = f"{scope};"  # `;` sorts right after the `:` that all keys of a stream go on with

    def _gone(self, scope: str) -> list[str]:
        count = self._store.count(REGISTRY_EVENTS, "scope", scope)
        oldest = self._store.list(REGISTRY_EVENTS, "scope", scope, limit=MOST)
        return [event.key for event in oldest[: surplus(count, [event.at for event in oldest], self._clock.now(), self._most)]]


def _forget(tx: Tx, keys: Iterable[str]) -> None:
    for key in keys:
        tx.delete(REGISTRY_EVENTS, key)
