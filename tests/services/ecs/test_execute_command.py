"""ExecuteCommand and LongshoreOpenTaskLogs: who is offered a session, into what, and what keeps it from others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from longshore.aws.errors import AwsError
from longshore.services.ecs.exec import rules
from longshore.services.ecs.exec.model import EXEC_SESSIONS, MOST_SESSIONS, ExecSession
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, Task
from longshore.store.base import Tx
from tests.services.ecs.conftest import Ecs

NOT_ENABLED = (
    "The execute command failed because execute command was not enabled when the task was run or the execute command agent "
    "isn’t running. Wait and try again or run a new task with execute command enabled and try again."
)


async def running_task(ecs: Ecs, *more: dict[str, Any], enabled: bool = True, agent: str = "longshore") -> str:
    await ecs.cluster()
    instance = await ecs.instance()

    def name_agent(tx: Tx) -> None:
        row = tx.get(CONTAINER_INSTANCES, instance)
        assert row is not None
        tx.put(CONTAINER_INSTANCES, replace(row, agent_hash=agent))

    await ecs.call.store.transact(name_agent)
    containers = [{"name": "app", "image": "busybox", "memory": 64}, *more]
    await ecs("RegisterTaskDefinition", family="web", containerDefinitions=containers)
    (task,) = (await ecs("RunTask", taskDefinition="web", enableExecuteCommand=enabled))["tasks"]
    seen = [{"containerName": container["name"], "status": "RUNNING", "runtimeId": "c0ffee"} for container in containers]
    await ecs.report(task["taskArn"], "RUNNING", containers=seen)
    return str(task["taskArn"])


async def execute(ecs: Ecs, task: str, **more: Any) -> dict[str, Any]:
    return await ecs("ExecuteCommand", **{"task": task, "command": "/bin/sh", "interactive": True, **more})


async def refusal(ecs: Ecs, task: str, **more: Any) -> tuple[str, str]:
    with pytest.raises(AwsError) as caught:
        await execute(ecs, task, **more)
    return caught.value.wire("json")[0], caught.value.message


async def test_a_session_is_offered_for_the_only_container(ecs: Ecs) -> None:
    task = await running_task(ecs)
    answer = await execute(ecs, task, command="sh -c 'echo \"a b\"'")
    assert (answer["taskArn"], answer["containerName"], answer["interactive"]) == (task, "app", True)
    session = answer["session"]
    assert session["sessionId"].startswith("ecs-execute-command-")
    assert session["streamUrl"] == f"ws://127.0.0.1:4566/v1/data-channel/{session['sessionId']}?role=publish_subscribe"
    (row,) = ecs.call.store.list(EXEC_SESSIONS)
    assert (row.command, row.status, row.task_arn) == (("sh", "-c", 'echo "a b"'), "OFFERED", task)
    assert session["tokenValue"] not in repr(row)


async def test_tasks_show_whether_they_can_be_gone_into(ecs: Ecs) -> None:
    task = await running_task(ecs)
    (shown,) = (await ecs("DescribeTasks", tasks=[task]))["tasks"]
    (agent,) = shown["containers"][0]["managedAgents"]
    assert (agent["name"], agent["lastStatus"]) == ("ExecuteCommandAgent", "RUNNING")
    await ecs.report(task, "STOPPED", containers=[{"containerName": "app", "status": "STOPPED", "exitCode": 0}])
    (shown,) = (await ecs("DescribeTasks", tasks=[task]))["tasks"]
    assert shown["containers"][0]["managedAgents"] == [{"name": "ExecuteCommandAgent", "lastStatus": "STOPPED"}]


async def test_a_task_that_did_not_ask_for_it_is_closed(ecs: Ecs) -> None:
    task = await running_task(ecs, enabled=False)
    assert await refusal(ecs, task) == ("InvalidParameterException", NOT_ENABLED)
    (shown,) = (await ecs("DescribeTasks", tasks=[task]))["tasks"]
    assert "managedAgents" not in shown["containers"][0]


async def test_a_task_that_is_to_stop_is_closed(ecs: Ecs) -> None:
    task = await running_task(ecs)
    await ecs("StopTask", task=task)
    assert await refusal(ecs, task) == ("InvalidParameterException", NOT_ENABLED)


async def test_one_of_several_containers_has_to_be_named(ecs: Ecs) -> None:
    task = await running_task(ecs, {"name": "side", "image": "busybox", "memory": 64})
    assert (await refusal(ecs, task))[0] == "InvalidParameterException"
    assert (await refusal(ecs, task, container="nobody"))[1] == "The container nobody does not exist in the task."
    assert (await execute(ecs, task, container="side"))["containerName"] == "side"


@pytest.mark.parametrize("command", ["", " ", "'unended", "''", "a\0b", "x" * 9000])
async def test_what_is_no_command_is_refused(ecs: Ecs, command: str) -> None:
    task = await running_task(ecs)
    assert (await refusal(ecs, task, command=command))[0] == "InvalidParameterException"


async def test_an_agent_that_cannot_is_told_of(ecs: Ecs) -> None:
    task = await running_task(ecs, agent="0123abcd")
    code, message = await refusal(ecs, task)
    assert (code, "AWS Systems Manager" in message) == ("TargetNotConnectedException", True)
    (shown,) = (await ecs("DescribeTasks", tasks=[task]))["tasks"]
    assert shown["containers"][0]["managedAgents"][0]["lastStatus"] == "STOPPED"


async def test_an_agent_that_is_away_is_told_of(ecs: Ecs) -> None:
    task = await running_task(ecs)
    (shown,) = (await ecs("DescribeTasks", tasks=[task]))["tasks"]
    await ecs.connect(shown["containerInstanceArn"], connected=False)
    assert (await refusal(ecs, task))[0] == "TargetNotConnectedException"


async def test_unknown_tasks_are_refused(ecs: Ecs) -> None:
    await ecs.cluster()
    assert (await refusal(ecs, "f" * 32))[0] == "InvalidParameterException"


async def test_a_policy_is_asked_about_the_container_that_is_meant(ecs: Ecs) -> None:
    from longshore.aws.shapes import ecs as shapes
    from longshore.services.ecs.api import api

    task = await running_task(ecs)
    declared = api.operations["ExecuteCommand"]
    request = shapes.ExecuteCommandRequest(task=task, command="x", interactive=True)
    assert declared.conditions is not None
    assert declared.conditions(ecs.call, request)["ecs:container-name"] == ["app"]
    assert list(declared.resource(ecs.call, request)) == [ecs.call.arn("ecs", "cluster/default"), task]


async def test_logs_are_offered_of_any_task_that_was_started(ecs: Ecs) -> None:
    task = await running_task(ecs, enabled=False)
    answer = await ecs("LongshoreOpenTaskLogs", task=task, follow=True, tail=5)
    assert answer["session"]["sessionId"].startswith("longshore-logs-")
    (row,) = ecs.call.store.list(EXEC_SESSIONS)
    assert (row.purpose, row.follow, row.tail, row.command) == ("logs", True, 5, ())
    await ecs.report(task, "STOPPED")
    await ecs("LongshoreOpenTaskLogs", task=task)


async def test_logs_of_what_never_ran_are_refused(ecs: Ecs) -> None:
    await ecs.cluster()
    await ecs.instance()
    await ecs.define()
    (task,) = (await ecs("RunTask", taskDefinition="web"))["tasks"]
    code, message = await ecs.refused("LongshoreOpenTaskLogs", task=task["taskArn"])
    assert (code, message) == ("InvalidParameterException", "The container app has not been started.")


async def test_only_so_many_sessions_are_offered_and_expired_ones_make_room(ecs: Ecs) -> None:
    task = await running_task(ecs)
    row = ecs.call.store.get(TASKS, task)
    assert isinstance(row, Task)

    def fill(tx: Tx) -> None:
        for number in range(MOST_SESSIONS):
            tx.put(EXEC_SESSIONS, ExecSession(f"s{number}", task, "", "", "app", "", "", ecs.clock.now(), ecs.clock.now() + 60))

    await ecs.call.store.transact(fill)
    assert (await refusal(ecs, task))[0] == "ClientException"
    await ecs.clock.step(61)
    assert (await execute(ecs, task))["containerName"] == "app"
    assert ecs.call.store.count(EXEC_SESSIONS) == 1


async def test_sessions_that_nobody_came_to_are_forgotten(ecs: Ecs) -> None:
    from longshore.config import History
    from longshore.control.expiry.controller import Expiry

    await execute(ecs, await running_task(ecs))
    expiry = Expiry(ecs.call.store, ecs.clock, ecs.call.archive, History())
    await expiry.reconcile("everything")
    assert ecs.call.store.count(EXEC_SESSIONS) == 1
    await ecs.clock.step(61)
    await expiry.reconcile("everything")
    assert ecs.call.store.count(EXEC_SESSIONS) == 0


async def test_of_many_who_come_with_a_token_one_is_let_in(ecs: Ecs) -> None:
    task = await running_task(ecs)
    session = (await execute(ecs, task))["session"]
    now = ecs.clock.now()
    attempts = (
        ecs.call.store.transact(lambda tx: rules.open_session(tx, session["sessionId"], session["tokenValue"], now)) for _ in range(8)
    )
    opened = await asyncio.gather(*attempts)
    assert sum(one is not None for one in opened) == 1
