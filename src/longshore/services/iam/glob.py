"""Patterns of policy documents: `*` and `?`, and policy variables such as `${aws:username}`.

A pattern is compiled once. Most are exact words, `*` or a prefix and never become a regular expression; those that hold
variables are completed per request, the variable's value standing for itself even where it contains `*`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

#: context key in lower case -> its value, None when the request has none or several
Variable = Callable[[str], str | None]

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_DEFAULTED = re.compile(r"\s*([^,]+?)\s*,\s*'([^']*)'\s*")
_SPECIAL = frozenset("*?$")


@lru_cache(maxsize=8192)
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL)


def _source(pieces: Sequence[tuple[str, bool]]) -> str:
    """A regular expression for (text, whether wildcards in it count) pieces.

    What stands between two `*` is taken where it first occurs and never looked for again (an atomic group): enough for
    globs, and it keeps matching in proportion to the texts' lengths whatever the pattern.
    """
    between = [""]
    for text, wild in pieces:
        if not wild:
            between[-1] += re.escape(text)
            continue
        for number, chunk in enumerate(text.split("*")):
            if number:
                between.append("")
            between[-1] += "".join(["." if character == "?" else re.escape(character) for character in chunk])
    if len(between) == 1:
        return between[0]
    return between[0] + "".join([f"(?>.*?{middle})" for middle in between[1:-1] if middle]) + ".*" + between[-1]


class Template:
    """One text with its variables: `parts` are source text, or (context key, default) pairs."""

    __slots__ = ("parts", "text")

    def __init__(self, text: str, *, variables: bool) -> None:
        self.text = text
        parts: list[str | tuple[str, str | None]] = []
        position = 0
        for found in _VARIABLE.finditer(text) if variables else ():
            parts.append(text[position : found.start()])
            parts.append(_variable(found[1]))
            position = found.end()
        parts.append(text[position:])
        self.parts = tuple(parts)

    @property
    def is_static(self) -> bool:
        return len(self.parts) == 1

    def pieces(self, variable: Variable) -> list[tuple[str, bool]] | None:
        """(text, whether wildcards in it count) in order; None when a variable has no value."""
        pieces: list[tuple[str, bool]] = []
        for part in self.parts:
            if isinstance(part, str):
                pieces.append((part, True))
                continue
            key, default = part
            value = key if key in _SPECIAL else variable(key)
            if value is None:
                value = default
            if value is None:
                return None
            pieces.append((value, False))
        return pieces

    def literal(self, variable: Variable) -> str | None:
        """The text with its variables filled in; None when one has no value."""
        pieces = self.pieces(variable)
        return None if pieces is None else "".join([text for text, _ in pieces])

    def regex(self, variable: Variable) -> re.Pattern[str] | None:
        pieces = self.pieces(variable)
        if pieces is None:
            return None
        return _regex(_source(pieces))


def _variable(inside: str) -> tuple[str, str | None]:
    if inside in _SPECIAL:
        return inside, None
    defaulted = _DEFAULTED.fullmatch(inside)
    return (defaulted[1].lower(), defaulted[2]) if defaulted else (inside.strip().lower(), None)


class Globs:
    """A list of patterns: does any of them match? `ignore_case` is for actions."""

    __slots__ = ("_exact", "_ignore_case", "_prefixes", "_regexes", "_templates", "matches_all")

    def __init__(self, patterns: Sequence[str], *, variables: bool = False, ignore_case: bool = False) -> None:
        templates = [Template(pattern.lower() if ignore_case else pattern, variables=variables) for pattern in patterns]
        static = [template.text for template in templates if template.is_static]
        self._templates = tuple(template for template in templates if not template.is_static)
        self._ignore_case = ignore_case
        self.matches_all = "*" in static
        self._exact = frozenset(text for text in static if "*" not in text and "?" not in text)
        wild = [text for text in static if text not in self._exact]
        self._prefixes = tuple(text[:-1] for text in wild if _is_prefix(text))
        self._regexes = tuple(_regex(_source([(text, True)])) for text in wild if not _is_prefix(text))

    @property
    def has_variables(self) -> bool:
        return bool(self._templates)

    def match(self, text: str, variable: Variable) -> bool:
        if self.matches_all:
            return True
        if self._ignore_case:
            text = text.lower()
        if text in self._exact or (self._prefixes and text.startswith(self._prefixes)):
            return True
        for regex in self._regexes:
            if regex.fullmatch(text):
                return True
        for template in self._templates:
            completed = template.regex(variable)
            if completed is not None and completed.fullmatch(text):
                return True
        return False


def _is_prefix(text: str) -> bool:
    return text[-1] == "*" and "*" not in text[:-1] and "?" not in text
