"""One request at a time for one upload: what it has received is looked at and added to in one go."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary


class Turns:
    """`async with turns.of(upload_id)`. Nothing is kept of an upload that nobody is at."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, upload_id: str) -> asyncio.Lock:
        lock = self._locks.get(upload_id)
        if lock is None:
            lock = self._locks[upload_id] = asyncio.Lock()
        return lock
