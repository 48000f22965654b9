"""A set of keys kept in order: what an index holds under one value.

Most are short (the tasks of one service), a few are long (every task there is), so it is a plain list until it has grown.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

from sortedcontainers import SortedList

#: Above this many keys, moving a list's tail for every insertion costs more than a tree of lists does.
LONG = 2048


class Keys:
    """Distinct strings in code-point order, which is also SQLite's order of their UTF-8 bytes."""

    __slots__ = ("_keys",)

    def __init__(self) -> None:
        self._keys: list[str] | SortedList[str] = []

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: str) -> None:
        """Add a key that is not there yet."""
        keys = self._keys
        if isinstance(keys, SortedList):
            keys.add(key)
            return
        if not keys or key > keys[-1]:
            keys.append(key)
        else:
            insort(keys, key)
        if len(keys) > LONG:
            self._keys = SortedList(keys)

    def remove(self, key: str) -> None:
        """Remove a key that is there."""
        keys = self._keys
        if isinstance(keys, SortedList):
            keys.remove(key)
            return
        del keys[bisect_left(keys, key)]

    def page(self, after: str | None, limit: int | None) -> list[str]:
        """A copy of the keys above `after`, at most `limit` of them."""
        keys = self._keys
        if after is None:
            first = 0
        else:
            first = keys.bisect_right(after) if isinstance(keys, SortedList) else bisect_right(keys, after)
        last = len(keys) if limit is None else first + limit
        return list(keys[first:last])
