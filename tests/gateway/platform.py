"""The gateway with its agent sockets on a real port, over an in-memory store and a clock that tests step."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.gateway.agents.sessions import AgentSessions
from longshore.gateway.app import Gateway
from longshore.gateway.authorise import Access
from longshore.gateway.identify import Identities
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import Ids, RandomIds
from longshore.resources import KINDS, RESOURCE_SIDES
from longshore.services.call import Site
from longshore.services.ecs import model as ecs
from longshore.services.iam import model as iam
from longshore.services.iam.identities import ensure_root
from longshore.store.base import Store, Tx
from longshore.store.memory import memory_store
from longshore.store.memory_blobs import MemoryBlobStore

REGION, ACCOUNT = "us-test-1", "123456789012"
KEY, SECRET = "AKIDEXAMPLE", "secretexample"
CLUSTER = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/demo"
INSTANCE = f"arn:aws:ecs:{REGION}:{ACCOUNT}:container-instance/demo/0123456789abcdef0123456789abcdef"
FAMILY = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/fam"
SIGNING_SECRET = b"s" * 32
#: how long a test waits for what must come
PATIENCE_S = 5.0


@dataclass
class Platform:
    store: Store
    clock: SteppedClock
    sessions: AgentSessions
    gateway: Gateway
    url: str
    http: aiohttp.ClientSession

    # ── what there is ──

    async def cluster(self) -> None:
        row = ecs.Cluster(CLUSTER, "demo", self.clock.now())
        await self.store.transact(lambda tx: tx.put(ecs.CLUSTERS, row))

    async def instance(self, arn: str = INSTANCE, **more: object) -> ecs.ContainerInstance:
        row = ecs.ContainerInstance(
            arn=arn,
            cluster_arn=CLUSTER,
            ec2_instance_id=str(more.pop("ec2_instance_id", f"i-{arn[-17:]}")),
            registered_at=self.clock.now(),
            capacity=ecs.Capacity(2048, 24105),
            **more,  # type: ignore[arg-type]
        )
        return await self.store.transact(lambda tx: tx.put(ecs.CONTAINER_INSTANCES, row))

    async def definition(self, *containers: shapes.ContainerDefinition, revision: int = 3, **more: object) -> ecs.TaskDefinition:
        arn = f"{FAMILY}:{revision}"
        definition = shapes.TaskDefinition(
            task_definition_arn=arn,
            family="fam",
            revision=revision,
            container_definitions=containers or (shapes.ContainerDefinition(name="main", image="bb:1", memory=32, essential=True),),
            **more,  # type: ignore[arg-type]
        )
        row = ecs.TaskDefinition(arn, "fam", revision, definition)
        return await self.store.transact(lambda tx: tx.put(ecs.TASK_DEFINITIONS, row))

    async def task(self, digit: int, *names: str, instance: str = INSTANCE, revision: int = 3) -> str:
        """A task placed on `instance` and not yet heard of; returns its ARN."""
        arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/demo/{str(digit) * 32}"
        containers = names or ("main",)
        row = ecs.Task(
            arn=arn,
            cluster_arn=CLUSTER,
            spec=ecs.TaskSpec(f"{FAMILY}:{revision}", "family:fam", self.clock.now(), container_names=containers),
            container_instance_arn=instance,
            status=ecs.TaskStatus(last_status="PENDING", containers=tuple(ecs.Container(name, f"{arn}/{name}") for name in containers)),
        )
        await self.store.transact(lambda tx: tx.put(ecs.TASKS, row))
        return arn

    async def role(self, name: str, trusted: str = "ecs-tasks.amazonaws.com", **statement: object) -> str:
        """A role that `trusted` may take on; returns its ARN."""
        trust = {"Effect": "Allow", "Principal": {"Service": trusted}, "Action": "sts:AssumeRole", **statement}
        arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        row = iam.Role(ACCOUNT, name, f"AROA{name.upper():0<17}", 0.0, json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
        await self.store.transact(lambda tx: tx.put(iam.ROLES, row))
        return arn

    # ── what happens ──

    async def change(self, arn: str, fn: Callable[[ecs.Task], ecs.Task]) -> None:
        def write(tx: Tx) -> None:
            task = tx.get(ecs.TASKS, arn)
            assert task is not None
            tx.put(ecs.TASKS, fn(task))

        await self.store.transact(write)

    async def ask_to_stop(self, arn: str, status: str = "STOPPING") -> None:
        stop = ecs.Stop("enough", "UserInitiated", self.clock.now())
        await self.change(arn, lambda task: replace(task, stop=stop, status=replace(task.status, last_status=status)))

    async def advance(self, arn: str, status: str) -> None:
        await self.change(arn, lambda task: replace(task, status=replace(task.status, last_status=status)))

    async def deregister(self, arn: str = INSTANCE) -> None:
        def write(tx: Tx) -> None:
            row = tx.get(ecs.CONTAINER_INSTANCES, arn)
            assert row is not None
            tx.put(ecs.CONTAINER_INSTANCES, replace(row, status="INACTIVE", deregistered_at=self.clock.now()))

        await self.store.transact(write)

    def seen(self, arn: str = INSTANCE) -> ecs.ContainerInstance:
        row = self.store.get(ecs.CONTAINER_INSTANCES, arn)
        assert row is not None
        return row

    def seen_task(self, arn: str) -> ecs.Task:
        row = self.store.get(ecs.TASKS, arn)
        assert row is not None
        return row


async def until(condition: Callable[[], object], why: str = "") -> None:
    """Returns once `condition` holds; fails the test when it does not in good time."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - conditions of tests are plain functions
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"this never came true: {why or condition}") from None


@asynccontextmanager
async def platform_on(clock: SteppedClock, ids: Ids | None = None, store: Store | None = None) -> AsyncIterator[Platform]:
    """Everything between a socket and the store; `store` outlives it when it is given."""
    own = store is None
    held = store or memory_store(KINDS)
    await held.transact(lambda tx: ensure_root(tx, ACCOUNT, KEY, SECRET, clock.now()))
    drawn = ids or RandomIds()
    site = Site(ACCOUNT, REGION, ("us-test-1a", "us-test-1b"), "http://127.0.0.1:4566", 4566)
    identities, access = Identities(held, clock, site, SIGNING_SECRET), Access(held, clock, RESOURCE_SIDES)
    sessions = AgentSessions(held, clock, drawn, site, identities, access, SIGNING_SECRET)
    gateway = Gateway(
        store=held,
        blobs=MemoryBlobStore(),
        clock=clock,
        ids=drawn,
        site=site,
        identities=identities,
        access=access,
        signing_secret=SIGNING_SECRET,
        mounts={"/acs/": sessions.handle_control, "/tcs/": sessions.handle_telemetry},
    )
    runner = web.ServerRunner(web.Server(gateway.handle, access_log=None, auto_decompress=False), shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession(auto_decompress=False) as http:
            yield Platform(held, clock, sessions, gateway, url, http)
    finally:
        await sessions.close()
        await runner.cleanup()
        if own:
            await held.close()
