"""Python versions: [N!]N(.N)*[{a|b|rc}N][.postN][.devN][+local], with the many spellings that PEP 440 lets pass.

https://packaging.python.org/en/latest/specifications/version-specifiers/
"""

from __future__ import annotations

import re
from functools import lru_cache

_VERSION = re.compile(
    r"""\s*v?(?:(?P<epoch>[0-9]+)!)?(?P<release>[0-9]+(?:\.[0-9]+)*)
    (?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre_number>[0-9]*))?
    (?:-(?P<implicit_post>[0-9]+)|[-_.]?(?P<post>post|rev|r)[-_.]?(?P<post_number>[0-9]*))?
    (?:[-_.]?(?P<dev>dev)[-_.]?(?P<dev_number>[0-9]*))?
    (?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?\s*""",
    re.VERBOSE | re.IGNORECASE,
)
_LETTERS = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}

Number = tuple[int, str]
#: each part begins with a rank that says how its absence sorts
Key = tuple[
    int,
    Number,
    tuple[Number, ...],
    tuple[int, str, Number],
    tuple[int, Number],
    tuple[int, Number],
    tuple[tuple[int, Number, str], ...],
    str,
]

_ZERO: Number = (0, "")


def compare(one: str, other: str) -> int:
    mine, theirs = key(one), key(other)
    return (mine > theirs) - (mine < theirs)


@lru_cache(maxsize=4096)
def key(version: str) -> Key:
    """What is no version sorts before all that are, by its text."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return (0, _ZERO, (), (0, "", _ZERO), (0, _ZERO), (0, _ZERO), (), version.strip().lower())
    release = [_number(digits) for digits in found["release"].split(".")]
    while len(release) > 1 and release[-1] == _ZERO:
        release.pop()
    has_post = found["post"] is not None or found["implicit_post"] is not None
    letter = (found["pre"] or "").lower()
    if letter:
        before = (1, _LETTERS.get(letter, letter), _number(found["pre_number"]))
    elif found["dev"] and not has_post:
        before = (0, "", _ZERO)  # 1.0.dev1 comes before 1.0a1
    else:
        before = (2, "", _ZERO)
    after = (1, _number(found["implicit_post"] or found["post_number"] or "")) if has_post else (0, _ZERO)
    development = (0, _number(found["dev_number"])) if found["dev"] else (1, _ZERO)
    local = tuple(_local(part) for part in re.split("[-_.]", found["local"].lower())) if found["local"] else ()
    return (1, _number(found["epoch"] or ""), tuple(release), before, after, development, local, "")


def _number(digits: str) -> Number:
    """Ordered like the number, however long."""
    digits = digits.lstrip("0")
    return len(digits), digits


def _local(part: str) -> tuple[int, Number, str]:
    return (1, _number(part), "") if part.isdigit() else (0, _ZERO, part)
