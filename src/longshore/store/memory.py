"""The store's twin without a disk, for tests: the same view and the same writer, nothing behind them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from longshore.kit.resource import Kind
from longshore.store.local import LocalStore
from longshore.store.log import Row
from longshore.store.view import View


class MemoryLog:
    """Keeps nothing."""

    def __repr__(self) -> str:
        return "in memory"

    async def append(self, rows: list[Row], revision: int, epoch: int) -> None: ...

    async def wipe(self, revision: int, epoch: int) -> None: ...

    async def reseal(self, most: int) -> int:
        return 0

    async def close(self) -> None: ...


def memory_store(kinds: Iterable[Kind[Any]], rows: Mapping[Kind[Any], Iterable[Any]] | None = None) -> LocalStore:
    """A store that forgets everything when the process ends. Call it inside the running loop.

    `rows` are there from the start, as after a restart.
    """
    view = View(kinds)
    for kind, values in (rows or {}).items():
        for value in values:
            view.load(kind, kind.key(value), value, 1)
    view.revision = 1 if rows else 0
    return LocalStore(view, MemoryLog())
