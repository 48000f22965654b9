"""AWS's query protocol for commands: nested values to fields of a form, elements of an XML answer to what it is read as. Pure.

An element with nothing but `member` (or EC2's `item`) elements in it is a list, one with others a structure, any other its text;
an empty one is None, since nothing tells an empty list from an empty text.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar
from xml.etree import ElementTree

import msgspec

from longshore.cli.outcome import Failure

T = TypeVar("T")

#: text, list or structure
Tree = None | str | list["Tree"] | dict[str, "Tree"]

_NAMESPACE = re.compile(r"^\{[^}]*\}")
_ITEMS = frozenset({"member", "item"})


def form_of(operation: str, version: str, parameters: Mapping[str, object], *, flat: bool = False) -> bytes:
    """The body of a request; `flat`: lists as EC2 has them, without `member`."""
    fields = [("Action", operation), ("Version", version)]
    for name, value in parameters.items():
        fields += _fields(name, value, "" if flat else ".member")
    return urllib.parse.urlencode(fields).encode()


def _fields(name: str, value: object, infix: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, bool):
        yield name, "true" if value else "false"
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _fields(f"{name}.{key}", one, infix)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for number, one in enumerate(value, 1):
            yield from _fields(f"{name}{infix}.{number}", one, infix)
    elif value is not None:
        yield name, str(value)


def read_answer(operation: str, content: bytes, answer: type[T]) -> T:
    """Raises Failure for what is no answer to the operation."""
    tree = _tree_of(content)
    found = tree.get(f"{operation}Result", tree) if isinstance(tree, dict) else {}
    try:
        return msgspec.convert(found if found is not None else {}, answer, strict=False)
    except msgspec.ValidationError as error:
        raise Failure(f"{operation}: the answer cannot be understood: {error}") from error


def refusal_in(content: bytes) -> tuple[str, str]:
    """(code, message) of an error answer, as people are told them; empty where there is none in it."""
    try:
        tree = _tree_of(content)
    except Failure:
        return "", ""
    while isinstance(tree, dict) and "Code" not in tree:
        tree = next((tree[name] for name in ("Error", "Errors") if name in tree), None)
        tree = tree[0] if isinstance(tree, list) and tree else tree
    if not isinstance(tree, dict):
        return "", ""
    code, message = tree.get("Code"), tree.get("Message")
    return code if isinstance(code, str) else "", in_words(message) if isinstance(message, str) else ""


def in_words(message: str) -> str:
    """Without the sealed details, which are for `aws sts decode-authorization-message`; `longshore iam explain` tells people the same."""
    return message.partition(". Encoded authorization failure message: ")[0]


def _tree_of(content: bytes) -> Tree:
    try:
        return _tree(ElementTree.fromstring(content))
    except (ElementTree.ParseError, UnicodeError, RecursionError) as error:
        raise Failure(f"the answer is no XML: {error}") from error


def _tree(element: ElementTree.Element) -> Tree:
    children = [(_NAMESPACE.sub("", child.tag), child) for child in element]
    if not children:
        return element.text or None
    if all(name in _ITEMS for name, _ in children):
        return [_tree(child) for _, child in children]
    return {name: _tree(child) for name, child in children}
