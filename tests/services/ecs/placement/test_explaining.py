"""LongshoreExplainPlacement: what it says is what happens, and every instance says why."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.aws.errors import AwsError
from longshore.services.ecs.api import api
from longshore.services.ecs.model import TASKS, ContainerInstance, Task
from longshore.services.ecs.placement.explain import Explained
from longshore.services.ecs.placement.request import PlacementRequest
from longshore.services.ecs.placement.shapes import EXPLAIN_PLACEMENT
from tests.services.ecs.conftest import Ecs
from tests.services.ecs.conftest import ecs as ecs_fixture
from tests.services.ecs.placement import oracle
from tests.services.ecs.placement.worlds import columns_of, place_all, requests, worlds

ecs = ecs_fixture


async def explain(ecs: Ecs, **members: Any) -> dict[str, Any]:
    request = msgspec.convert(members, EXPLAIN_PLACEMENT.request)
    declared = api.operations["LongshoreExplainPlacement"]
    assert list(declared.resource(ecs.call, request))
    return dict(msgspec.json.decode(msgspec.json.encode(await declared.handle(ecs.call, request))))


async def ready(ecs: Ecs, **define: Any) -> list[str]:
    await ecs.cluster()
    arns = [await ecs.instance(number + 1, zone=("us-east-1a", "us-east-1b")[number % 2]) for number in range(3)]
    await ecs.define(**define)
    return arns


async def test_what_is_foretold_comes_true(ecs: Ecs) -> None:
    await ready(ecs, container={"cpu": 10, "memory": 100})
    told = await explain(ecs, taskDefinition="web", count=5)
    made = (await ecs("RunTask", taskDefinition="web", count=5))["tasks"]
    assert told["placements"] == [task["containerInstanceArn"] for task in made]
    assert told["placed"] == 5
    assert "failure" not in told
    assert told["instances"][0]["rank"] == 1
    assert told["instances"][0]["containerInstanceArn"] == told["placements"][0]


async def test_an_impossible_task_is_told_by_every_instance_with_numbers(ecs: Ecs) -> None:
    arns = await ready(ecs, container={"cpu": 10, "memory": 100_000})
    told = await explain(ecs, taskDefinition="web", placementConstraints=[{"type": "memberOf", "expression": "attribute:x exists"}])
    assert told["failure"]["reason"] == "RESOURCE:MEMORY"
    assert told["failure"]["refusals"] == {"RESOURCE:MEMORY": 3}
    assert told["failure"]["message"].endswith("has insufficient memory available.")
    assert {one["containerInstanceArn"] for one in told["instances"]} == set(arns)
    for one in told["instances"]:
        assert one["verdict"] == "REFUSED"
        assert one["reasons"] == ["RESOURCE:MEMORY", "MemberOf placement constraint unsatisfied."]
        memory = next(resource for resource in one["resources"] if resource["name"] == "MEMORY")
        assert (memory["asked"], memory["fits"]) == (100_000, False)
        assert one["constraints"] == [{"type": "memberOf", "expression": "attribute:x exists", "satisfied": False}]


async def test_what_if_an_instance_drains_and_a_zone_is_lost(ecs: Ecs) -> None:
    first, _, third = await ready(ecs, container={"cpu": 10, "memory": 100})
    told = await explain(ecs, taskDefinition="web", count=2, whatIf={"drainedInstances": [first], "lostZones": ["us-east-1b"]})
    assert told["placements"] == [third, third]
    verdicts = {one["containerInstanceArn"]: (one["verdict"], one["status"]) for one in told["instances"]}
    assert verdicts == {third: ("CHOSEN", "ACTIVE"), first: ("REFUSED", "DRAINING")}
    assert (await explain(ecs, taskDefinition="web", whatIf={"cpu": 10**6}))["failure"]["reason"] == "RESOURCE:CPU"
    assert (await explain(ecs, taskDefinition="web"))["placed"] == 1


async def test_a_service_tells_where_the_tasks_of_a_lost_zone_would_go(ecs: Ecs) -> None:
    await ready(ecs, container={"cpu": 10, "memory": 100})
    await ecs("CreateService", serviceName="site", taskDefinition="web", desiredCount=2)
    service = f"{ecs.call.arn('ecs', 'service/default/site')}"
    (task, *_) = (await ecs("RunTask", taskDefinition="web"))["tasks"]
    kept = ecs.call.store.get(TASKS, task["taskArn"])
    assert kept is not None
    spec = msgspec.structs.replace(kept.spec, service_arn=service, group="service:site")
    await ecs.call.store.transact(lambda tx: tx.put(TASKS, msgspec.structs.replace(kept, spec=spec)))
    told = await explain(ecs, service="site", count=1)
    assert (told["group"], told["count"]) == ("service:site", 1)
    assert (await explain(ecs, service="site", whatIf={"lostInstances": [task["containerInstanceArn"]]}))["count"] == 1


async def test_a_task_tells_how_it_came_to_its_place(ecs: Ecs) -> None:
    await ready(ecs, container={"cpu": 10, "memory": 100})
    _, task = (await ecs("RunTask", taskDefinition="web", count=2))["tasks"]
    told = await explain(ecs, task=task["taskArn"])
    decision = told["decision"]
    assert (decision["instances"], decision["candidates"]) == (3, 3)
    assert decision["containerInstanceArn"] == task["containerInstanceArn"]
    assert [(one["type"], one["score"]) for one in decision["scores"]] == [("spread", 0), ("spread", 0)]
    # asked now, it would go to where it is: it does not stand in its own way
    assert told["placements"] == [task["containerInstanceArn"]]


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"task": "a" * 32, "service": "b"},
        {"taskDefinition": "web", "whatIf": {"lostInstances": ["i-0"]}},
        {"task": "a" * 32},
        {"taskDefinition": "web", "placementConstraints": [{"type": "memberOf", "expression": "attribute:"}]},
    ],
)
async def test_what_makes_no_sense_is_refused(ecs: Ecs, members: dict[str, Any]) -> None:
    await ready(ecs)
    with pytest.raises(AwsError) as caught:
        await explain(ecs, **members)
    assert caught.value.wire("json")[0] == "InvalidParameterException"


# ── laws ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(requests, worlds(), st.integers(1, 4))
def test_an_explanation_agrees_with_placement_and_with_the_slow_one(
    wanted: PlacementRequest, world: tuple[list[ContainerInstance], list[Task]], count: int
) -> None:
    explained = Explained(columns_of(*world).copy(), wanted, count)
    placements = place_all(wanted, columns_of(*world), count)
    assert explained.placements == [one.instance_arn for one in placements if one.instance_arn is not None]
    assert (explained.refused is None) == (placements[-1].instance_arn is not None)
    sites = {site.instance.arn: site for site in oracle.sites_of(*world)}
    asked = {site.instance.arn for site in oracle.asked(wanted, list(sites.values()))}
    instances, left_out = explained.instances(1000)
    assert left_out == 0
    assert {one.container_instance_arn for one in instances} == set(sites)
    for one in instances:
        refusals = oracle.refusals(wanted, sites[one.container_instance_arn])
        fits = one.container_instance_arn in asked and not refusals
        assert (one.rank is not None) == fits
        assert set(refusals) <= set(one.reasons)
        assert bool(one.reasons) != fits
        assert one.tasks_placed == explained.placements.count(one.container_instance_arn)
        if one.rank == 1:
            assert explained.placements[0] == one.container_instance_arn
            assert all(score.kept for score in one.scores)
    assert sorted(one.rank for one in instances if one.rank) == list(range(1, sum(one.rank is not None for one in instances) + 1))
