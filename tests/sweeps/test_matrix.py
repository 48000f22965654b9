"""The authorisation matrix says what the sweep does: each of its cases is a test, run for the operations that it counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longshore.gateway.catalogue import served
from tests.sweeps import test_authorisation
from tests.sweeps.installation import OPERATIONS
from tests.sweeps.matrix import CASES, FREE, PAGE, Case, page
from tests.sweeps.vouching import BY_TOKEN

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.asked_as)
def test_a_case_is_tried_for_the_operations_that_are_counted(case: Case) -> None:
    test: Callable[..., Any] = getattr(test_authorisation, case.test)
    (mark,) = (mark for mark in test.pytestmark if mark.name == "parametrize")  # type: ignore[attr-defined]
    left_out = set(mark.args[1]) - set(case.operations)
    assert set(case.operations) <= set(mark.args[1])
    assert left_out <= BY_TOKEN


def test_no_operation_is_left_out() -> None:
    for api, name in OPERATIONS:
        tried = {case.outcome for case in CASES if (api, name) in case.operations}
        free = (api, name) in FREE | BY_TOKEN
        assert {"refused", "allowed", *(() if free else ("denied",))} <= tried, (api, name)
        assert served(api).operations[name].unsigned == ((api, name) in BY_TOKEN)


def test_the_page_is_fresh() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == page(), "run .venv/bin/python tools/authorisation_matrix.py --write"
