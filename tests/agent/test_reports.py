"""What reaches the platform of a task's reports, and in which order."""

from __future__ import annotations

import asyncio

import pytest

from longshore.agent.api import CallRefused, ContainerChange, PlatformUnreachable, TaskChange
from longshore.agent.reports import GATHER_S, Reporter
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import SeededIds


class Listener:
    def __init__(self) -> None:
        self.heard: list[TaskChange] = []
        self.trouble: list[Exception] = []
        self.at_once = 0
        self.most_at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def submit_task_state_change(self, change: TaskChange) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
            if self.trouble:
                raise self.trouble.pop(0)
            self.heard.append(change)
        finally:
            self.at_once -= 1


class Desk:
    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.listener = Listener()
        self.acknowledged: list[tuple[str, str, bool]] = []
        self.reporter = Reporter(self.listener, self.clock, SeededIds(), lambda *heard: self.acknowledged.append(heard))

    def submit(self, status: str, task: str = "t", code: int | None = None) -> None:
        containers = (ContainerChange(container_name="main", status=status, exit_code=code),)
        self.reporter.submit(TaskChange(cluster="default", task=task, status=status, reason="", containers=containers))

    async def settle(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    @property
    def heard(self) -> list[str]:
        return [change.status for change in self.listener.heard]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_running_is_heard_before_stopped_even_when_both_wait(desk: Desk) -> None:
    desk.listener.trouble = [PlatformUnreachable("gone")]
    desk.submit("RUNNING")
    desk.submit("STOPPED")
    await desk.settle()
    assert desk.heard == []
    await desk.clock.step(2)
    await desk.settle()
    assert desk.heard == ["RUNNING", "STOPPED"]
    assert desk.acknowledged == [("t", "RUNNING", True), ("t", "STOPPED", True)]
    assert desk.reporter.waiting == 0


async def test_a_later_report_of_the_same_status_takes_the_earlier_ones_place(desk: Desk) -> None:
    desk.listener.gate.clear()
    desk.submit("RUNNING", code=1)
    await desk.settle()
    desk.submit("RUNNING", code=2)
    desk.submit("RUNNING", code=3)
    desk.listener.gate.set()
    await desk.settle()
    assert [change.containers[0].exit_code for change in desk.listener.heard if change.containers] == [1, 3]


async def test_changes_before_the_task_runs_are_gathered(desk: Desk) -> None:
    desk.submit("PENDING", code=1)
    desk.submit("PENDING", code=2)
    await desk.settle()
    assert desk.heard == []
    await desk.clock.step(GATHER_S)
    await desk.settle()
    assert [change.containers[0].exit_code for change in desk.listener.heard if change.containers] == [2]


async def test_running_overtakes_what_is_being_gathered(desk: Desk) -> None:
    desk.submit("PENDING")
    await desk.settle()
    desk.submit("RUNNING")
    desk.submit("PENDING")
    await desk.settle()
    assert desk.heard == ["RUNNING"]


async def test_an_invalid_report_is_dropped_for_good(desk: Desk) -> None:
    desk.listener.trouble = [CallRefused("Submit", "InvalidParameterException", "no such task", 400)]
    desk.submit("RUNNING")
    await desk.settle()
    assert desk.heard == [] and desk.acknowledged == [("t", "RUNNING", False)]


async def test_any_other_refusal_is_repeated_with_growing_pauses(desk: Desk) -> None:
    desk.listener.trouble = [CallRefused("Submit", "AccessDeniedException", "no", 400)] * 3
    desk.submit("RUNNING")
    await desk.settle()
    await desk.clock.step(0.5)
    assert len(desk.listener.trouble) == 2
    await desk.clock.step(10)
    await desk.settle()
    assert desk.heard == ["RUNNING"]


async def test_a_platform_that_is_back_is_told_at_once(desk: Desk) -> None:
    desk.listener.trouble = [PlatformUnreachable("gone")]
    desk.submit("STOPPED")
    await desk.settle()
    desk.reporter.try_now()
    await desk.settle()
    assert desk.heard == ["STOPPED"]


async def test_ten_tasks_report_at_a_time(desk: Desk) -> None:
    desk.listener.gate.clear()
    for number in range(25):
        desk.submit("RUNNING", f"t{number}")
    await desk.settle()
    assert desk.listener.most_at_once == 10
    desk.listener.gate.set()
    await desk.settle()
    assert len(desk.heard) == 25


async def test_what_is_of_no_interest_any_more_is_forgotten(desk: Desk) -> None:
    desk.listener.gate.clear()
    desk.submit("RUNNING")
    await desk.settle()
    await desk.reporter.forget_all()
    assert desk.reporter.waiting == 0 and desk.acknowledged == []
