"""The waiters of AWS's own clients come to their end: API, scheduler and agent reports together, without sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import botocore.session
import pytest
from botocore.waiter import SingleWaiterConfig, WaiterModel

from longshore.control.deployments.controller import Deployments
from longshore.control.loop import Loop
from longshore.services.ecs.model import TASKS
from tests.services.ecs.conftest import Ecs


class Waiter:
    """One of botocore's, which is asked instead of waiting by itself."""

    def __init__(self, name: str) -> None:
        model: WaiterModel = WaiterModel(botocore.session.get_session().get_component("data_loader").load_service_model("ecs", "waiters-2"))
        self._config: SingleWaiterConfig = model.get_waiter(name)

    async def state(self, ecs: Ecs, **members: Any) -> str:
        answer = await ecs(self._config.operation, **members)
        for acceptor in self._config.acceptors:
            if acceptor.matcher_func(answer):
                return str(acceptor.state)
        return "retry"


@pytest.fixture
async def scheduled(ecs: Ecs) -> AsyncIterator[Ecs]:
    call = ecs.call
    job = asyncio.create_task(Loop(Deployments(call.store, call.clock, call.ids, call.site), call.store, call.clock, call.ids).run())
    await ecs.cluster()
    await ecs.define()
    await ecs.instance()
    yield ecs
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)


async def settle(ecs: Ecs) -> None:
    calm, revision = 0, ecs.call.store.revision
    while calm < 40:
        await asyncio.sleep(0)
        calm = calm + 1 if ecs.call.store.revision == revision else 0
        revision = ecs.call.store.revision


async def report_all(ecs: Ecs, before: str, after: str) -> None:
    """Every task that is `before` becomes `after`, as its agent says."""
    await settle(ecs)
    for task in ecs.call.store.list(TASKS):
        if task.last_status == before:
            await ecs.report(task.arn, after)
    await settle(ecs)


@pytest.mark.parametrize("strategy", ["REPLICA", "DAEMON"])
async def test_services_stable_and_services_inactive(scheduled: Ecs, strategy: str) -> None:
    stable, inactive = Waiter("ServicesStable"), Waiter("ServicesInactive")
    count = {"desiredCount": 2} if strategy == "REPLICA" else {}
    await scheduled("CreateService", serviceName="web", taskDefinition="web", schedulingStrategy=strategy, **count)
    await settle(scheduled)
    assert await stable.state(scheduled, services=["web"]) == "retry"
    await report_all(scheduled, "PENDING", "RUNNING")
    assert await stable.state(scheduled, services=["web"]) == "success"
    await scheduled("UpdateService", service="web", taskDefinition=await scheduled.define())
    await settle(scheduled)
    assert await stable.state(scheduled, services=["web"]) == "retry"
    for _ in range(3):
        await report_all(scheduled, "STOPPING", "STOPPED")
        await report_all(scheduled, "PENDING", "RUNNING")
        await scheduled.clock.step(41)
        await report_all(scheduled, "STOPPING", "STOPPED")
    assert await stable.state(scheduled, services=["web"]) == "success"
    assert await inactive.state(scheduled, services=["web"]) == "retry"
    await scheduled("DeleteService", service="web", force=True)
    await settle(scheduled)
    assert await inactive.state(scheduled, services=["web"]) == "retry"
    await report_all(scheduled, "STOPPING", "STOPPED")
    assert await inactive.state(scheduled, services=["web"]) == "success"


async def test_tasks_running_and_tasks_stopped(scheduled: Ecs) -> None:
    running, stopped = Waiter("TasksRunning"), Waiter("TasksStopped")
    (task,) = (await scheduled("RunTask", taskDefinition="web"))["tasks"]
    arns = [task["taskArn"]]
    assert await running.state(scheduled, tasks=arns) == "retry"
    await report_all(scheduled, "PENDING", "RUNNING")
    assert await running.state(scheduled, tasks=arns) == "success"
    assert await stopped.state(scheduled, tasks=arns) == "retry"
    await scheduled("StopTask", task=arns[0])
    await report_all(scheduled, "STOPPING", "STOPPED")
    assert await stopped.state(scheduled, tasks=arns) == "success"
    assert await running.state(scheduled, tasks=arns) == "failure"


async def test_a_drained_instance_becomes_empty_while_its_service_stays_stable(scheduled: Ecs) -> None:
    stable = Waiter("ServicesStable")
    await scheduled("CreateService", serviceName="web", taskDefinition="web", desiredCount=2)
    await report_all(scheduled, "PENDING", "RUNNING")
    await scheduled.clock.step(41)
    await scheduled.instance(2)
    drained = scheduled.call.store.list(TASKS)[0].container_instance_arn
    await scheduled("UpdateContainerInstancesState", containerInstances=[drained], status="DRAINING")
    await report_all(scheduled, "PENDING", "RUNNING")
    await scheduled.clock.step(41)
    await report_all(scheduled, "STOPPING", "STOPPED")
    (shown,) = (await scheduled("DescribeContainerInstances", containerInstances=[drained]))["containerInstances"]
    assert (shown["status"], shown["runningTasksCount"], shown["pendingTasksCount"]) == ("DRAINING", 0, 0)
    assert await stable.state(scheduled, services=["web"]) == "success"
