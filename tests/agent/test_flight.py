"""The flight recorder: what is told of a task's end, in which order, and what happens where it cannot be told."""

from __future__ import annotations

import pytest

from longshore.agent.flight import MOST_BYTES, MOST_LINES, last_lines, signal_of
from longshore.runtime.base import NoSuchImage
from longshore.runtime.fake import Behaviour, FakeRuntime
from tests.agent.conftest import AgentUnderTest
from tests.agent.platform import Platform, container, task, task_arn


async def run(platform: Platform, *containers: dict[str, object], number: int = 1) -> None:
    await platform.connected()
    await platform.send_tasks(task(number, *containers))


async def test_the_record_comes_before_the_report_that_the_task_has_stopped(
    platform: Platform, agent: AgentUnderTest, engine: FakeRuntime
) -> None:
    await run(platform)
    await platform.reported(task_arn(1), "RUNNING")
    (state,) = engine.all()
    engine.write(state.id, b"last\n")
    engine.write(state.id, b"words", is_error=True)
    engine.exit(state.id, 137, oom_killed=True)
    await platform.reported(task_arn(1), "STOPPED")
    ((record, reports_before),) = platform.records
    assert [report["status"] for report in platform.reports[:reports_before]] == ["RUNNING"]
    assert (record["task"], record["cluster"]) == (task_arn(1), "default")
    (told,) = record["containers"]
    assert (told["name"], told["exitCode"], told["signal"], told["oomKilled"]) == ("main", 137, "SIGKILL", True)
    assert (told["logTail"], told["runtimeId"]) == ("last\nwords", state.id)
    assert told["startedAt"] <= told["finishedAt"]


async def test_what_never_ran_is_recorded_with_its_reason(platform: Platform, agent: AgentUnderTest, engine: FakeRuntime) -> None:
    engine.behave("bad:1", Behaviour(pull_failure=NoSuchImage("manifest unknown")))
    await run(platform, container(image="bad:1"))
    await platform.reported(task_arn(1), "STOPPED")
    (told,) = platform.records[0][0]["containers"]
    assert told["reason"].startswith("CannotPullContainerError") and "logTail" not in told


async def test_a_container_that_somebody_removed_is_recorded_without_its_words(
    platform: Platform, agent: AgentUnderTest, engine: FakeRuntime
) -> None:
    await run(platform)
    await platform.reported(task_arn(1), "RUNNING")
    engine.vanish(engine.all()[0].id)
    await platform.reported(task_arn(1), "STOPPED")
    (told,) = platform.records[0][0]["containers"]
    assert told["logError"] == "the container was removed before its end was recorded"


async def test_a_platform_that_takes_no_records_hears_the_report_all_the_same(
    platform: Platform, agent: AgentUnderTest, engine: FakeRuntime
) -> None:
    platform.refusals["LongshoreSubmitTaskRecord"] = [(400, {"__type": "UnknownOperationException", "message": "what?"})]
    await run(platform)
    await platform.reported(task_arn(1), "RUNNING")
    engine.exit(engine.all()[0].id, 0)
    await platform.reported(task_arn(1), "STOPPED")
    assert platform.records == []


async def test_a_record_that_was_not_heard_is_made_again(platform: Platform, agent: AgentUnderTest, engine: FakeRuntime) -> None:
    platform.refusals["LongshoreSubmitTaskRecord"] = [(500, {"__type": "ServerException", "message": "busy"})]
    await run(platform)
    await platform.reported(task_arn(1), "RUNNING")
    engine.exit(engine.all()[0].id, 3)
    await platform.reported(task_arn(1), "STOPPED")
    assert platform.calls.count("LongshoreSubmitTaskRecord") == 2
    assert platform.records[0][0]["containers"][0]["exitCode"] == 3


async def test_an_agent_that_crashes_before_its_report_is_heard_records_the_end_once_more(
    platform: Platform, agent: AgentUnderTest, engine: FakeRuntime
) -> None:
    platform.refusals["SubmitTaskStateChange"] = []
    await run(platform)
    await platform.reported(task_arn(1), "RUNNING")
    platform.refusals["SubmitTaskStateChange"] = [(500, {"__type": "ServerException", "message": "busy"})] * 3
    engine.write(engine.all()[0].id, b"why")
    engine.exit(engine.all()[0].id, 9)
    from tests.agent.platform import until

    await until(lambda: platform.records)
    await agent.crash()
    platform.refusals["SubmitTaskStateChange"] = []
    await agent.start()
    await platform.reported(task_arn(1), "STOPPED")
    assert len(platform.records) >= 2
    assert platform.records[-1][0]["containers"][0]["logTail"] == "why"


@pytest.mark.parametrize(("code", "name"), [(None, ""), (0, ""), (1, ""), (128, ""), (137, "SIGKILL"), (139, "SIGSEGV"), (255, "")])
def test_signals_are_read_off_exit_codes(code: int | None, name: str) -> None:
    assert signal_of(code) == name


async def test_only_the_end_of_what_was_written_is_kept() -> None:
    engine = FakeRuntime()
    container_id = await engine.create("c", {"Image": "bb:1"})
    await engine.start(container_id)
    for number in range(MOST_LINES + 50):
        engine.write(container_id, b"line %d\n" % number)
    text, is_cut = await last_lines(engine, container_id)
    assert (text.splitlines()[-1], len(text.splitlines()), is_cut) == (f"line {MOST_LINES + 49}", MOST_LINES, True)
    engine.write(container_id, b"x" * (3 * MOST_BYTES) + b"\nthe \0end\xff")
    text, is_cut = await last_lines(engine, container_id)
    assert (text, is_cut) == ("the end�", True)
