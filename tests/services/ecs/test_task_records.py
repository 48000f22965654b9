"""Flight records and the history of tasks, as they are written, read and put together out of store and archive."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.config import History
from longshore.control.expiry.controller import Expiry
from longshore.services.ecs.flight.entries import FLIGHT
from tests.services.ecs.conftest import Ecs

WEEK_S = 7 * 24 * 3600.0


async def ended(ecs: Ecs, family: str = "web", *, code: int = 0, **run: Any) -> str:
    (task,) = (await ecs("RunTask", taskDefinition=family, **run))["tasks"]
    arn = str(task["taskArn"])
    await ecs.report(arn, "RUNNING", containers=[{"containerName": "app", "status": "RUNNING", "runtimeId": "c0ffee"}])
    await ecs.clock.step(1)
    await ecs.report(arn, "STOPPED", containers=[{"containerName": "app", "status": "STOPPED", "exitCode": code}])
    return arn


async def ready(ecs: Ecs) -> None:
    await ecs.cluster()
    await ecs.instance(1)
    await ecs.define("web")
    await ecs.define("api")


async def an_hour_passes(ecs: Ecs, history: History | None = None) -> None:
    await ecs.clock.step(3601)
    await Expiry(ecs.call.store, ecs.clock, ecs.call.archive, history or History()).reconcile("everything")


async def listed(ecs: Ecs, **asked: Any) -> list[str]:
    found: list[str] = []
    while True:
        page = await ecs("LongshoreListTaskHistory", **asked)
        found += [task["taskArn"] for task in page["tasks"]]
        if "nextToken" not in page:
            return found
        asked["nextToken"] = page["nextToken"]


async def test_a_record_is_kept_with_the_task_and_told_with_it(ecs: Ecs) -> None:
    await ready(ecs)
    (task,) = (await ecs("RunTask", taskDefinition="web", tags=[{"key": "a", "value": "b"}]))["tasks"]
    flight = {
        "name": "app",
        "exitCode": 137,
        "signal": "SIGKILL",
        "oomKilled": True,
        "logTail": "last words",
        "probes": [{"at": 1.5, "exitCode": 1}],
    }
    answer = await ecs("LongshoreSubmitTaskRecord", task=task["taskArn"], containers=[flight])
    assert answer == {"acknowledgment": "ACCEPT"}
    told = await ecs("LongshoreGetTaskRecord", task=task["taskArn"])
    assert told["containers"] == [flight]
    assert (told["task"]["taskArn"], told["task"]["tags"], told["archived"]) == (task["taskArn"], [{"key": "a", "value": "b"}], False)
    assert told["ec2InstanceId"] == f"i-{1:017x}"


async def test_a_record_again_takes_the_place_of_the_first(ecs: Ecs) -> None:
    await ready(ecs)
    (task,) = (await ecs("RunTask", taskDefinition="web"))["tasks"]
    for words in ("first", "second"):
        await ecs("LongshoreSubmitTaskRecord", task=task["taskArn"], containers=[{"name": "app", "logTail": words}])
    assert (await ecs("LongshoreGetTaskRecord", task=task["taskArn"]))["containers"][0]["logTail"] == "second"
    assert await ecs.call.archive.count(FLIGHT) == 1


@pytest.mark.parametrize(
    "containers",
    [
        [{"name": "stranger"}],
        [{"name": "app", "logTail": "x" * 20_000}],
        [{"name": "app", "error": "x" * 5_000}],
        [{"name": "app", "probes": [{"at": 1.0, "exitCode": 0}] * 11}],
        [{"name": "app"}] * 51,
    ],
    ids=["another's container", "a long log", "a long error", "many probes", "many containers"],
)
async def test_what_no_record_can_be_is_refused(ecs: Ecs, containers: list[dict[str, Any]]) -> None:
    await ready(ecs)
    (task,) = (await ecs("RunTask", taskDefinition="web"))["tasks"]
    code, _ = await ecs.refused("LongshoreSubmitTaskRecord", task=task["taskArn"], containers=containers)
    assert code == "InvalidParameterException"
    assert await ecs.call.archive.count(FLIGHT) == 0


async def test_a_record_of_a_task_that_nobody_knows_is_refused(ecs: Ecs) -> None:
    await ready(ecs)
    for operation, more in (("LongshoreSubmitTaskRecord", {"containers": []}), ("LongshoreGetTaskRecord", {})):
        assert (await ecs.refused(operation, task="f" * 32, **more))[0] == "InvalidParameterException"


async def test_a_task_is_known_after_describe_tasks_has_forgotten_it(ecs: Ecs) -> None:
    await ready(ecs)
    arn = await ended(ecs, code=3)
    await ecs("LongshoreSubmitTaskRecord", task=arn, containers=[{"name": "app", "exitCode": 3, "logTail": "why"}])
    before = await ecs("LongshoreGetTaskRecord", task=arn)
    await an_hour_passes(ecs)
    assert (await ecs("DescribeTasks", tasks=[arn]))["failures"][0]["reason"] == "MISSING"
    after = await ecs("LongshoreGetTaskRecord", task=arn)
    assert after == {**before, "archived": True}


async def test_history_goes_on_from_the_store_into_the_archive(ecs: Ecs) -> None:
    await ready(ecs)
    old = [await ended(ecs) for _ in range(3)]
    await an_hour_passes(ecs)
    new = [await ended(ecs) for _ in range(2)]
    everything = [*reversed(new), *reversed(old)]
    assert await listed(ecs) == everything
    assert await listed(ecs, maxResults=2) == everything
    page = await ecs("LongshoreListTaskHistory")
    assert [task["archived"] for task in page["tasks"]] == [False] * 2 + [True] * 3


async def test_history_is_narrowed_on_both_sides_of_the_hour(ecs: Ecs) -> None:
    await ready(ecs)
    arns = {}
    for side in ("archive", "store"):
        for name, asked in {
            "web": {"family": "web"},
            "api": {"family": "api"},
            "failed": {"family": "web", "code": 1},
            "mine": {"family": "web", "startedBy": "me"},
        }.items():
            arns[side, name] = await ended(ecs, **asked)
        if side == "archive":
            await an_hour_passes(ecs)
    middle = ecs.clock.now() - 3600

    def both(*names: str) -> set[str]:
        return {arns[side, name] for side in ("archive", "store") for name in names}

    assert set(await listed(ecs, family="api")) == both("api")
    assert set(await listed(ecs, failedOnly=True)) == both("failed")
    assert set(await listed(ecs, startedBy="me", family="web")) == both("mine")
    assert await listed(ecs, startedBy="me", failedOnly=True) == []
    assert len(await listed(ecs, since=middle)) == 4
    assert len(await listed(ecs, until=middle)) == 4
    assert await listed(ecs, serviceName="nobody") == []


async def test_a_token_is_good_for_its_own_question(ecs: Ecs) -> None:
    await ready(ecs)
    for _ in range(3):
        await ended(ecs)
    page = await ecs("LongshoreListTaskHistory", maxResults=1)
    assert (await ecs.refused("LongshoreListTaskHistory", family="web", nextToken=page["nextToken"]))[0] == "InvalidParameterException"


async def test_who_was_asked_to_stop_has_not_failed(ecs: Ecs) -> None:
    await ready(ecs)
    (task,) = (await ecs("RunTask", taskDefinition="web"))["tasks"]
    await ecs("StopTask", task=task["taskArn"], reason="enough")
    await ecs.report(task["taskArn"], "STOPPED", containers=[{"containerName": "app", "status": "STOPPED", "exitCode": 137}])
    (shown,) = (await ecs("LongshoreListTaskHistory"))["tasks"]
    assert (shown["failed"], shown["stoppedReason"], shown["containers"][0]["exitCode"]) == (False, "enough", 137)


async def test_history_and_records_end_after_their_time(ecs: Ecs) -> None:
    await ready(ecs)
    arn = await ended(ecs)
    await ecs("LongshoreSubmitTaskRecord", task=arn, containers=[{"name": "app"}])
    await an_hour_passes(ecs)
    await ecs.clock.step(WEEK_S)
    await an_hour_passes(ecs)
    assert await listed(ecs) == []
    assert await ecs.call.archive.count(FLIGHT) == 0
    assert (await ecs.refused("LongshoreGetTaskRecord", task=arn))[0] == "InvalidParameterException"


async def test_stopped_tasks_are_shown_for_as_long_as_was_asked(ecs: Ecs) -> None:
    await ready(ecs)
    arn = await ended(ecs)
    await an_hour_passes(ecs, History(stopped_tasks_kept_s=24 * 3600.0))
    assert (await ecs("DescribeTasks", tasks=[arn]))["failures"] == []
    assert (await ecs("ListTasks", desiredStatus="STOPPED"))["taskArns"] == [arn]


async def test_the_oldest_history_goes_when_there_is_too_much(ecs: Ecs) -> None:
    await ready(ecs)
    arns = [await ended(ecs) for _ in range(5)]
    await an_hour_passes(ecs, History(task_history_most=2))
    assert await listed(ecs) == [arns[4], arns[3]]


async def test_no_history_is_kept_where_none_is_wanted(ecs: Ecs) -> None:
    await ready(ecs)
    await ended(ecs)
    await an_hour_passes(ecs, History(task_history_kept_s=0.0))
    assert await listed(ecs) == []
