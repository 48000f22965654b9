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


#: the digit that carries a UUID's variant: two fixed bits, two drawn ones
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


class RandomIds:
    def hex(self, length: int) -> str:
        return os.urandom((length + 1) // 2).hex()[:length]

    def digits(self, length: int) -> str:
        floor = 10 ** (length - 1)
        return str(floor + int.from_bytes(os.urandom(16), "big") % (9 * floor))

    def uuid(self) -> str:
        # a version 4 UUID written out by hand: every request needs one, and uuid.UUID takes six times as long
        drawn = os.urandom(16).hex()
        return f"{drawn[:8]}-{drawn[8:12]}-4{drawn[13:16]}-{_VARIANT[drawn[16]]}{drawn[17:20]}-{drawn[20:]}"

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
