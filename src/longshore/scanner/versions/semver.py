"""Semantic versions as npm uses them; build metadata says nothing. https://semver.org/#spec-item-11

A leading `v` and missing numbers are forgiven, because databases have them.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Numbers give no digits back to what follows: very many, as an image may say, would be read in very many ways.
_VERSION = re.compile(r"[v=\s]*(?P<numbers>[0-9]++(?:\.[0-9]++)*+)(?:-?(?P<pre>[0-9A-Za-z.-]+))?(?:\+.*)?\s*", re.DOTALL)

Part = tuple[int, int, str]
Key = tuple[int, tuple[Part, ...], tuple[Part, ...], str]


def compare(one: str, other: str) -> int:
    mine, theirs = key(one), key(other)
    return (mine > theirs) - (mine < theirs)


@lru_cache(maxsize=4096)
def key(version: str) -> Key:
    """Sorts as precedence does; what is no version sorts before all that are, by its text."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return (0, (), (), version)
    numbers = [_number(digits) for digits in found["numbers"].split(".")]
    while len(numbers) > 3 and not numbers[-1][1]:
        numbers.pop()
    numbers += [(1, 0, "")] * (3 - len(numbers))
    before = tuple(_identifier(each) for each in found["pre"].split(".")) if found["pre"] else ((3, 0, ""),)
    return (1, tuple(numbers), before, "")


def _number(digits: str) -> Part:
    digits = digits.lstrip("0")
    return (1, len(digits), digits)


def _identifier(text: str) -> Part:
    """Numbers before words; a release (3, …) after both."""
    return _number(text) if text.isascii() and text.isdigit() else (2, 0, text)
