"""Inputs nobody thought of: what is well-formed, broken in many small ways. The same seed gives the same inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

#: bytes of an input at most, and of most of them: beyond that only the size would be new
LONGEST, USUAL = 65_536, 2048
_MOST_CHANGES = 6
_INTERESTING: tuple[bytes, ...] = (
    *(
        b"",
        b"\x00",
        b"\xff",
        b"\xc3\x28",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\r\n",
        b"\n",
        b"\t",
        b" ",
        b"%00",
        b"%2e%2e%2f",
        b"%",
        b"%zz",
        b"+",
    ),
    *(
        b"0",
        b"-1",
        b"1e999",
        b"NaN",
        b"9" * 30,
        b"9" * 5000,
        b"2147483648",
        b"18446744073709551616",
        b"0.1",
        b"true",
        b"null",
        b"{}",
        b"[]",
    ),
    *(
        b'"',
        b"'",
        b"\\",
        b"\\u0000",
        b"\\ud800",
        b"{",
        b"}",
        b"[",
        b"]",
        b"(",
        b")",
        b"&",
        b"=",
        b";",
        b",",
        b":",
        b"/",
        b"//",
        b"..",
        b"*",
        b"?",
    ),
    *(
        b"${",
        b"${aws:username}",
        b"${*}",
        b"arn:aws:",
        b"a" * 300,
        b"[" * 2000,
        b'{"a":' * 2000,
        b"(" * 2000,
        b"*a" * 500,
        b"\xf0\x9f\x98\x80",
    ),
    # what takes a careless pattern long is long
    *(b" " * 20_000, b"a" * 20_000, b"0" * 20_000, b"${" + b" " * 20_000, b"a," * 10_000, b"/" * 20_000),
)


class Mutator:
    """Makes inputs out of `seeds`, and out of what it is told to keep; `words` are what the language in question is made of."""

    def __init__(self, seeds: Sequence[bytes], words: Sequence[bytes], seed: int) -> None:
        self._random = Random(seed)
        self._seeds = list(seeds)
        self._pieces = (*words, *_INTERESTING)
        self._changes: tuple[Callable[[bytearray], None], ...] = (
            self._flip,
            self._insert,
            self._insert,
            self._replace,
            self._delete,
            self._repeat,
            self._move,
            self._splice,
        )

    def next(self) -> bytes:
        random = self._random
        made = bytearray(random.choice(self._seeds))
        for _ in range(random.randint(1, _MOST_CHANGES)):
            random.choice(self._changes)(made)
        del made[LONGEST if random.random() < 0.04 else USUAL :]
        return bytes(made)

    def _span(self, made: bytearray, longest: int = 64) -> tuple[int, int]:
        start = self._random.randint(0, len(made))
        return start, min(len(made), start + self._random.randint(0, longest))

    def _flip(self, made: bytearray) -> None:
        if made:
            made[self._random.randrange(len(made))] ^= 1 << self._random.randrange(8)

    def _insert(self, made: bytearray) -> None:
        start, _ = self._span(made)
        made[start:start] = self._random.choice(self._pieces)

    def _replace(self, made: bytearray) -> None:
        start, stop = self._span(made, 16)
        made[start:stop] = self._random.choice(self._pieces)

    def _delete(self, made: bytearray) -> None:
        start, stop = self._span(made)
        del made[start:stop]

    def _repeat(self, made: bytearray) -> None:
        start, stop = self._span(made)
        made[start:start] = made[start:stop] * self._random.choice((1, 2, 3, 50, 400))

    def _move(self, made: bytearray) -> None:
        start, stop = self._span(made)
        taken = made[start:stop]
        del made[start:stop]
        place = self._random.randint(0, len(made))
        made[place:place] = taken

    def _splice(self, made: bytearray) -> None:
        """Go on as another of the seeds does."""
        other = self._random.choice(self._seeds)
        start, _ = self._span(made)
        made[start:] = other[self._random.randint(0, len(other)) :]
