"""Services behind a Classic load balancer: an instance is registered while a task runs there, and drained before it stops."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs import model as ecs
from longshore.services.elb import registration
from longshore.services.elb.model import (
    REGISTERED_INSTANCES,
    Attributes,
    Claim,
    ClassicLoadBalancer,
    HealthCheck,
    Listener,
)
from longshore.services.elb.records import remove, save, synchronise
from longshore.services.elbv2.model import TARGETS
from longshore.store.base import Tx
from tests.scenarios.stage import ACCOUNT, REGION, Stage, instance_arn, staged

ARN = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/shop"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as stage:
        for number, zone in ((1, "a"), (2, "b"), (3, "a")):
            await stage.instance(number, zone)
        yield stage


async def classic(stage: Stage, *listeners: Listener) -> ClassicLoadBalancer:
    lb = ClassicLoadBalancer(
        arn=ARN,
        name="shop",
        identifier="0123456789abcdef",
        scheme="internet-facing",
        dns_name="shop-1.elb.localhost",
        canonical_hosted_zone_id="Z1",
        created_at=stage.clock.now(),
        vpc_id="vpc-1",
        zones=((f"{REGION}a", "subnet-a"), (f"{REGION}b", "subnet-b")),
        health_check=HealthCheck("HTTP", 8080, "/"),
        listeners=listeners or (Listener(80, "HTTP", 8080, "HTTP"),),
        attributes=Attributes(drains=True, draining_timeout_s=60),
    )
    return await stage.store.transact(lambda tx: save(tx, lb, stage.clock.now()))


async def definition(stage: Stage, revision: int, host_port: int = 8080) -> str:
    arn = await stage.definition(revision)

    def fix_port(tx: Tx) -> None:
        (row,) = [row for row in tx.list(ecs.TASK_DEFINITIONS) if row.revision == revision]
        (container,) = row.definition.container_definitions or ()
        container = replace(container, port_mappings=(shapes.PortMapping(container_port=80, host_port=host_port, protocol="tcp"),))
        tx.put(ecs.TASK_DEFINITIONS, replace(row, definition=replace(row.definition, container_definitions=(container,))))

    await stage.store.transact(fix_port)
    return arn


async def service(stage: Stage, definition_arn: str, desired: int, **spec: object) -> None:
    await stage.service(definition_arn, desired, **spec)
    behind = (shapes.LoadBalancer(load_balancer_name="shop", container_name="main", container_port=80),)
    await stage.change(lambda spec: replace(spec, load_balancers=behind))
    await stage.settle()


async def run_pending(stage: Stage, host_port: int = 8080) -> None:
    """Agents start what they were told, on its static port."""
    for task in stage.tasks("PENDING"):
        binding = ecs.NetworkBinding(80, host_port)
        container = replace(task.status.containers[0], last_status="RUNNING", network_bindings=(binding,))
        await stage.write_task(task, last_status="RUNNING", started_at=stage.clock.now(), containers=(container,))
    await stage.settle()


async def claim(stage: Stage, lb: ClassicLoadBalancer, instance_id: str, task_arn: str, port: int) -> None:
    def write(tx: Tx) -> None:
        registration.claim(tx, lb, instance_id, task_arn, port, 1.0)
        synchronise(tx, lb, 1.0)

    await stage.store.transact(write)


async def release(stage: Stage, lb: ClassicLoadBalancer, instance_id: str, task_arn: str) -> None:
    def write(tx: Tx) -> None:
        registration.release(tx, lb, instance_id, task_arn)
        synchronise(tx, lb, 2.0)

    await stage.store.transact(write)


def registered(stage: Stage) -> dict[str, tuple[Claim, ...]]:
    return {one.instance_id[-1]: one.claims for one in stage.store.list(REGISTERED_INSTANCES)}


async def test_instances_are_registered_while_tasks_run_there_and_the_service_says_so(stage: Stage) -> None:
    await classic(stage)
    await service(stage, await definition(stage, 1), 2)
    assert registered(stage) == {}
    await run_pending(stage)
    first, second = stage.tasks("RUNNING")
    assert {claims[0].task_arn for claims in registered(stage).values()} == {first.arn, second.arn}
    assert {target.owner for target in stage.store.list(TARGETS)} == {first.arn, second.arn}
    assert "(service web) registered 2 instances in (elb shop)" in stage.events()


async def test_a_task_counts_as_healthy_when_its_instance_is_in_service(stage: Stage) -> None:
    await classic(stage)
    await service(stage, await definition(stage, 1), 1)
    await run_pending(stage)
    await stage.step(60)
    assert "(service web) has reached a steady state." not in stage.events()
    await stage.balance()
    assert "(service web) has reached a steady state." in stage.events()


async def test_a_task_whose_instance_fails_its_checks_is_replaced(stage: Stage) -> None:
    await classic(stage)
    await service(stage, await definition(stage, 1), 1)
    await run_pending(stage)
    await stage.balance()
    await stage.balance("unhealthy")
    (leaving,) = [task for task in stage.tasks() if task.stop is not None]
    assert leaving.stop is not None and leaving.stop.reason == "Task failed ELB health checks in (elb shop)"
    words = "is unhealthy in (elb shop) due to (reason Instance has failed at least the UnhealthyThreshold number"
    assert any(words in line for line in stage.events())


async def test_a_task_is_stopped_only_when_its_instance_has_drained(stage: Stage) -> None:
    await classic(stage)
    await service(stage, await definition(stage, 1), 1)
    await run_pending(stage)
    await stage.balance()
    await stage.change(lambda spec: replace(spec, desired_count=0))
    await stage.settle()
    (task,) = stage.tasks()
    assert task.last_status == "DEACTIVATING"
    assert registered(stage) == {}
    assert [target.deregistered_at is not None for target in stage.store.list(TARGETS)] == [True]
    assert "(service web) deregistered 1 instances in (elb shop)" in stage.events()
    await stage.balance()  # the last request has been answered
    (task,) = stage.tasks()
    assert task.last_status == "STOPPING"


async def test_a_deployment_moves_from_instance_to_instance(stage: Stage) -> None:
    await classic(stage)
    await service(stage, await definition(stage, 1), 1)
    await run_pending(stage)
    await stage.balance()
    before = set(registered(stage))
    await stage.deploy(await definition(stage, 2), 2)
    await stage.settle()
    await run_pending(stage)
    assert before < set(registered(stage)), "the old one serves until the new one is in service"
    await stage.balance()
    assert set(registered(stage)).isdisjoint(before)
    await stage.balance()
    await stage.stop_stopping()
    await stage.step(60)
    assert "(service web) (deployment d2) deployment completed." in stage.events()


async def test_two_tasks_on_one_instance_leave_one_after_the_other(stage: Stage) -> None:
    """Two services may share a load balancer: the port of the one that leaves is withdrawn, the other goes on."""
    lb = await classic(stage, Listener(80, "HTTP", 8080, "HTTP"), Listener(81, "HTTP", 9090, "HTTP"))
    instance_id = f"i-{1:017x}"

    def owners() -> dict[int, str]:
        return {target.port: target.owner for target in stage.store.list(TARGETS) if target.deregistered_at is None}

    await claim(stage, lb, instance_id, "task-one", 8080)
    await claim(stage, lb, instance_id, "task-two", 9090)
    assert owners() == {8080: "task-one", 9090: "task-two"}
    await release(stage, lb, instance_id, "task-one")
    assert owners() == {9090: "task-two"}
    await claim(stage, lb, instance_id, "task-three", 8080)
    assert owners() == {8080: "task-three", 9090: "task-two"}
    await release(stage, lb, instance_id, "task-two")
    await release(stage, lb, instance_id, "task-three")
    assert registered(stage) == {} and owners() == {}
    assert len(stage.store.list(TARGETS)) == 2, "which drain"


async def test_other_ports_of_an_instance_drain_with_its_only_task(stage: Stage) -> None:
    lb = await classic(stage, Listener(80, "HTTP", 8080, "HTTP"), Listener(81, "HTTP", 9090, "HTTP"))
    await claim(stage, lb, f"i-{1:017x}", "task-one", 8080)
    assert {target.port: target.owner for target in stage.store.list(TARGETS)} == {8080: "task-one", 9090: "task-one"}


async def test_a_load_balancer_that_is_deleted_holds_no_task(stage: Stage) -> None:
    lb = await classic(stage)
    await service(stage, await definition(stage, 1), 1)
    await run_pending(stage)
    await stage.store.transact(lambda tx: remove(tx, lb))
    await stage.change(lambda spec: replace(spec, desired_count=0))
    await stage.settle()
    (task,) = stage.tasks()
    assert task.last_status == "STOPPING"


async def test_an_instance_that_left_its_cluster_is_not_registered_for_anybody(stage: Stage) -> None:
    await classic(stage)
    await service(stage, await definition(stage, 1), 1)
    (task,) = stage.tasks()
    number = next(number for number in (1, 2, 3) if task.container_instance_arn == instance_arn(number))
    await stage.change_instance(number, status="INACTIVE")
    await run_pending(stage)
    assert registered(stage) == {}
    assert any("failed to register instances in (elb shop)" in line for line in stage.events())
