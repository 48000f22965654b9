"""Placement decisions per second, each committed to the store on disk (SQLite, synchronous=FULL) before it counts.

A fleet of so many instances in four zones of uneven size, 100 services that take turns. Whole tasks are made, placed and put, as
RunTask and the deployments controller do it: one in a transaction of its own (256 callers, whose transactions share commits) and
ten in one transaction, which is what a RunTask may ask for (32 callers). The fleet fills up meanwhile; there is room for all.

    python bench/placement.py [--instances 1000] [--seconds 3] [--profile]
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.report import Figure, Target, p50
from longshore.aws.shapes import ecs as shapes
from longshore.kit.ids import RandomIds
from longshore.services.ec2 import model as ec2_model
from longshore.services.ecs.kinds import KINDS
from longshore.services.ecs.model import CONTAINER_INSTANCES, Attribute, Capacity, ContainerInstance, TaskDefinition, TaskSpec
from longshore.services.ecs.new_task import new_task
from longshore.services.ecs.placement.placing import place_tasks, request_of
from longshore.store.base import Store, Tx
from longshore.store.sqlite import open_store

SCOPE = "arn:aws:ecs:us-east-1:000000000000"
CLUSTER = f"{SCOPE}:cluster/default"
ZONES = "aaaabbbccd"
SERVICES = 100
SPREAD = (
    shapes.PlacementStrategy(type="spread", field="attribute:ecs.availability-zone"),
    shapes.PlacementStrategy(type="spread", field="instanceId"),
)
BINPACK = (shapes.PlacementStrategy(type="binpack", field="memory"),)
TARGETS = {1_000: 10_000.0, 10_000: 5_000.0}

DEFINITION = TaskDefinition(
    arn=f"{SCOPE}:task-definition/web:1",
    family="web",
    revision=1,
    definition=shapes.TaskDefinition(
        container_definitions=(shapes.ContainerDefinition(name="web", image="web:1", cpu=1, memory=6, essential=True),),
        requires_attributes=(shapes.Attribute(name="com.amazonaws.ecs.capability.docker-remote-api.1.18"),),
    ),
)


def instance(number: int) -> ContainerInstance:
    zone = f"us-east-1{ZONES[number % len(ZONES)]}"
    names = ("com.amazonaws.ecs.capability.docker-remote-api.1.18", *(f"ecs.capability.number-{each}" for each in range(30)))
    return ContainerInstance(
        arn=f"{SCOPE}:container-instance/default/{number:032x}",
        cluster_arn=CLUSTER,
        ec2_instance_id=f"i-{number:017x}",
        registered_at=1_700_000_000.0,
        capacity=Capacity(cpu=65_536, memory_mib=262_144, reserved_ports=(22, 2375, 2376, 51678, 51679)),
        attributes=(Attribute("ecs.availability-zone", zone), *(Attribute(name) for name in names)),
        availability_zone=zone,
        agent_connected=True,
    )


class Caller:
    """Places tasks of one service after another, and waits for each commit."""

    def __init__(self, store: Store, strategy: tuple[shapes.PlacementStrategy, ...], own: int, at_once: int) -> None:
        self._store = store
        self._ids = RandomIds()
        self._strategy = strategy
        self._turn = own
        self._at_once = at_once
        self.placed = 0

    async def go_on(self, until: float) -> None:
        while time.perf_counter() < until:
            self.placed += await self._one()

    async def _one(self) -> int:
        self._turn += 1
        service = f"service-{self._turn % SERVICES}"
        spec = TaskSpec(
            task_definition_arn=DEFINITION.arn,
            group=f"service:{service}",
            created_at=1_700_000_000.25,
            started_by=f"ecs-svc/{self._turn % SERVICES:019}",
            placement_strategy=self._strategy,
            service_arn=f"{SCOPE}:service/default/{service}",
            deployment_id=f"ecs-svc/{self._turn % SERVICES:019}",
        )
        ids = self._ids
        tasks = [new_task(f"{SCOPE}:task/default/{ids.hex(32)}", CLUSTER, DEFINITION, spec, [ids.uuid()]) for _ in range(self._at_once)]

        def run(tx: Tx) -> int:
            made, refused = place_tasks(tx, CLUSTER, request_of(tx, tasks[0], DEFINITION), tasks)
            if refused is not None:
                raise RuntimeError(refused.reason)
            return len(made)

        return await self._store.transact(run)


async def decisions_per_s(
    instances: int, strategy: tuple[shapes.PlacementStrategy, ...], at_once: int, seconds: float
) -> tuple[float, float]:
    """(decisions a second, microseconds of processor time for each)"""
    with tempfile.TemporaryDirectory(prefix="longshore-bench-") as name:
        store = await open_store(Path(name), (*KINDS, *ec2_model.KINDS))
        fleet = [instance(number) for number in range(instances)]
        await store.transact(lambda tx: [tx.put(CONTAINER_INSTANCES, one) for one in fleet])
        callers = [Caller(store, strategy, own, at_once) for own in range(256 if at_once == 1 else 32)]
        await asyncio.gather(*(caller.go_on(time.perf_counter() + seconds / 4) for caller in callers))
        for caller in callers:
            caller.placed = 0
        began, worked = time.perf_counter(), time.process_time()
        await asyncio.gather(*(caller.go_on(began + seconds) for caller in callers))
        spent, worked = time.perf_counter() - began, time.process_time() - worked
        placed = sum(caller.placed for caller in callers)
        await store.close()
        return placed / spent, 1e6 * worked / placed


def measure(rounds: int, seconds: float = 3.0, fleets: tuple[int, ...] = (1_000, 10_000)) -> Iterator[Figure]:
    for instances in fleets:
        for name, strategy in (("spread(AZ), spread(instance)", SPREAD), ("binpack(memory)", BINPACK)):
            for at_once in (1, 10):
                found = [asyncio.run(decisions_per_s(instances, strategy, at_once, seconds)) for _ in range(rounds)]
                what = f"{instances:,}: {name}, {at_once} a transaction"
                target = Target(">=", TARGETS[instances]) if instances in TARGETS else None
                yield Figure(what, "/s", p50([rate for rate, _ in found]), target=target)
                yield Figure(f"{what}: processor", "us", p50([each for _, each in found]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--profile", action="store_true", help="print where one caller's time goes instead")
    given = parser.parse_args()
    if given.profile:
        profile = cProfile.Profile()
        profile.enable()
        print(asyncio.run(decisions_per_s(given.instances, SPREAD, 1, given.seconds)))
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
        return
    for figure in measure(1, given.seconds, (given.instances,)):
        print(f"{figure.what:<70} {figure.ours:10,.0f} {figure.unit}")


if __name__ == "__main__":
    main()
