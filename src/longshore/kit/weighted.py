"""What is worth keeping is kept while there is room: a cache that is bounded by what its values weigh, not by how many there are.

What has not been asked for longest goes first. Safe to use from several threads: at worst something is made twice.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Weighted(Generic[K, V]):
    """`weigh` says what a key with its value takes, in bytes; what takes more than a quarter of `most` is not kept at all."""

    def __init__(self, most: int, weigh: Callable[[K, V], int]) -> None:
        self._most = most
        self._weigh = weigh
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._weight = 0

    @property
    def weight(self) -> int:
        return self._weight

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> V | None:
        found = self._kept.get(key)
        if found is None:
            return None
        try:
            self._kept.move_to_end(key)
        except KeyError:  # another thread has just thrown it out
            pass
        return found[0]

    def put(self, key: K, value: V) -> None:
        weight = self._weigh(key, value)
        if weight > self._most // 4:
            return
        before = self._kept.pop(key, None)
        self._kept[key] = value, weight
        self._weight += weight - (before[1] if before is not None else 0)
        while self._weight > self._most and self._kept:
            _, (_, gone) = self._kept.popitem(last=False)
            self._weight -= gone
