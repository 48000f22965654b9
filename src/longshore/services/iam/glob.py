"""Patterns of policy documents: `*` and `?`, and policy variables such as `${aws:username}`.

A pattern is taken apart once, at its `*`. What stands between two of them has a length that is known and is taken where it first
occurs, never looked for again: enough for globs, and matching stays in proportion to the texts' lengths whatever the pattern. Most
patterns are exact words, `*` or a prefix, and need not even that. Those that hold variables are completed per request, the variable's
value standing for itself even where it contains `*`; nothing of a request is kept for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

#: context key in lower case -> its value, None when the request has none or several
Variable = Callable[[str], str | None]

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_SPECIAL = frozenset("*?$")


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

    def literal(self, variable: Variable) -> str | None:
        """The text with its variables filled in; None when one has no value."""
        texts = []
        for part in self.parts:
            text = part if isinstance(part, str) else _value(part, variable)
            if text is None:
                return None
            texts.append(text)
        return "".join(texts)


def _value(part: tuple[str, str | None], variable: Variable) -> str | None:
    key, default = part
    value = key if key in _SPECIAL else variable(key)
    return default if value is None else value


def _variable(inside: str) -> tuple[str, str | None]:
    """Read by hand: an expression that looks for blanks around a name tries every way to share many of them out."""
    if inside in _SPECIAL:
        return inside, None
    key, comma, rest = inside.partition(",")
    key, rest = key.strip(), rest.strip()
    if comma and key and len(rest) >= 2 and rest[0] == rest[-1] == "'" and "'" not in rest[1:-1]:
        return key.lower(), rest[1:-1]
    return inside.strip().lower(), None


# ── what stands between two stars ────────────────────────────────────────────────────────────────────────────────────


class _Marked(NamedTuple):
    """Text in which some characters may be any."""

    regex: re.Pattern[str]
    length: int


_Chunk = str | _Marked


def _chunk(pieces: Sequence[str | int]) -> _Chunk:
    """Of texts, and numbers of characters that may be any."""
    if all(isinstance(piece, str) for piece in pieces):
        return "".join([piece for piece in pieces if isinstance(piece, str)])
    source = "".join([re.escape(piece) if isinstance(piece, str) else "." * piece for piece in pieces])
    return _Marked(_regex(source), sum(len(piece) if isinstance(piece, str) else piece for piece in pieces))


@lru_cache(maxsize=512)
def _regex(source: str) -> re.Pattern[str]:
    return re.compile(source, re.DOTALL)


def _fits(chunk: _Chunk, text: str, at: int) -> bool:
    return text.startswith(chunk, at) if isinstance(chunk, str) else chunk.regex.match(text, at) is not None


def _matches(chunks: Sequence[_Chunk], text: str) -> bool:
    first, last = chunks[0], chunks[-1]
    if len(chunks) == 1:
        return text == first if isinstance(first, str) else first.regex.fullmatch(text) is not None
    begin = len(first) if isinstance(first, str) else first.length
    end = len(text) - (len(last) if isinstance(last, str) else last.length)
    if begin > end or not _fits(first, text, 0) or not _fits(last, text, end):
        return False
    for chunk in chunks[1:-1]:
        if isinstance(chunk, str):
            found = text.find(chunk, begin, end)
            if found < 0:
                return False
            begin = found + len(chunk)
        else:
            seen = chunk.regex.search(text, begin, end)
            if seen is None:
                return False
            begin = seen.end()
    return True


class Pattern:
    """One pattern: does it match?"""

    __slots__ = ("_chunks", "_last", "_open", "_variables")

    def __init__(self, template: Template) -> None:
        between: list[list[str | int | tuple[str, str | None]]] = [[]]
        for part in template.parts:
            if not isinstance(part, str):
                between[-1].append(part)
                continue
            for number, text in enumerate(part.split("*")):
                if number:
                    between.append([])
                between[-1] += [len(run) if run[0] == "?" else run for run in re.findall(r"[?]+|[^?]+", text)]
        #: with variables in them
        self._open = () if template.is_static else tuple(tuple(pieces) for pieces in between)
        self._variables = tuple(part for part in template.parts if not isinstance(part, str))
        #: what the variables stood for last, and what came of it: one request asks about many values
        self._last: tuple[list[str], tuple[_Chunk, ...]] | None = None
        self._chunks = () if self._open else _chunks([[piece for piece in pieces if isinstance(piece, (str, int))] for pieces in between])

    def match(self, text: str, variable: Variable) -> bool:
        if not self._open:
            return _matches(self._chunks, text)
        values = []
        for part in self._variables:
            value = _value(part, variable)
            if value is None:
                return False
            values.append(value)
        last = self._last
        if last is None or last[0] != values:
            filled = iter(values)
            last = self._last = (
                values,
                _chunks([[p if isinstance(p, (str, int)) else next(filled) for p in pieces] for pieces in self._open]),
            )
        return _matches(last[1], text)


def _chunks(between: list[list[str | int]]) -> tuple[_Chunk, ...]:
    """What stands between stars; two stars side by side are one."""
    found = [_chunk(pieces) for pieces in between]
    return (found[0], *(chunk for chunk in found[1:-1] if chunk), *found[1:][-1:])


class Globs:
    """A list of patterns: does any of them match? `ignore_case` is for actions."""

    __slots__ = ("_exact", "_ignore_case", "_patterns", "_prefixes", "has_variables", "matches_all")

    def __init__(self, patterns: Sequence[str], *, variables: bool = False, ignore_case: bool = False) -> None:
        templates = [Template(pattern.lower() if ignore_case else pattern, variables=variables) for pattern in patterns]
        self._ignore_case = ignore_case
        self.has_variables = not all(template.is_static for template in templates)
        static = [template.text for template in templates if template.is_static]
        self.matches_all = "*" in static
        self._exact = frozenset(text for text in static if "*" not in text and "?" not in text)
        self._prefixes = tuple(text[:-1] for text in static if _is_prefix(text))
        others = [one for one in templates if not one.is_static or not (one.text in self._exact or _is_prefix(one.text))]
        self._patterns = tuple(Pattern(template) for template in others)

    def match(self, text: str, variable: Variable) -> bool:
        if self.matches_all:
            return True
        if self._ignore_case:
            text = text.lower()
        if text in self._exact or (self._prefixes and text.startswith(self._prefixes)):
            return True
        return any(pattern.match(text, variable) for pattern in self._patterns) if self._patterns else False

    def match_folded(self, text: str) -> bool:
        """As `match`, where there are no variables and `text` is in lower case if case is ignored."""
        return self.matches_all or text in self._exact or text.startswith(self._prefixes) or self._matches_pattern(text)

    def _matches_pattern(self, text: str) -> bool:
        return any(pattern.match(text, _no_variable) for pattern in self._patterns)


def _no_variable(key: str) -> None:
    return None


def _is_prefix(text: str) -> bool:
    return text.endswith("*") and "*" not in text[:-1] and "?" not in text
