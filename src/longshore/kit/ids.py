"""Identifiers in the forms AWS gives them. Random by default; a seeded `Ids` makes transcripts repeatable."""

from __future__ import annotations

import os
import random
import uuid
from typing import Protocol


class Ids(Protocol):
    def hex(self, length: int) -> str:
        """`length` lower-case hexadecimal digits."""

    def digits(self, length: int) -> str:
        """`length` decimal digits, the first of them not zero (deployment ids are ecs-svc/<19 digits>)."""

    def uuid(self) -> str: ...

    def fraction(self) -> float:
        """A number in [0, 1), for choices that are to be random."""


class RandomIds:
    def hex(self, length: int) -> str:
        return os.urandom((length + 1) // 2).hex()[:length]

    def digits(self, length: int) -> str:
        floor = 10 ** (length - 1)
        return str(floor + int.from_bytes(os.urandom(16), "big") % (9 * floor))

    def uuid(self) -> str:
        return str(uuid.UUID(bytes=os.urandom(16), version=4))

    def fraction(self) -> float:
        return int.from_bytes(os.urandom(7), "big") / (1 << 56)


class SeededIds:
    """The same sequence for the same seed: for tests and recorded transcripts."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def hex(self, length: int) -> str:
        return f"{self._random.getrandbits(4 * length):0{length}x}"

    def digits(self, length: int) -> str:
        floor = 10 ** (length - 1)
        return str(self._random.randrange(floor, 10 * floor))

    def uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def fraction(self) -> float:
        return self._random.random()
