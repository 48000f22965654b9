"""Which changes wake a service that found no place."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from longshore.control.deployments.waiting import Waiting, ended_by_stop, may_take_more
from longshore.services.ecs.model import CONTAINER_INSTANCES, Attribute, Capacity, ContainerInstance
from longshore.store.base import Change

HERE = ContainerInstance("i", "cluster", "i-1", 0.0, Capacity(1024, 1024), agent_connected=True)


@pytest.mark.parametrize(
    ("reason", "ends"),
    [
        ("RESOURCE:CPU", True),
        ("RESOURCE:PORTS", True),
        ("DistinctInstance placement constraint unsatisfied.", True),
        ("MemberOf placement constraint unsatisfied.", True),
        ("AGENT", False),
        ("ATTRIBUTE", False),
        ("LOCATION", False),
        ("No Container Instances were found in your cluster.", False),
    ],
)
def test_a_task_that_stops_takes_some_reasons_away(reason: str, ends: bool) -> None:
    assert ended_by_stop(reason) is ends


@pytest.mark.parametrize(
    ("before", "after", "more"),
    [
        (None, HERE, True),
        (None, replace(HERE, agent_connected=False), False),
        (HERE, replace(HERE, version=7), False),
        (HERE, replace(HERE, status="DRAINING"), False),
        (replace(HERE, status="DRAINING"), HERE, True),
        (replace(HERE, agent_connected=False), HERE, True),
        (HERE, replace(HERE, attributes=(Attribute("colour", "blue"),)), True),
        (HERE, replace(HERE, capacity=Capacity(2048, 1024)), True),
        (HERE, None, False),
    ],
)
def test_an_instance_that_offers_more_may_take_it(before: ContainerInstance | None, after: ContainerInstance | None, more: bool) -> None:
    assert may_take_more(before, after) is more


def test_only_those_of_the_cluster_are_woken_and_only_while_they_wait() -> None:
    waiting = Waiting()
    waiting.begin("cluster", "web", frozenset({"RESOURCE:CPU", "AGENT"}))
    waiting.begin("cluster", "api", frozenset({"ATTRIBUTE"}))
    waiting.begin("other", "far", frozenset({"RESOURCE:CPU"}))
    assert list(waiting.for_stopped_task("cluster")) == ["web"]
    assert sorted(waiting.for_instance(Change(CONTAINER_INSTANCES, "i", None, HERE))) == ["api", "web"]
    waiting.end("cluster", "web")
    assert list(waiting.for_stopped_task("cluster")) == []
