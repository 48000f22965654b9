"""What agents say their tasks use: read with care, shown while it is fresh, and only of tasks of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.aws.errors import AwsError
from longshore.services.ecs.operations.utilization import GetUtilizationRequest, GetUtilizationResponse, get_utilization
from longshore.services.ecs.utilisation import FRESH_S, ContainerUse, Utilisation, uses_of
from tests.services.ecs.conftest import Ecs


def metrics(task: str, **containers: tuple[float, float]) -> dict[str, Any]:
    """CPU percent and MiB of each container, as an agent says it of twenty samples."""
    said = [
        {
            "containerName": name,
            "cpuStatsSet": {"min": 0, "max": 99, "sampleCount": 20, "sum": 20 * cpu},
            "memoryStatsSet": {"min": 0, "max": 99, "sampleCount": 20, "sum": 20 * memory},
        }
        for name, (cpu, memory) in containers.items()
    ]
    return {"metadata": {}, "taskMetrics": [{"taskArn": task, "containerMetrics": said}]}


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["sampleCount", "sum", "x"]), inner, max_size=3),
    max_leaves=8,
)
_container = st.fixed_dictionaries({}, optional={"containerName": _json, "cpuStatsSet": _json, "memoryStatsSet": _json})
_task = st.fixed_dictionaries({}, optional={"taskArn": _json, "containerMetrics": _json | st.lists(_container, max_size=2)})


@given(st.fixed_dictionaries({}, optional={"taskMetrics": _json | st.lists(_task, max_size=3)}))
def test_whatever_an_agent_sends_is_read_as_far_as_it_makes_sense(message: dict[str, Any]) -> None:
    for arn, containers in uses_of(message).items():
        assert isinstance(arn, str)
        assert all(0 <= one.cpu_percent < float("inf") and 0 <= one.memory_mib < float("inf") for one in containers)


def test_averages_are_over_the_samples() -> None:
    assert uses_of(metrics("arn:t", web=(2.5, 64), side=(0.5, 8))) == {
        "arn:t": (ContainerUse("web", 2.5, 64.0), ContainerUse("side", 0.5, 8.0))
    }


async def test_it_is_shown_of_tasks_and_of_their_instances_for_as_long_as_it_is_fresh(ecs: Ecs) -> None:
    await ecs.cluster()
    instance, other = await ecs.instance(1), await ecs.instance(2)
    definition = await ecs.define()
    started = await ecs("StartTask", taskDefinition=definition, containerInstances=[instance])
    task = started["tasks"][0]["taskArn"]
    call = replace(ecs.call, utilisation=Utilisation())

    async def ask(**members: Any) -> GetUtilizationResponse:
        response: GetUtilizationResponse = await get_utilization(call, GetUtilizationRequest(**members))
        return response

    call.utilisation.note(other, metrics(task, app=(50.0, 500)), ecs.clock.now())
    assert (await ask(tasks=(task,))).tasks == (), "another instance's agent has no say"
    call.utilisation.note(instance, metrics(task, app=(2.5, 64), side=(0.5, 8)), ecs.clock.now())
    answer = await ask(tasks=(task, "0" * 32), container_instances=(instance, other))
    assert [(one.task_arn, one.cpu_percent, one.memory_mib, len(one.containers)) for one in answer.tasks] == [(task, 3.0, 72.0, 2)]
    assert [(one.cpu_percent, one.memory_mib, one.reported_tasks) for one in answer.container_instances] == [(3.0, 72.0, 1), (0.0, 0.0, 0)]
    await ecs.clock.step(FRESH_S + 1)
    assert (await ask(tasks=(task,))).tasks == ()
    call.utilisation.note(instance, {}, ecs.clock.now())
    assert call.utilisation._tasks == {}, "what is old goes"
    with pytest.raises(AwsError, match="must be named"):
        await ask()
