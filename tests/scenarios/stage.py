"""A platform without processes: the real store (in memory), the real controllers and loops, a stepped clock.

The test plays the agents and the balancer: it says which tasks run, end or become healthy, and reads what was decided from
the store, above all the service's event log.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.control.deployments.controller import Deployments
from longshore.control.instances.controller import Instances
from longshore.control.loop import Loop
from longshore.control.targets.controller import Targets
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import SeededIds
from longshore.services.call import Site
from longshore.services.ecs import kinds as ecs_kinds
from longshore.services.ecs import model as ecs
from longshore.services.ecs.rollout import model as rollout
from longshore.services.elb import model as elb
from longshore.services.elbv2 import model as elbv2
from longshore.services.elbv2.following import is_followed, mark_of, rules_at
from longshore.store.base import Store, Tx
from longshore.store.memory import memory_store

ACCOUNT, REGION = "123456789012", "us-east-1"
CLUSTER = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/default"
SERVICE = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/default/web"
GROUP = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/web/0123456789abcdef"
LISTENER = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:listener/app/web/0123456789abcdef/0123456789abcdef"


def service_arn(name: str) -> str:
    return SERVICE.replace("/web", f"/{name}")


def instance_arn(number: int) -> str:
    return f"arn:aws:ecs:{REGION}:{ACCOUNT}:container-instance/default/{number:032x}"


class Stage:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = SteppedClock()
        self.ids = SeededIds(7)
        self.site = Site(ACCOUNT, REGION, ("us-east-1a", "us-east-1b"), "http://127.0.0.1:4566", 4566)

    # ── what there is ──

    async def instance(self, number: int, zone: str, *, cpu: int = 4096, memory_mib: int = 8192) -> None:
        row = ecs.ContainerInstance(
            arn=instance_arn(number),
            cluster_arn=CLUSTER,
            ec2_instance_id=f"i-{number:017x}",
            registered_at=self.clock.now(),
            capacity=ecs.Capacity(cpu, memory_mib),
            attributes=(ecs.Attribute("ecs.availability-zone", f"{REGION}{zone}"),),
            address=f"127.0.1.{number}",
            availability_zone=f"{REGION}{zone}",
            agent_connected=True,
        )
        await self.store.transact(lambda tx: tx.put(ecs.CONTAINER_INSTANCES, row))

    async def definition(self, revision: int, *, memory: int = 64, cpu: int = 0) -> str:
        arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/web:{revision}"
        ports = (shapes.PortMapping(container_port=80, host_port=0),)
        container = shapes.ContainerDefinition(name="main", image="web:1", memory=memory, cpu=cpu, essential=True, port_mappings=ports)
        definition = shapes.TaskDefinition(task_definition_arn=arn, family="web", revision=revision, container_definitions=(container,))
        row = ecs.TaskDefinition(arn=arn, family="web", revision=revision, definition=definition)
        await self.store.transact(lambda tx: tx.put(ecs.TASK_DEFINITIONS, row))
        return arn

    async def change_instance(self, number: int, **changes: object) -> None:
        def write(tx: Tx) -> None:
            row = tx.get(ecs.CONTAINER_INSTANCES, instance_arn(number))
            assert row is not None
            tx.put(ecs.CONTAINER_INSTANCES, replace(row, **changes))

        await self.store.transact(write)
        await self.settle()

    async def drain(self, number: int) -> None:
        await self.change_instance(number, status="DRAINING")

    async def cut_off(self, number: int) -> None:
        """Its agent is not heard of any more."""
        await self.change_instance(number, agent_connected=False, agent_connection_changed_at=self.clock.now())

    async def come_back(self, number: int) -> None:
        await self.change_instance(number, agent_connected=True, agent_connection_changed_at=self.clock.now())

    async def standalone(self, definition_arn: str, number: int) -> str:
        """A task that somebody ran on that instance; its ARN."""
        arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/default/{'f' * 24}{number:08x}"
        spec = ecs.TaskSpec(definition_arn, "family:web", self.clock.now())
        status = ecs.TaskStatus("RUNNING", started_at=self.clock.now())
        task = ecs.Task(arn, CLUSTER, spec, container_instance_arn=instance_arn(number), status=status)
        await self.store.transact(lambda tx: tx.put(ecs.TASKS, task))
        return arn

    async def service(self, definition_arn: str, desired: int, *, balanced: bool = False, name: str = "web", **spec: object) -> None:
        load_balancers = (shapes.LoadBalancer(target_group_arn=GROUP, container_name="main", container_port=80),) if balanced else ()
        wanted = rollout.ServiceSpec(definition_arn, desired, load_balancers=load_balancers, **spec)  # type: ignore[arg-type]
        row = rollout.Service(service_arn(name), CLUSTER, name, self.clock.now(), wanted)

        def make(tx: Tx) -> None:
            tx.put(ecs.CLUSTERS, ecs.Cluster(CLUSTER, "default", self.clock.now()))
            tx.put(rollout.SERVICES, row)
            tx.put(
                rollout.DEPLOYMENTS, self._deployment(definition_arn, 1 if name == "web" else 100 + len(tx.list(rollout.SERVICES)), name)
            )
            if balanced:
                tx.put(elbv2.TARGET_GROUPS, elbv2.TargetGroup(GROUP, "web", "HTTP", 80, "vpc-1", "instance", self.clock.now()))
                action = elbv2.shapes.Action(type="forward", target_group_arn=GROUP)
                lb = LISTENER.replace("listener/", "loadbalancer/").rpartition("/")[0]
                tx.put(elbv2.LISTENERS, elbv2.Listener(LISTENER, lb, 80, "HTTP", (action,)))

        await self.store.transact(make)

    def _deployment(self, definition_arn: str, number: int, name: str = "web") -> rollout.Deployment:
        return rollout.Deployment(f"ecs-svc/{number:019d}", service_arn(name), definition_arn, self.clock.now(), self.clock.now())

    async def change(self, change: Callable[[rollout.ServiceSpec], rollout.ServiceSpec]) -> None:
        def write(tx: Tx) -> None:
            service = tx.get(rollout.SERVICES, SERVICE)
            assert service is not None
            tx.put(rollout.SERVICES, replace(service, spec=change(service.spec)))

        await self.store.transact(write)

    async def deploy(self, definition_arn: str, number: int) -> None:
        def write(tx: Tx) -> None:
            service = tx.get(rollout.SERVICES, SERVICE)
            assert service is not None
            for old in tx.list(rollout.DEPLOYMENTS, "service", SERVICE):
                tx.put(rollout.DEPLOYMENTS, replace(old, status="ACTIVE"))
            tx.put(rollout.DEPLOYMENTS, self._deployment(definition_arn, number))
            tx.put(rollout.SERVICES, replace(service, spec=replace(service.spec, task_definition_arn=definition_arn)))

        await self.store.transact(write)

    # ── what happens ──

    def tasks(self, status: str | None = None, *, on: int | None = None, of: str | None = None) -> list[ecs.Task]:
        """In the order in which they were born."""
        return [
            task
            for task in sorted(self.store.list(ecs.TASKS), key=self._birth)
            if status in (None, task.last_status)
            and (on is None or task.container_instance_arn == instance_arn(on))
            and (of is None or task.spec.service_arn == service_arn(of))
        ]

    async def write_task(self, task: ecs.Task, **status: object) -> None:
        await self.store.transact(lambda tx: tx.put(ecs.TASKS, replace(task, status=replace(task.status, **status))))

    async def run_pending(self) -> None:
        """Agents start what they were told."""
        for task in self.tasks("PENDING"):
            if self.is_cut_off(task):
                continue
            number = int(task.arn[-4:], 16)
            container = replace(
                task.status.containers[0], last_status="RUNNING", network_bindings=(ecs.NetworkBinding(80, 32768 + number % 20000),)
            )
            await self.write_task(task, last_status="RUNNING", started_at=self.clock.now(), containers=(container,))
        await self.settle()

    async def stop_stopping(self) -> None:
        """Agents stop what they were told."""
        for task in self.tasks("STOPPING"):
            if self.is_cut_off(task):
                continue
            await self.write_task(task, last_status="STOPPED", stopped_at=self.clock.now())
        await self.settle()

    def is_cut_off(self, task: ecs.Task) -> bool:
        row = self.store.get(ecs.CONTAINER_INSTANCES, task.container_instance_arn)
        return row is not None and not row.agent_connected

    async def protect(self, task: ecs.Task, minutes: float) -> None:
        until = self.clock.now() + 60 * minutes
        await self.store.transact(lambda tx: tx.put(ecs.TASKS, replace(task, protected_until=until)))

    async def end(self, task: ecs.Task) -> None:
        """A container dies by itself."""
        await self.write_task(task, last_status="STOPPED", stopped_at=self.clock.now(), stop_code="EssentialContainerExited")
        await self.settle()

    async def balance(self, state: str = "healthy") -> None:
        """The balancer probes what is registered and takes away what is deregistered."""

        def write(tx: Tx) -> None:
            for target in tx.list(elbv2.TARGETS):
                if target.deregistered_at is not None:
                    tx.delete(elbv2.TARGETS, elbv2.TARGETS.key(target))
                else:
                    tx.put(elbv2.TARGETS, replace(target, health=elbv2.TargetHealth(state, "", "", self.clock.now())))

        await self.store.transact(write)
        await self.settle()

    async def settle(self) -> None:
        """Let the controllers do all they can do now, and the balancer say that it follows the rules."""
        await self._calm()
        unsaid = [lb for lb in self.store.list(elbv2.LOAD_BALANCERS) if not is_followed(self.store, lb.arn)]
        if unsaid:
            marks = {lb.arn: mark_of(rules_at(self.store, lb.arn)) for lb in unsaid}

            def say(tx: Tx) -> None:
                for lb in unsaid:
                    tx.put(elbv2.LOAD_BALANCERS, replace(lb, status=replace(lb.status, followed=marks[lb.arn])))

            await self.store.transact(say)
            await self._calm()

    async def _calm(self) -> None:
        calm = 0
        revision = self.store.revision
        while calm < 40:
            await asyncio.sleep(0)
            calm = calm + 1 if self.store.revision == revision else 0
            revision = self.store.revision

    async def step(self, seconds: float) -> None:
        await self.clock.step(seconds)
        await self.settle()

    # ── what was said ──

    def events(self, name: str = "web") -> list[str]:
        """The service's event log, oldest first, with ids made short and steady: task ids by order of birth."""
        names = {task.arn.rsplit("/", 1)[-1]: f"t{number}" for number, task in enumerate(sorted(self.tasks(), key=self._birth), 1)}
        lines = []
        for event in self.store.list(rollout.SERVICE_EVENTS, "service", service_arn(name)):
            line = event.message
            for long, short in names.items():
                line = line.replace(long, short)
            line = re.sub("[0-9a-f]{24}([0-9a-f]{8})", r"i\1", line.replace(GROUP, "web"))
            lines.append(re.sub("ecs-svc/0*([0-9]+)", r"d\1", line))
        return lines

    def _birth(self, task: ecs.Task) -> tuple[float, str]:
        return task.spec.created_at, task.arn


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    store = memory_store((*ecs_kinds.KINDS, *elbv2.KINDS, *elb.KINDS))
    stage = Stage(store)
    controllers = (
        Deployments(store, stage.clock, stage.ids, stage.site),
        Targets(store, stage.clock, stage.ids),
        Instances(store, stage.clock, stage.site),
    )
    loops = [asyncio.create_task(Loop(controller, store, stage.clock, stage.ids).run()) for controller in controllers]
    await stage.settle()
    try:
        yield stage
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await store.close()
