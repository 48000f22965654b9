"""Filters of the Describe operations: between filters AND, between the values of one OR, `*` and `?` in values.

Each operation says which filters it has and where a filter's values come from; any other name is refused, as EC2 does. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from longshore.aws.shapes import ec2 as shapes
from longshore.services.ec2.errors import InvalidParameterValue, MissingParameter
from longshore.services.ec2.model import Tag

T = TypeVar("T")

#: what a filter is compared with: any of these values may match
ValuesOf = Callable[[T], Iterable[str]]


def filtered(
    items: Iterable[T],
    filters: Iterable[shapes.Filter] | None,
    known: Mapping[str, ValuesOf[T]],
    tags_of: Callable[[T], tuple[Tag, ...]] | None = None,
) -> list[T]:
    """The items that every filter lets through. `tags_of` makes `tag:KEY` and `tag-key` known as well."""
    kept = list(items)
    for filter in filters or ():
        matches = _matcher(filter)
        values_of = _values_of(filter.name or "", known, tags_of)
        kept = [item for item in kept if any(matches(value) for value in values_of(item))]
    return kept


def _values_of(name: str, known: Mapping[str, ValuesOf[T]], tags_of: Callable[[T], tuple[Tag, ...]] | None) -> ValuesOf[T]:
    if tags_of is not None:
        tags = tags_of
        if name.startswith("tag:"):
            key = name.removeprefix("tag:")
            return lambda item: [tag.value for tag in tags(item) if tag.key == key]
        if name == "tag-key":
            return lambda item: [tag.key for tag in tags(item)]
    if not name:
        raise MissingParameter("The request must contain the parameter Filter.Name")
    if name not in known:
        raise InvalidParameterValue(f"The filter '{name}' is invalid")
    return known[name]


def _matcher(filter: shapes.Filter) -> Callable[[str], bool]:
    if not filter.values:
        raise InvalidParameterValue(f"The filter '{filter.name}' must have a value")
    literal = frozenset(value for value in filter.values if not _has_wildcard(value))
    globs = tuple(_glob(value) for value in filter.values if _has_wildcard(value))
    return lambda value: value in literal or any(_matches(glob, value) for glob in globs)


def _has_wildcard(value: str) -> bool:
    return any(character in value for character in "*?\\")


#: one piece of a glob: a character, ANY_ONE or ANY_TEXT
ANY_ONE = "?any"
ANY_TEXT = "*any"


def _glob(value: str) -> tuple[str, ...]:
    """`*` is any text, `?` any character, a backslash makes the next character an ordinary one."""
    pieces: list[str] = []
    characters = iter(value)
    for character in characters:
        if character == "\\":
            pieces.append(next(characters, "\\"))
        else:
            pieces.append({"*": ANY_TEXT, "?": ANY_ONE}.get(character, character))
    return tuple(pieces)


def _matches(glob: tuple[str, ...], text: str) -> bool:
    """Not a regular expression, because one with many stars can be made to take for ever; this takes length times length."""
    at = piece = 0
    star, resume = -1, 0
    while at < len(text):
        if piece < len(glob) and glob[piece] == ANY_TEXT:
            star, resume = piece, at
            piece += 1
        elif piece < len(glob) and glob[piece] in (ANY_ONE, text[at]):
            piece += 1
            at += 1
        elif star >= 0:
            resume += 1
            piece, at = star + 1, resume
        else:
            return False
    return all(rest == ANY_TEXT for rest in glob[piece:])


def boolean(value: bool) -> tuple[str]:
    return ("true" if value else "false",)
