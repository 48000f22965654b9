"""Values for botocore's own shapes, and what stays of them on the wire: the oracle of the protocol tests."""

from __future__ import annotations

import importlib
import re
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.session import Session
from hypothesis import strategies as st

from longshore.aws.protocol.model import Model, OperationShape

APIS = ("ecs", "ecr", "elbv2", "ec2", "iam", "sts")
_MOST_DEPTH = 5
#: what forms, XML and JSON mind, among letters of one, two, three and four bytes
_MARKUP = "aä中\U0001f600\t\n\r&<>\"'% +.;="
#: a pattern that asks for nothing but characters of one class: text is drawn at once then, where a regex goes letter by letter
_ONE_CLASS = re.compile(r"\^?(\[(?:[^\]\\]|\\.)+\])([+*])\$?")
_ALPHABET = [chr(point) for point in (*range(0x20, 0x7F), *range(0xA0, 0x100), 0x4E2D, 0x1F600)] + ["\t", "\n", "\r"]


@cache
def _loader() -> Loader:
    return Session().get_component("data_loader")


@cache
def service_model(api: str) -> ServiceModel:
    return ServiceModel(_loader().load_service_model(api, "service-2"), service_name=api)


def shapes_of(api: str) -> Any:
    return importlib.import_module(f"longshore.aws.shapes.{api}")


def served() -> list[tuple[str, str]]:
    return [(api, name) for api in APIS for name in shapes_of(api).OPERATIONS]


def operation(api: str, name: str) -> tuple[Model, OperationShape, OperationModel]:
    module = shapes_of(api)
    return module.MODEL, module.OPERATIONS[name], service_model(api).operation_model(name)


def values(shape: Shape | None, *, xml: bool = False, full: bool = False) -> st.SearchStrategy[Any]:
    """Values botocore would take for `shape`. `xml`: text that XML can carry; `full`: nothing empty, which forms cannot say."""
    if shape is None:
        return st.just({})
    return st.composite(lambda draw: _draw(draw, shape, xml, full, 0))()


def _draw(draw: Any, shape: Shape, xml: bool, full: bool, depth: int) -> Any:
    if shape.type_name == "structure":
        return _draw_structure(draw, shape, xml, full, depth)
    if shape.type_name == "list":
        least = max(shape.metadata.get("min", 0), 1 if full else 0)
        count = draw(st.integers(least, min(least + 2, shape.metadata.get("max", least + 2))))
        return [_draw(draw, shape.member, xml, full, depth + 1) for _ in range(count)]
    if shape.type_name == "map":
        count = draw(st.integers(1 if full else 0, 2))
        return {_draw(draw, shape.key, xml, full, depth + 1): _draw(draw, shape.value, xml, full, depth + 1) for _ in range(count)}
    return draw(_scalars(shape, xml))


def _draw_structure(draw: Any, shape: Shape, xml: bool, full: bool, depth: int) -> dict[str, Any]:
    if shape.is_document_type:
        return {"any": [1, {"thing": None}]}
    required = [name for name in shape.members if name in shape.required_members]
    optional = [name for name in shape.members if name not in required and (depth < _MOST_DEPTH or _is_flat(shape.members[name]))]
    chosen = draw(st.lists(st.sampled_from(optional), unique=True, max_size=6)) if optional else []
    if getattr(shape, "is_tagged_union", False):
        chosen = [draw(st.sampled_from(list(shape.members)))]
    if full and not required and not chosen:
        chosen = (optional or list(shape.members))[:1]
    return {name: _draw(draw, shape.members[name], xml, full, depth + 1) for name in required + chosen}


def _is_flat(shape: Shape) -> bool:
    return shape.type_name not in ("structure", "list", "map")


def _scalars(shape: Shape, xml: bool) -> st.SearchStrategy[Any]:
    limits = shape.metadata
    return _scalars_of(shape.type_name, limits.get("min"), limits.get("max"), limits.get("pattern"), tuple(limits.get("enum", ())), xml)


@cache
def _scalars_of(
    type_name: str, least: float | None, most: float | None, pattern: str | None, enum: tuple[str, ...], xml: bool
) -> st.SearchStrategy[Any]:
    if type_name in ("integer", "long"):
        bound = 2**31 if type_name == "integer" else 2**63
        return st.integers(-bound if least is None else int(least), bound - 1 if most is None else int(most))
    if type_name in ("float", "double"):
        return st.floats(least, most, allow_nan=False, allow_infinity=False)
    if type_name == "boolean":
        return st.booleans()
    if type_name == "blob":
        return st.binary(max_size=20)
    if type_name == "timestamp":
        return st.integers(0, 7_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
    return st.sampled_from(enum) if enum else _strings(int(least or 0), min(40 if most is None else int(most), 4096), pattern, xml)


def _strings(least: int, most: int, pattern: str | None, xml: bool) -> st.SearchStrategy[str]:
    if pattern and "\\p{" in pattern:
        return st.text("abcäß中 _.:/=+-@", min_size=least, max_size=max(least, min(most, 40)))
    if pattern and (one := _ONE_CLASS.fullmatch(pattern)):
        members = [character for character in _ALPHABET if re.fullmatch(one[1], character, re.ASCII)]
        return st.text(members, min_size=max(least, one[2] == "+"), max_size=max(least, min(most, 20)))
    if pattern:
        found = st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True)
        return found.filter(lambda text: least <= len(text) <= most and not text.endswith("\n"))
    characters = st.characters(exclude_categories=["Cs", "Cc", "Cn"] if xml else ["Cs"])
    longest = max(least, min(most, 12))
    return st.text(characters, min_size=least, max_size=longest) | st.text(_MARKUP, min_size=least, max_size=longest)


def plain(value: Any) -> Any:
    """Structs, tuples and times as the dictionaries, lists and floats they stand for."""
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        return {field.encode_name: plain(found) for field in fields if (found := getattr(value, field.name)) is not None}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not None or key == "thing"}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.timestamp() if isinstance(value, datetime) else value
