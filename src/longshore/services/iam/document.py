"""A policy document as text: whether it is JSON of the kind that policies are, and where in it things stand.

What a document means is read elsewhere, quickly and without places. This reader is for those who need them: a refusal says the line
and the column of what is wrong, and so does whoever tells which statement decided. It takes only what IAM's grammar allows (no key
twice in one object, no NUL), whatever other readers of JSON make of the rest.

Lines and columns count from 1, columns in characters; a place ends with its last character. Statements count from 0, as in JSON paths.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache
from typing import NamedTuple

import msgspec

#: objects and lists in each other; no policy needs more than seven
_DEEPEST = 16
_SPACE = re.compile(r"[ \t\r\n]*+")
_STRING = re.compile(r'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"')
_PLAIN = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?(?![0-9.eE+-])|true|false|null")

#: from the document inwards: names of elements and numbers in lists
Path = tuple[str | int, ...]

INVALID_JSON = "This policy contains invalid Json"
SYNTAX = "Syntax errors in policy."


class Position(NamedTuple):
    line: int
    column: int


class Place(NamedTuple):
    begin: Position
    end: Position


class Found(NamedTuple):
    #: as the document is written: without numbers where it has no list
    path: Path
    #: of an element with its name
    position: Position


class Unreadable(ValueError):
    """No JSON, or none that a policy could be; the text says so in IAM's words."""

    def __init__(self, words: str, position: Position, path: Path) -> None:
        super().__init__(words)
        self.position = position
        self.path = path


class _Node(NamedTuple):
    #: offsets of the first character and behind the last
    begin: int
    end: int
    #: by name or by number; of an object the offsets of its keys, too
    inner: dict[str | int, _Node]
    keys: dict[str, int]


class Places:
    """Where everything in one document stands. Raises Unreadable."""

    def __init__(self, document: str) -> None:
        self._text = document
        self._lines = [0, *(found.end() for found in re.finditer("\n", document))]
        self._root = self._value(self._beyond_space(0), ())
        rest = self._beyond_space(self._root.end)
        if rest != len(document):
            raise self._unreadable(INVALID_JSON, rest, ())

    def find(self, path: Path) -> Found:
        """What stands at `path`, as far inwards as the document goes."""
        node, at, taken = self._root, self._root.begin, list[str | int]()
        for step in path:
            inner = node.inner.get(step)
            if inner is None:
                # A list of one may be left out, brackets and all.
                if step == 0:
                    continue
                break
            at = node.keys[step] if isinstance(step, str) else inner.begin
            node = inner
            taken.append(step)
        return Found(tuple(taken), self._position(at))

    def statements(self) -> tuple[Place, ...]:
        """Of each statement, in their order; none where the document has none."""
        listed = self._root.inner.get("Statement")
        if listed is None:
            return ()
        nodes = [listed] if self._text[listed.begin] == "{" else listed.inner.values()
        return tuple(Place(self._position(node.begin), self._position(node.end - 1)) for node in nodes)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _value(self, at: int, path: Path) -> _Node:
        opening = self._text[at : at + 1]
        if opening in ("{", "["):
            if len(path) >= _DEEPEST:
                raise self._unreadable(SYNTAX, at, path)
            return self._object(at, path) if opening == "{" else self._list(at, path)
        if opening == '"':
            return _Node(at, self._string(at, path), {}, {})
        plain = _PLAIN.match(self._text, at)
        if plain is None:
            raise self._unreadable(INVALID_JSON, at, path)
        return _Node(at, plain.end(), {}, {})

    def _object(self, begin: int, path: Path) -> _Node:
        inner: dict[str | int, _Node] = {}
        keys: dict[str, int] = {}
        at = self._beyond_space(begin + 1)
        while self._text[at : at + 1] != "}":
            if keys:
                at = self._beyond_space(self._expect(",", at, path))
            end = self._string(at, path)
            name = _decoded(self._text[at:end])
            if name is None:
                raise self._unreadable(INVALID_JSON, at, path)
            if name in keys:
                raise self._unreadable(SYNTAX, at, (*path, name))
            keys[name] = at
            at = self._beyond_space(self._expect(":", self._beyond_space(end), (*path, name)))
            node = inner[name] = self._value(at, (*path, name))
            at = self._beyond_space(node.end)
        return _Node(begin, at + 1, inner, keys)

    def _list(self, begin: int, path: Path) -> _Node:
        inner: dict[str | int, _Node] = {}
        at = self._beyond_space(begin + 1)
        while self._text[at : at + 1] != "]":
            if inner:
                at = self._beyond_space(self._expect(",", at, path))
            node = inner[len(inner)] = self._value(at, (*path, len(inner)))
            at = self._beyond_space(node.end)
        return _Node(begin, at + 1, inner, {})

    def _string(self, at: int, path: Path) -> int:
        """Behind the string that begins at `at`."""
        found = _STRING.match(self._text, at)
        if found is None:
            raise self._unreadable(INVALID_JSON, at, path)
        if "\\" in found[0]:
            decoded = _decoded(found[0])
            if decoded is None:
                raise self._unreadable(INVALID_JSON, at, path)
            if "\0" in decoded:
                raise self._unreadable(SYNTAX, at, path)
        return found.end()

    def _expect(self, character: str, at: int, path: Path) -> int:
        if self._text[at : at + 1] != character:
            raise self._unreadable(INVALID_JSON, at, path)
        return at + 1

    def _beyond_space(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return found.end() if found is not None else at

    def _position(self, offset: int) -> Position:
        line = bisect_right(self._lines, offset)
        return Position(line, offset - self._lines[line - 1] + 1)

    def _unreadable(self, words: str, offset: int, path: Path) -> Unreadable:
        return Unreadable(words, self._position(offset), path)


def _decoded(token: str) -> str | None:
    """What a string of JSON says; None where its escapes are no text (half of a surrogate pair)."""
    if "\\" not in token:
        return token[1:-1]
    try:
        return str(msgspec.json.decode(token))
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None


@lru_cache(maxsize=128)
def statement_places(document: str) -> tuple[Place, ...]:
    """Where the statements of a document stand; nothing where it cannot be read."""
    try:
        return Places(document).statements()
    except Unreadable:
        return ()


def find(document: str, path: Path) -> Found:
    """What stands at `path`, or what keeps the document from being read."""
    try:
        return Places(document).find(path)
    except Unreadable as error:
        return Found(error.path, error.position)


def shown_path(path: Path) -> str:
    """`Statement[2].Condition.StringEquals`; cut short where names in it are long."""
    shown = "".join([f"[{step}]" if isinstance(step, int) else f".{step}" for step in path]).lstrip(".")
    return shown if len(shown) <= 200 else shown[:197] + "..."
