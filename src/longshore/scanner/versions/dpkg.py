"""Debian versions: [epoch:]upstream[-revision], `~` before everything, even before the end.

Rules: https://www.debian.org/doc/debian-policy/ch-controlfields.html#version
"""

from __future__ import annotations

import re

_DIGITS = re.compile(r"[0-9]*")
_OTHERS = re.compile(r"[^0-9]*")


def compare(one: str, other: str) -> int:
    epoch, upstream, revision = split(one)
    other_epoch, other_upstream, other_revision = split(other)
    difference = (epoch > other_epoch) - (epoch < other_epoch)
    return difference or _compare_part(upstream, other_upstream) or _compare_part(revision, other_revision)


def split(version: str) -> tuple[int, str, str]:
    """(epoch, upstream version, revision); a missing revision counts as 0, which sorts like the empty one."""
    version = version.strip()
    head, colon, rest = version.partition(":")
    epoch = 0
    if colon and head.isascii() and head.isdigit():
        epoch, version = int(head[:18]), rest
    upstream, dash, revision = version.rpartition("-")
    return (epoch, upstream, revision) if dash else (epoch, version, "")


def _compare_part(one: str, other: str) -> int:
    """Runs of other characters and numbers in turn."""
    at = other_at = 0
    while at < len(one) or other_at < len(other):
        text, other_text = _match(_OTHERS, one, at), _match(_OTHERS, other, other_at)
        if text != other_text:
            # The end sorts as 0: after a tilde, before everything else.
            mine, theirs = [*map(_weight, text), 0], [*map(_weight, other_text), 0]
            return 1 if mine > theirs else -1
        at, other_at = at + len(text), other_at + len(other_text)
        digits, other_digits = _match(_DIGITS, one, at), _match(_DIGITS, other, other_at)
        at, other_at = at + len(digits), other_at + len(other_digits)
        difference = _compare_numbers(digits, other_digits)
        if difference:
            return difference
    return 0


def _match(pattern: re.Pattern[str], text: str, at: int) -> str:
    found = pattern.match(text, at)
    return found[0] if found else ""


def _compare_numbers(one: str, other: str) -> int:
    """Without making integers of them: they may be as long as whoever wrote them liked."""
    one, other = one.lstrip("0"), other.lstrip("0")
    mine, theirs = (len(one), one), (len(other), other)
    return (mine > theirs) - (mine < theirs)


def _weight(character: str) -> int:
    """`~` before the end, letters before all that is no letter."""
    if character == "~":
        return -1
    if character.isascii() and character.isalpha():
        return ord(character)
    return ord(character) + 256
