"""Capacity providers: their life, the strategies that name them, and how those split tasks."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.capacity.split import split
from tests.services.ecs.conftest import ACCOUNT, REGION, Ecs

GROUP = f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:0f0f:autoScalingGroupName"


async def provider(ecs: Ecs, name: str, **settings: Any) -> dict[str, Any]:
    made = await ecs("CreateCapacityProvider", name=name, autoScalingGroupProvider={"autoScalingGroupArn": f"{GROUP}/{name}", **settings})
    found: dict[str, Any] = made["capacityProvider"]
    return found


async def associated(ecs: Ecs, *names: str, default: tuple[dict[str, Any], ...] = ()) -> None:
    """The default cluster, which may use these (new) providers; each has one connected instance."""
    await ecs.cluster()
    for number, name in enumerate(names):
        await provider(ecs, name)
        await ecs.instance(number + 1, attributes=(("longshore.capacity-provider", name),))
    await ecs(
        "PutClusterCapacityProviders", cluster="default", capacityProviders=list(names), defaultCapacityProviderStrategy=list(default)
    )


def item(name: str, weight: int = 0, base: int = 0) -> dict[str, Any]:
    return {"capacityProvider": name, "weight": weight, "base": base}


# ── providers ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_provider_is_kept_with_its_defaults(ecs: Ecs) -> None:
    made = await provider(ecs, "spot")
    assert made["capacityProviderArn"] == f"arn:aws:ecs:{REGION}:{ACCOUNT}:capacity-provider/spot"
    assert (made["status"], made["type"]) == ("ACTIVE", "EC2_AUTOSCALING")
    assert made["autoScalingGroupProvider"] == {
        "autoScalingGroupArn": f"{GROUP}/spot",
        "managedScaling": {
            "status": "DISABLED",
            "targetCapacity": 100,
            "minimumScalingStepSize": 1,
            "maximumScalingStepSize": 10000,
            "instanceWarmupPeriod": 300,
        },
        "managedTerminationProtection": "DISABLED",
        "managedDraining": "ENABLED",
    }
    assert (await ecs("DescribeCapacityProviders", capacityProviders=["spot"]))["capacityProviders"] == [made | {"tags": []}]


async def test_an_update_keeps_what_it_does_not_name(ecs: Ecs) -> None:
    await provider(ecs, "spot", managedScaling={"status": "ENABLED", "targetCapacity": 80}, managedTerminationProtection="ENABLED")
    updated = await ecs("UpdateCapacityProvider", name="spot", autoScalingGroupProvider={"managedScaling": {"instanceWarmupPeriod": 0}})
    settings = updated["capacityProvider"]["autoScalingGroupProvider"]
    assert (settings["managedScaling"]["targetCapacity"], settings["managedScaling"]["instanceWarmupPeriod"]) == (80, 0)
    assert settings["managedTerminationProtection"] == "ENABLED"
    assert updated["capacityProvider"]["updateStatus"] == "UPDATE_COMPLETE"


@pytest.mark.parametrize("name", ["", "aws-mine", "ECS1", "fargate", "a b", "x" * 256])
async def test_names_that_cannot_be_are_refused(ecs: Ecs, name: str) -> None:
    refused = await ecs.refused("CreateCapacityProvider", name=name, autoScalingGroupProvider={"autoScalingGroupArn": "group"})
    assert refused[0] == "InvalidParameterException"


@pytest.mark.parametrize(
    "settings",
    [
        {"managedTerminationProtection": "ENABLED"},
        {"managedScaling": {"minimumScalingStepSize": 5, "maximumScalingStepSize": 4}},
        {"autoScalingGroupArn": "arn:aws:autoscaling:eu-west-1:000000000000:autoScalingGroup:x:autoScalingGroupName/a"},
        {"autoScalingGroupArn": "arn:aws:ecs:::nothing"},
    ],
)
async def test_settings_that_cannot_be_are_refused(ecs: Ecs, settings: dict[str, Any]) -> None:
    group = {"autoScalingGroupArn": "group", **settings}
    assert (await ecs.refused("CreateCapacityProvider", name="spot", autoScalingGroupProvider=group))[0] == "InvalidParameterException"


async def test_neither_a_name_nor_a_group_is_used_twice(ecs: Ecs) -> None:
    await provider(ecs, "spot")
    for name in ("spot", "other"):
        refused = await ecs.refused("CreateCapacityProvider", name=name, autoScalingGroupProvider={"autoScalingGroupArn": f"{GROUP}/spot"})
        assert refused[0] == "ClientException"


async def test_awss_own_are_there_and_nobody_changes_them(ecs: Ecs) -> None:
    listed = (await ecs("DescribeCapacityProviders"))["capacityProviders"]
    assert [one["name"] for one in listed] == ["FARGATE", "FARGATE_SPOT"]
    assert (await ecs.refused("DeleteCapacityProvider", capacityProvider="FARGATE"))[0] == "InvalidParameterException"
    assert (await ecs.refused("UpdateCapacityProvider", name="FARGATE_SPOT", autoScalingGroupProvider={}))[0] == "InvalidParameterException"


async def test_managed_instances_are_refused_by_name(ecs: Ecs) -> None:
    template = {"ec2InstanceProfileArn": "arn:x", "networkConfiguration": {"subnets": ["subnet-1"]}}
    managed = {"infrastructureRoleArn": "arn:x", "instanceLaunchTemplate": template}
    refused = await ecs.refused("CreateCapacityProvider", name="managed", managedInstancesProvider=managed)
    assert refused[0] == "UnsupportedFeatureException"


async def test_pages_of_providers_hold_them_all_once(ecs: Ecs) -> None:
    for number in range(5):
        await provider(ecs, f"p{number}")
    names: list[str] = []
    more: dict[str, Any] = {}
    while True:
        answer = await ecs("DescribeCapacityProviders", maxResults=2, **more)
        names += [one["name"] for one in answer["capacityProviders"]]
        if "nextToken" not in answer:
            break
        more = {"nextToken": answer["nextToken"]}
    assert names == ["FARGATE", "FARGATE_SPOT", "p0", "p1", "p2", "p3", "p4"]


async def test_a_deleted_provider_is_inactive_and_its_name_free(ecs: Ecs) -> None:
    await associated(ecs, "spot")
    assert (await ecs.refused("DeleteCapacityProvider", capacityProvider="spot"))[0] == "ClientException"
    await ecs("PutClusterCapacityProviders", cluster="default", capacityProviders=[], defaultCapacityProviderStrategy=[])
    gone = (await ecs("DeleteCapacityProvider", capacityProvider="spot"))["capacityProvider"]
    assert (gone["status"], gone["updateStatus"]) == ("INACTIVE", "DELETE_COMPLETE")
    assert (await ecs("DescribeCapacityProviders", capacityProviders=["spot", "none"]))["failures"][0]["reason"] == "MISSING"
    await provider(ecs, "spot")


async def test_providers_have_tags(ecs: Ecs) -> None:
    arn = (await provider(ecs, "spot"))["capacityProviderArn"]
    await ecs("TagResource", resourceArn=arn, tags=[{"key": "a", "value": "b"}])
    described = await ecs("DescribeCapacityProviders", capacityProviders=[arn], include=["TAGS"])
    assert described["capacityProviders"][0]["tags"] == [{"key": "a", "value": "b"}]


# ── strategies ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_cluster_uses_what_it_is_told_to(ecs: Ecs) -> None:
    await associated(ecs, "od", "spot", default=(item("od", 1, 2), item("spot", 3)))
    (cluster,) = (await ecs("DescribeClusters"))["clusters"]
    assert cluster["capacityProviders"] == ["od", "spot"]
    assert cluster["defaultCapacityProviderStrategy"] == [item("od", 1, 2), item("spot", 3)]


@pytest.mark.parametrize(
    ("strategy", "code"),
    [
        ([item("other", 1)], "InvalidParameterException"),
        ([item("od", 1, 1), item("spot", 1, 1)], "InvalidParameterException"),
        ([item("od", 1), item("od", 2)], "InvalidParameterException"),
        ([item("od"), item("spot")], "InvalidParameterException"),
        ([item("od", 1)] * 21, "InvalidParameterException"),
        ([item("FARGATE", 1)], "InvalidParameterException"),
    ],
)
async def test_strategies_that_cannot_be_are_refused(ecs: Ecs, strategy: list[dict[str, Any]], code: str) -> None:
    await associated(ecs, "od", "spot")
    await ecs.define()
    assert (await ecs.refused("RunTask", taskDefinition="web", capacityProviderStrategy=strategy))[0] == code


async def test_a_strategy_and_a_launch_type_exclude_each_other(ecs: Ecs) -> None:
    await associated(ecs, "od")
    await ecs.define()
    refused = await ecs.refused("RunTask", taskDefinition="web", launchType="EC2", capacityProviderStrategy=[item("od", 1)])
    assert refused[0] == "InvalidParameterException"


async def test_fargate_can_be_named_by_a_cluster_and_runs_nothing(ecs: Ecs) -> None:
    await ecs.cluster()
    await ecs.define()
    fargate = {"capacityProviders": ["FARGATE", "FARGATE_SPOT"], "defaultCapacityProviderStrategy": [item("FARGATE", 1)]}
    await ecs("PutClusterCapacityProviders", cluster="default", **fargate)
    assert (await ecs.refused("RunTask", taskDefinition="web"))[0] == "UnsupportedFeatureException"


async def test_tasks_go_to_the_instances_of_their_provider_as_the_strategy_says(ecs: Ecs) -> None:
    await associated(ecs, "od", "spot")
    await ecs.define(container={"memory": 64})
    ran = await ecs("RunTask", taskDefinition="web", count=8, capacityProviderStrategy=[item("od", 1, 2), item("spot", 2)])
    instances = (await ecs("ListContainerInstances"))["containerInstanceArns"]
    described = (await ecs("DescribeContainerInstances", containerInstances=instances))["containerInstances"]
    provider_of = {one["containerInstanceArn"]: one["capacityProviderName"] for one in described}
    assert Counter(provider_of[task["containerInstanceArn"]] for task in ran["tasks"]) == {"od": 4, "spot": 4}


async def test_without_either_the_clusters_default_strategy_decides(ecs: Ecs) -> None:
    await associated(ecs, "od", "spot", default=(item("spot", 1),))
    await ecs.define()
    (task,) = (await ecs("RunTask", taskDefinition="web"))["tasks"]
    (instance,) = (await ecs("DescribeContainerInstances", containerInstances=[task["containerInstanceArn"]]))["containerInstances"]
    assert instance["capacityProviderName"] == "spot"
    made = (await ecs("CreateService", serviceName="site", taskDefinition="web", desiredCount=1))["service"]
    assert made["capacityProviderStrategy"] == [item("spot", 1)]
    assert "launchType" not in made


async def test_a_provider_in_use_stays_with_its_cluster(ecs: Ecs) -> None:
    await associated(ecs, "od", "spot")
    await ecs.define()
    (task,) = (await ecs("RunTask", taskDefinition="web", capacityProviderStrategy=[item("od", 1)]))["tasks"]
    fewer = {"cluster": "default", "capacityProviders": ["spot"], "defaultCapacityProviderStrategy": []}
    assert (await ecs.refused("PutClusterCapacityProviders", **fewer))[0] == "ResourceInUseException"
    await ecs.report(task["taskArn"], "STOPPED")
    await ecs("PutClusterCapacityProviders", **fewer)


async def test_another_strategy_is_a_new_deployment(ecs: Ecs) -> None:
    await associated(ecs, "od", "spot")
    await ecs.define()
    await ecs("CreateService", serviceName="site", taskDefinition="web", desiredCount=1)
    updated = await ecs("UpdateService", service="site", capacityProviderStrategy=[item("spot", 1)])
    assert len(updated["service"]["deployments"]) == 2
    assert updated["service"]["deployments"][0]["capacityProviderStrategy"] == [item("spot", 1)]


async def test_an_instance_moves_to_another_provider_with_its_attribute(ecs: Ecs) -> None:
    await ecs.cluster()
    arn = await ecs.instance()
    attribute = {"name": "longshore.capacity-provider", "value": "spot", "targetId": arn}
    await ecs("PutAttributes", attributes=[attribute])
    (shown,) = (await ecs("DescribeContainerInstances", containerInstances=[arn]))["containerInstances"]
    assert shown["capacityProviderName"] == "spot"
    await ecs("DeleteAttributes", attributes=[attribute])
    (shown,) = (await ecs("DescribeContainerInstances", containerInstances=[arn]))["containerInstances"]
    assert "capacityProviderName" not in shown


# ── the split ───────────────────────────────────────────────────────────────────────────────────────────────────────


def of(*given: tuple[str, int, int]) -> tuple[shapes.CapacityProviderStrategyItem, ...]:
    return tuple(shapes.CapacityProviderStrategyItem(capacity_provider=name, weight=weight, base=base) for name, weight, base in given)


@pytest.mark.parametrize(
    ("strategy", "count", "running", "expected"),
    [
        (of(("a", 1, 0), ("b", 1, 0)), 4, {}, {"a": 2, "b": 2}),
        (of(("a", 1, 0), ("b", 1, 0)), 1, {}, {"a": 1}),
        (of(("b", 1, 0), ("a", 1, 0)), 3, {}, {"b": 2, "a": 1}),
        (of(("a", 1, 0), ("b", 4, 0)), 5, {}, {"a": 1, "b": 4}),
        (of(("a", 1, 0), ("b", 4, 0)), 10, {}, {"a": 2, "b": 8}),
        (of(("a", 1, 3), ("b", 1, 0)), 2, {}, {"a": 2}),
        (of(("a", 1, 3), ("b", 1, 0)), 7, {}, {"a": 5, "b": 2}),
        (of(("a", 0, 2), ("b", 1, 0)), 5, {}, {"a": 2, "b": 3}),
        (of(("a", 1, 0), ("b", 1, 0)), 2, {"a": 2}, {"b": 2}),
        (
            of(
                ("a", 0, 0),
            ),
            3,
            {},
            {"a": 3},
        ),
        ((), 3, {}, {}),
    ],
)
def test_base_first_then_weights(strategy: Any, count: int, running: dict[str, int], expected: dict[str, int]) -> None:
    assert split(strategy, count, running) == expected


_STRATEGIES = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6)), min_size=1, max_size=6).filter(
    lambda all_: any(w for w, _ in all_)
)


@given(_STRATEGIES, st.integers(0, 40), st.integers(0, 40))
def test_at_once_or_one_after_the_other_comes_to_the_same(items: list[tuple[int, int]], first: int, second: int) -> None:
    strategy = of(*((f"p{number}", weight, base) for number, (weight, base) in enumerate(items)))
    there = split(strategy, first)
    both = Counter(there) + Counter(split(strategy, second, there))
    assert both == Counter(split(strategy, first + second))
    assert sum(both.values()) == first + second


@given(_STRATEGIES, st.integers(0, 200))
def test_no_task_would_be_fairer_elsewhere_and_nobody_has_less_than_its_share(items: list[tuple[int, int]], count: int) -> None:
    strategy = of(*((f"p{number}", weight, base) for number, (weight, base) in enumerate(items)))
    shares, bases = split(strategy, count), sum(base for _, base in items)
    if count < bases:
        return
    beyond = [(shares.get(f"p{number}", 0) - base, weight) for number, (weight, base) in enumerate(items) if weight or base]
    assert all(extra == 0 for extra, weight in beyond if not weight) or len(items) == 1
    weighted = [(extra, weight) for extra, weight in beyond if weight]
    assert all(one * other_weight <= (other + 1) * weight for one, weight in weighted for other, other_weight in weighted)
    total = sum(weight for _, weight in weighted)
    assert all(extra >= (count - bases) * weight // total for extra, weight in weighted)


# ── services ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_services_tasks_follow_its_strategy_as_it_grows(ecs: Ecs) -> None:
    from longshore.control.deployments.controller import Deployments
    from longshore.services.ecs.model import TASKS
    from longshore.services.ecs.rollout.model import SERVICES
    from tests.services.ecs.conftest import SITE

    await associated(ecs, "od", "spot", default=(item("od", 1, 1), item("spot", 2)))
    await ecs.define(container={"memory": 64})
    await ecs("CreateService", serviceName="site", taskDefinition="web", desiredCount=1)
    call = ecs.call
    controller = Deployments(call.store, call.clock, call.ids, SITE)
    (service,) = call.store.list(SERVICES)
    for count, expected in ((1, {"od": 1}), (4, {"od": 2, "spot": 2}), (7, {"od": 3, "spot": 4})):
        await ecs("UpdateService", service="site", desiredCount=count)
        for _ in range(4):
            await controller.reconcile(service.arn)
        tasks = call.store.list(TASKS, "service", service.arn)
        assert Counter(task.spec.capacity_provider for task in tasks) == expected
        instances = {task.container_instance_arn: task.spec.capacity_provider for task in tasks}
        shown = (await ecs("DescribeContainerInstances", containerInstances=list(instances)))["containerInstances"]
        assert all(one["capacityProviderName"] == instances[one["containerInstanceArn"]] for one in shown)
