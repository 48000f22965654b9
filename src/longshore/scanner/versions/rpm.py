"""RPM versions: [epoch:]version[-release], compared segment by segment; `~` before and `^` just after the end.

Rules: https://rpm-software-management.github.io/rpm/manual/dependencies.html (versioning) and rpm's own description of rpmvercmp.
"""

from __future__ import annotations

import re

#: what is compared: numbers, words, and the two characters with a meaning; everything else only separates
_SEGMENTS = re.compile(r"[0-9]+|[a-zA-Z]+|~|\^")


def compare(one: str, other: str) -> int:
    """A missing epoch is 0; a missing release says nothing, as in a dependency on a version alone."""
    epoch, version, release = split(one)
    other_epoch, other_version, other_release = split(other)
    difference = (epoch > other_epoch) - (epoch < other_epoch) or compare_part(version, other_version)
    if difference or not release or not other_release:
        return difference
    return compare_part(release, other_release)


def split(text: str) -> tuple[int, str, str]:
    text = text.strip()
    head, colon, rest = text.partition(":")
    epoch = 0
    if colon and head.isascii() and head.isdigit():
        epoch, text = int(head[:18]), rest
    version, dash, release = text.rpartition("-")
    return (epoch, version, release) if dash else (epoch, text, "")


def compare_part(one: str, other: str) -> int:
    """rpmvercmp."""
    mine, theirs = _SEGMENTS.findall(one), _SEGMENTS.findall(other)
    for segment, other_segment in zip(mine, theirs, strict=False):
        difference = _compare_segments(segment, other_segment)
        if difference:
            return difference
    if len(mine) == len(theirs):
        return 0
    if len(mine) > len(theirs):
        return -1 if mine[len(theirs)] == "~" else 1
    return 1 if theirs[len(mine)] == "~" else -1


def _compare_segments(one: str, other: str) -> int:
    ranks = _rank(one), _rank(other)
    if ranks[0] != ranks[1]:
        return 1 if ranks[0] > ranks[1] else -1
    if one[0].isdigit():
        one, other = one.lstrip("0"), other.lstrip("0")
        mine, theirs = (len(one), one), (len(other), other)
        return (mine > theirs) - (mine < theirs)
    return (one > other) - (one < other)


def _rank(segment: str) -> int:
    """`~` below all, `^` below what goes on, words below numbers."""
    if segment == "~":
        return 0
    if segment == "^":
        return 1
    return 3 if segment[0].isdigit() else 2
