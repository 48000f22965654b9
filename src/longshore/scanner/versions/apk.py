"""Alpine versions: numbers, at most one letter, _suffixes and -rN, as apk-tools compares them.

    1.2.3b_rc2_p1-r4    suffixes before the release: alpha < beta < pre < rc; after it: cvs < svn < git < hg < p

The first number counts as a number; later ones that begin with 0 are compared like decimal fractions (1.01 is less than 1.1).
Grammar: https://wiki.alpinelinux.org/wiki/Package_policies and apk-tools' description of its version format.
"""

from __future__ import annotations

import re
from functools import lru_cache

_VERSION = re.compile(
    r"(?P<numbers>[0-9]+(?:\.[0-9]+)*)(?P<letter>[a-z]?)(?P<suffixes>(?:_[a-z]+[0-9]*)*)(?:~[0-9a-f]+)?(?:-r(?P<revision>[0-9]+))?"
)
_SUFFIX = re.compile(r"_([a-z]+)([0-9]*)")
#: relative to no suffix at all, which is 0
_SUFFIXES = {"alpha": -4, "beta": -3, "pre": -2, "rc": -1, "cvs": 1, "svn": 2, "git": 3, "hg": 4, "p": 5}

Key = tuple[int, tuple[tuple[int, int, str], ...], str, tuple[tuple[int, int, str], ...], tuple[int, str], str]


def compare(one: str, other: str) -> int:
    mine, theirs = key(one), key(other)
    return (mine > theirs) - (mine < theirs)


@lru_cache(maxsize=4096)
def key(version: str) -> Key:
    """Sorts as apk does; what is no version sorts before all that are, by its text."""
    found = _VERSION.fullmatch(version.strip())
    if found is None:
        return (0, (), "", (), (0, ""), version.strip())
    numbers = found["numbers"].split(".")
    suffixes = tuple((_SUFFIXES.get(name, 6), *_number(digits)) for name, digits in _SUFFIX.findall(found["suffixes"]))
    # An end marker makes a version without (further) suffixes come after _rc and before _p.
    return (
        1,
        (_whole(numbers[0]), *map(_later, numbers[1:])),
        found["letter"],
        (*suffixes, (0, 0, "")),
        _number(found["revision"] or ""),
        "",
    )


def _number(digits: str) -> tuple[int, str]:
    """Ordered like the number, however long."""
    digits = digits.lstrip("0")
    return len(digits), digits


def _whole(digits: str) -> tuple[int, int, str]:
    return (1, *_number(digits))


def _later(digits: str) -> tuple[int, int, str]:
    """What begins with 0 is compared digit by digit, and less than any number that does not."""
    return (0, 0, digits) if digits[0] == "0" else _whole(digits)
