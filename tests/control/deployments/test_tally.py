"""Failures are counted once each, however often and late one looks, and though stopped tasks are forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from longshore.control.deployments.snapshot import tallied
from longshore.services.ecs.model import Stop, Task, TaskSpec, TaskStatus
from longshore.services.ecs.rollout.model import Tally

FORGOTTEN_AFTER_S = 3600.0


def ended(number: int, at: float, *, checked: bool = False) -> Task:
    stop = Stop("Task failed container health checks", "ServiceSchedulerInitiated", at) if checked else None
    return Task(f"t{number:04d}", "c", TaskSpec("d:1", "service:web", 0.0), stop=stop, status=TaskStatus("STOPPED", stopped_at=at))


def test_the_first_look_counts_all_there_are() -> None:
    assert tallied(Tally(), [ended(1, 5.0), ended(2, 5.0), ended(3, 6.0, checked=True)], 0.0) == Tally(2, 1, 6.0, 1)


def test_looking_again_counts_nothing_twice() -> None:
    rows = [ended(1, 5.0), ended(2, 5.0)]
    once = tallied(Tally(), rows, 0.0)
    assert tallied(once, rows, 0.0) == once
    assert tallied(once, [*rows, ended(3, 5.0)], 0.0).failed_starts == 3, "also one that ended at the very same moment"


def test_a_task_that_runs_well_ends_the_count_of_what_was_before_it() -> None:
    rows = [ended(1, 5.0), ended(2, 15.0)]
    before = tallied(Tally(), rows, 0.0)
    assert tallied(before, rows, 10.0).failed_starts == 1
    assert tallied(before, rows, 20.0).failed_starts == 0
    assert tallied(tallied(before, rows, 20.0), [*rows, ended(3, 30.0)], 20.0).failed_starts == 1


def test_where_nothing_failed_nothing_is_written() -> None:
    assert tallied(Tally(), [], 50.0) == Tally()


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), max_size=30))
def test_law_every_failure_counts_exactly_once(steps: list[tuple[int, bool, bool]]) -> None:
    """Steps of (minutes that pass, whether the failure is of a health check, whether one looks after it)."""
    now, rows, tally, starts, checks = 0.0, [], Tally(), 0, 0
    for number, (pause, checked, looks) in enumerate(steps):
        now += pause * 600.0
        rows.append(ended(number, now + 1.0, checked=checked))
        starts, checks = starts + (not checked), checks + checked
        if looks:
            tally = tallied(tally, rows, 0.0)
            rows = [row for row in rows if now - (row.status.stopped_at or 0.0) < FORGOTTEN_AFTER_S]
    tally = tallied(tally, rows, 0.0)
    assert (tally.failed_starts, tally.failed_checks) == (starts, checks)
