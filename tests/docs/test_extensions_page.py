"""The page about what goes beyond AWS names every operation of ours, and every member of those it tells of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec.inspect as inspect
import pytest

from longshore.aws.operation import OWN_PREFIX
from longshore.gateway.catalogue import SERVED, served
from longshore.services.ecr.lifecycle import shapes

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "extensions.md").read_text()


def members(type_: inspect.Type) -> set[str]:
    """Wire names of all there is in a shape."""
    found: set[str] = set()
    match type_:
        case inspect.StructType():
            for field in type_.fields:
                found |= {field.encode_name} | members(field.type)
        case inspect.VarTupleType():
            found = members(type_.item_type)
        case inspect.UnionType():
            for each in type_.types:
                found |= members(each)
        case inspect.Metadata():
            found = members(type_.type)
    return found


def test_every_operation_of_ours_is_named() -> None:
    own = {name for api in SERVED for name in served(api).operations if name.startswith(OWN_PREFIX)}
    assert own == set(re.findall(rf"`({OWN_PREFIX}[A-Z]\w+)`", PAGE))


@pytest.mark.parametrize(
    "shape", [shapes.PREVIEW, shapes.GET_SETTINGS, shapes.PUT_SETTINGS, shapes.LIST_EVENTS], ids=lambda shape: shape.name
)
def test_every_member_is_told_of(shape: Any) -> None:
    known = set(re.findall(r"`(\w+)`", PAGE))
    assert members(inspect.type_info(shape.request)) | members(inspect.type_info(shape.response)) <= known


def test_every_reason_and_no_other_is_told_of() -> None:
    told = set(re.findall(r"^  \| ([A-Z_]+) \|", PAGE, re.MULTILINE))
    field = next(each for each in inspect.type_info(shapes.PreviewImage).fields if each.name == "reason")  # type: ignore[attr-defined]
    assert isinstance(field.type, inspect.LiteralType)
    assert told == set(field.type.values)
