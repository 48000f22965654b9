"""A short run of every target, and whatever a long one ever failed on. The long run is `make fuzz`."""

from __future__ import annotations

import logging

import pytest

from tests.fuzz.engine import Failed, Target, attempt, fuzz, kept
from tests.fuzz.targets import TARGETS, made

_INPUTS = 600


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_nothing_fails_hangs_or_grows(name: str) -> None:
    level = logging.getLogger("longshore").level
    target = made(name)
    outcome = fuzz(target, int(_INPUTS / min(1.0, target.share * 2)), seed=20_260_101)
    assert outcome.inputs > 100
    assert logging.getLogger("longshore").level == level, "tests after it read the log"


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_what_failed_once_does_so_no_more(name: str) -> None:
    target = made(name)
    target.renew()
    for data in kept(target):
        attempt(target, data)


def test_a_target_that_fails_or_hangs_is_noticed() -> None:
    def hang(data: bytes) -> None:
        while True:
            pass

    def fail(data: bytes) -> None:
        data.decode("ascii")

    for run in (hang, fail):
        with pytest.raises(Failed):
            fuzz(Target("bad", run, [b"x" * 50]), 200, seed=1)
