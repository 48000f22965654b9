"""Services that wait for a place are remembered with their reasons. Which change can end which is a matter of placement's own tests."""

from __future__ import annotations

from msgspec.structs import replace

from longshore.control.deployments.waiting import Waiting
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, Capacity, ContainerInstance, Reservation, Task, TaskSpec, TaskStatus
from longshore.store.base import Change

HERE = ContainerInstance("i", "cluster", "i-1", 0.0, Capacity(1024, 1024), agent_connected=True)
RUNNING = Task("t", "cluster", TaskSpec("d", "g", 0.0, reservation=Reservation(cpu=10)), "i", status=TaskStatus("RUNNING"))
ENDED = Change(TASKS, "t", RUNNING, replace(RUNNING, status=TaskStatus("STOPPED")))


def test_only_those_of_the_cluster_are_woken_and_only_while_they_wait() -> None:
    waiting = Waiting()
    waiting.begin("cluster", "web", frozenset({"RESOURCE:CPU", "AGENT"}))
    waiting.begin("cluster", "api", frozenset({"ATTRIBUTE"}))
    waiting.begin("other", "far", frozenset({"RESOURCE:CPU"}))
    assert list(waiting.woken_by(ENDED)) == ["web"]
    assert sorted(waiting.woken_by(Change(CONTAINER_INSTANCES, "i", None, HERE))) == ["api", "web"]
    waiting.end("cluster", "web")
    assert list(waiting.woken_by(ENDED)) == []
    waiting.forget("far")
    assert (
        list(waiting.woken_by(Change(TASKS, "t", replace(RUNNING, cluster_arn="other"), replace(ENDED.value, cluster_arn="other")))) == []
    )
