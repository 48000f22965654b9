"""Forms as AWS's query and ec2 protocols use them: dotted names become nodes, nodes become what `msgspec.convert` takes.

The generated shapes say per structure which reader each form name has. Everything is text here; numbers and booleans are
told apart by `msgspec.convert(strict=False)`, which also checks the constraints. What cannot be read raises Serialization
in the words AWS has for it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import unquote_to_bytes

from longshore.aws.errors import Serialization
from longshore.aws.protocol.model import Members, Node, Reader

#: Abuse limits, far above what any client sends: parameters per request, dots per name, digits of a list index.
MOST_PARAMETERS = 20_000
MOST_DEPTH = 24
MOST_INDEX_DIGITS = 6


def parse_form(body: bytes) -> dict[str, Node]:
    """`application/x-www-form-urlencoded` as a tree. A name given twice keeps its last value; empty segments are ignored."""
    if body.count(b"&") >= MOST_PARAMETERS:
        raise Serialization("The request has too many parameters")
    tree: dict[str, Node] = {}
    for pair in body.split(b"&"):
        raw_name, _, raw_value = pair.partition(b"=")
        if not raw_name:
            continue
        name = _text(raw_name)
        value = _text(raw_value)
        if "." in name:
            _plant(tree, name, value)
        else:
            tree[name] = value
    return tree


def _text(raw: bytes) -> str:
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        raw = unquote_to_bytes(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Serialization("The request is not valid UTF-8") from None


def _plant(tree: dict[str, Node], name: str, value: str) -> None:
    parts = name.split(".", MOST_DEPTH)
    if len(parts) > MOST_DEPTH:
        raise Serialization("A parameter name is nested too deeply")
    for part in parts[:-1]:
        below = tree.get(part)
        if not isinstance(below, dict):
            below = {}
            tree[part] = below
        tree = below
    if not isinstance(tree.get(parts[-1]), dict):
        tree[parts[-1]] = value


def text(node: Node) -> str:
    if isinstance(node, str):
        return node
    found = "Start of list" if _is_list(node) else "Start of structure or map"
    raise Serialization(f"{found} found where not expected")


def _is_list(node: dict[str, Node]) -> bool:
    return "member" in node or all(key.isdecimal() for key in node)


def boolean(node: Node) -> str:
    value = text(node)
    if value.lower() not in ("true", "false", "1", "0"):
        raise Serialization(f"'{value}' is not a valid Boolean")
    return value


def number(node: Node) -> str:
    value = text(node)
    if not value or not value.isascii() or value.lower() == "null":
        raise Serialization(f"'{value}' is not a valid number")
    return value


def moment(node: Node) -> float:
    """ISO 8601 or epoch seconds -> epoch seconds; without an offset it is UTC."""
    value = text(node)
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        try:
            return float(value)
        except ValueError:
            raise Serialization(f"'{value}' is not a valid timestamp") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def members(node: Node, table: Members) -> dict[str, object]:
    """A structure: names that are not in its table are ignored."""
    if isinstance(node, str):
        if node == "":
            return {}
        raise Serialization("Unexpected complex element termination")
    found: dict[str, object] = {}
    for name, below in node.items():
        entry = table.get(name)
        if entry is not None:
            found[entry[0]] = entry[1](below)
    return found


def listed(item: Reader, wrapper: str | None = None) -> Reader:
    """A list, its items under `wrapper`.N (query) or directly under N (flattened, ec2), in the order of N."""

    def read(node: Node) -> list[object]:
        if wrapper is not None and isinstance(node, dict):
            node = node.get(wrapper, "")
        return [item(below) for below in _in_order(node)]

    return read


def _in_order(node: Node) -> list[Node]:
    if isinstance(node, str):
        if node == "":
            return []
        raise Serialization("Unexpected list element termination")
    indexes = []
    for key in node:
        if not (key.isascii() and key.isdecimal()) or len(key) > MOST_INDEX_DIGITS:
            raise Serialization(f"'{key}' is not a valid index")
        indexes.append((int(key), key))
    indexes.sort()
    return [node[key] for _, key in indexes]


def mapped(key: Reader, value: Reader, key_name: str, value_name: str, wrapper: str | None = "entry") -> Reader:
    """A map, its entries under `wrapper`.N.`key_name` and `wrapper`.N.`value_name`."""

    def read(node: Node) -> dict[object, object]:
        if wrapper is not None and isinstance(node, dict):
            node = node.get(wrapper, "")
        found: dict[object, object] = {}
        for below in _in_order(node):
            if isinstance(below, str) or key_name not in below:
                raise Serialization("Unexpected map entry termination")
            found[key(below[key_name])] = value(below.get(value_name, ""))
        return found

    return read
