"""The page about deploying and rebalancing tells of every member of its operations."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec.inspect as inspect
import pytest

from longshore.services.ecs.outlook import shapes as outlook
from longshore.services.ecs.rebalance import shapes as rebalance
from tests.docs.test_extensions_page import members

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "rollouts.md").read_text()
SHAPES = [
    outlook.EXPLAIN_SERVICE,
    outlook.GET_SERVICE_TRAFFIC,
    rebalance.PLAN_REBALANCE,
    rebalance.START_REBALANCE,
    rebalance.DESCRIBE_REBALANCES,
    rebalance.STOP_REBALANCE,
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_every_member_is_told_of(shape: Any) -> None:
    known = set(re.findall(r"`(\w+)`", PAGE))
    assert members(inspect.type_info(shape.request)) | members(inspect.type_info(shape.response)) <= known
