"""Who waits for room is woken by what can give it, and not by everything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from longshore.kit.resource import Kind
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, Attribute, ContainerInstance, HostPort, Reservation, Task
from longshore.services.ecs.placement.request import PlacementRequest, of_group
from longshore.services.ecs.placement.waiting import may_unblock
from longshore.store.base import Change
from tests.services.ecs.placement.worlds import instance, place, requests, task, worlds


def change(kind: Kind[Any], old: Any, new: Any) -> Change[Any]:
    return Change(kind, "key", old, new)


def stopped(one: Task) -> Task:
    return replace(one, status=replace(one.status, last_status="STOPPED"))


HOLDER = task("t", "x", reservation=Reservation(cpu=10, ports=(HostPort(80),)))


@pytest.mark.parametrize(
    ("reasons", "old", "new", "worth"),
    [
        ({"RESOURCE:CPU"}, HOLDER, stopped(HOLDER), True),
        ({"RESOURCE:PORTS"}, HOLDER, stopped(HOLDER), True),
        ({"RESOURCE:MEMORY"}, HOLDER, stopped(HOLDER), False),
        ({"RESOURCE:PORTS_UDP"}, HOLDER, stopped(HOLDER), False),
        ({"AGENT", "ATTRIBUTE"}, HOLDER, stopped(HOLDER), False),
        ({of_group("service:web")}, HOLDER, stopped(HOLDER), True),
        ({of_group("service:db")}, HOLDER, stopped(HOLDER), False),
        ({"RESOURCE:CPU"}, None, HOLDER, False),
        ({"RESOURCE:CPU"}, stopped(HOLDER), None, False),
    ],
)
def test_a_task_that_stops_wakes_those_that_lacked_what_it_held(reasons: set[str], old: Task, new: Task, worth: bool) -> None:
    assert may_unblock(frozenset(reasons), change(TASKS, old, new)) is worth


def test_instances_wake_when_they_come_to_offer_more() -> None:
    there = instance("x")
    wakes = [
        (None, there),
        (replace(there, agent_connected=False), there),
        (replace(there, status="DRAINING"), there),
        (there, replace(there, attributes=(Attribute("a", "b"),))),
        (there, replace(there, capacity=replace(there.capacity, enis=1))),
    ]
    assert all(may_unblock(frozenset({"RESOURCE:CPU"}), change(CONTAINER_INSTANCES, old, new)) for old, new in wakes)
    sleeps = [
        (there, None),
        (there, replace(there, status="DRAINING")),
        (there, replace(there, agent_connected=False)),
        (there, replace(there, agent_hash="x")),
        (there, replace(there, capacity=replace(there.capacity, cpu=1))),
    ]
    assert not any(may_unblock(frozenset({"RESOURCE:CPU"}), change(CONTAINER_INSTANCES, old, new)) for old, new in sleeps)


@given(requests, worlds(), worlds(), st.data())
def test_nobody_sleeps_through_the_change_that_makes_room(
    wanted: PlacementRequest,
    world: tuple[list[ContainerInstance], list[Task]],
    other: tuple[list[ContainerInstance], list[Task]],
    data: st.DataObject,
) -> None:
    instances, tasks = world
    refused = place(wanted, *instances, tasks=tasks)
    if refused.instance_arn is not None:
        return
    if tasks and data.draw(st.booleans()):
        old: Any = data.draw(st.sampled_from(tasks))
        new: Any = replace(old, status=replace(old.status, last_status=data.draw(st.sampled_from(["RUNNING", "STOPPED"]))))
        after = place(wanted, *instances, tasks=[new if one is old else one for one in tasks])
        moved = change(TASKS, old, new)
    elif instances or other[0]:
        old = data.draw(st.sampled_from([None, *instances]))
        like = data.draw(st.sampled_from([*instances, *other[0]]))
        new = replace(like, arn="new") if old is None else replace(like, arn=old.arn)
        after = place(wanted, *[one for one in instances if one is not old], new, tasks=tasks)
        moved = change(CONTAINER_INSTANCES, old, new)
    else:
        return
    if after.instance_arn is not None:
        assert may_unblock(refused.reasons, moved)
