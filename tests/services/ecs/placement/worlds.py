"""Clusters made up for tests of placement: instances, tasks on them, and what may be asked."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.model import (
    Attribute,
    Capacity,
    Container,
    ContainerInstance,
    HostPort,
    NetworkBinding,
    Reservation,
    Task,
    TaskSpec,
    TaskStatus,
)
from longshore.services.ecs.placement.columns import Columns, held_by
from longshore.services.ecs.placement.fleets import registered
from longshore.services.ecs.placement.masks import Masks
from longshore.services.ecs.placement.planner import Search
from longshore.services.ecs.placement.request import Placement, PlacementRequest

SCOPE = "arn:aws:ecs:us-east-1:000000000000"
CLUSTER = f"{SCOPE}:cluster/default"
ZONE = "ecs.availability-zone"
NOTHING = Reservation()
GROUPS = ("service:web", "service:db", "family:job")


def instance(
    name: str,
    *,
    zone: str = "a",
    cpu: int = 1024,
    memory: int = 1024,
    reserved: tuple[int, ...] = (),
    gpus: int = 0,
    enis: int = 0,
    status: str = "ACTIVE",
    connected: bool = True,
    provider: str = "",
    version: str = "1.100.0",
    attributes: dict[str, str] | None = None,
) -> ContainerInstance:
    named = {ZONE: zone, **(attributes or {})}
    return ContainerInstance(
        arn=name,
        cluster_arn=CLUSTER,
        ec2_instance_id=f"i-{name}",
        registered_at=1_700_000_000.0,
        capacity=Capacity(cpu, memory, reserved, (), tuple(f"gpu-{number}" for number in range(gpus)), enis),
        attributes=tuple(Attribute(key, value) for key, value in named.items()),
        status=status,
        availability_zone=zone,
        agent_connected=connected,
        agent_version=version,
        capacity_provider=provider,
    )


def task(
    name: str,
    on: str,
    *,
    group: str = "service:web",
    reservation: Reservation = NOTHING,
    status: str = "RUNNING",
    bound: tuple[int, ...] = (),
) -> Task:
    bindings = tuple(NetworkBinding(80, port) for port in bound)
    return Task(
        arn=f"{SCOPE}:task/default/{name}",
        cluster_arn=CLUSTER,
        spec=TaskSpec(f"{SCOPE}:task-definition/web:1", group, 0.0, reservation=reservation),
        container_instance_arn=on,
        status=TaskStatus(last_status=status, containers=(Container("web", "c", network_bindings=bindings),)),
    )


def asking(
    *,
    cpu: int = 100,
    memory: int = 100,
    ports: tuple[HostPort, ...] = (),
    gpus: int = 0,
    enis: int = 0,
    group: str = "service:web",
    **more: object,
) -> PlacementRequest:
    return PlacementRequest(group=group, reservation=Reservation(cpu, memory, ports, gpus, enis), **more)  # type: ignore[arg-type]


def spread(field: str) -> shapes.PlacementStrategy:
    return shapes.PlacementStrategy(type="spread", field=field)


def binpack(field: str) -> shapes.PlacementStrategy:
    return shapes.PlacementStrategy(type="binpack", field=field)


RANDOM = shapes.PlacementStrategy(type="random")
DISTINCT = shapes.PlacementConstraint(type="distinctInstance")


def member_of(expression: str) -> shapes.PlacementConstraint:
    return shapes.PlacementConstraint(type="memberOf", expression=expression)


def columns_of(instances: Iterable[ContainerInstance], tasks: Iterable[Task] = ()) -> Columns:
    columns = Columns()
    for one in instances:
        if (found := registered(one)) is not None:
            columns.instance_moved(None, found)
    for one in tasks:
        columns.task_moved(None, held_by(one))
    return columns


def like(request: PlacementRequest, name: str, on: str) -> Task:
    """A task as it was asked for, just placed."""
    return task(name, on, group=request.group, reservation=request.reservation, status="PENDING")


def place_all(request: PlacementRequest, columns: Columns, count: int, masks: Masks | None = None) -> list[Placement]:
    """As callers do: each task is there before the next is asked about; it ends with the first refusal."""
    search, found = Search(columns, masks or Masks(columns), request), []
    for number in range(count):
        found.append(search.next())
        if found[-1].instance_arn is None:
            break
        columns.task_moved(None, held_by(like(request, f"new-{number}", found[-1].instance_arn)))
    return found


def place(request: PlacementRequest, *instances: ContainerInstance, tasks: Iterable[Task] = ()) -> Placement:
    return place_all(request, columns_of(instances, tasks), 1)[0]


# ── anything ────────────────────────────────────────────────────────────────────────────────────────────────────────

EXPRESSIONS = (
    "attribute:colour == red",
    "attribute:colour != red",
    "attribute:colour exists and not (attribute:ecs.availability-zone == a)",
    "attribute:colour !exists || attribute:colour in [blue, green]",
    "attribute:ecs.availability-zone =~ [ab]",
    "attribute:size >= 5",
    "task:group == service:db",
    "task:group !in [service:db, family:job]",
    "not(task:group =~ service:.*)",
    "task:group exists",
    "runningTasksCount < 2",
    "runningTasksCount == 1 or agentVersion > 1.20.0",
    "agentConnected == true",
    "ec2InstanceId not_matches i-.*[0-4]",
    "registeredAt < 2018-06-18",
)
_ports = st.sets(st.builds(HostPort, st.integers(80, 82), st.sampled_from(["tcp", "udp"])), max_size=2).map(tuple)
reservations = st.builds(Reservation, st.integers(0, 200), st.integers(0, 200), _ports, st.integers(0, 1), st.integers(0, 1))


@st.composite
def instances(draw: st.DrawFn, number: int) -> ContainerInstance:
    attributes = draw(st.dictionaries(st.sampled_from(["colour", "size"]), st.sampled_from(["", "red", "blue", "5", "40"]), max_size=2))
    return instance(
        f"{draw(st.integers(0, 9))}-{number}",
        zone=draw(st.sampled_from("abc")),
        cpu=draw(st.sampled_from([0, 300, 1000])),
        memory=draw(st.sampled_from([100, 400, 1000])),
        reserved=draw(st.sampled_from([(), (80,)])),
        gpus=draw(st.integers(0, 2)),
        enis=draw(st.integers(0, 2)),
        status=draw(st.sampled_from(["ACTIVE", "ACTIVE", "ACTIVE", "DRAINING", "INACTIVE"])),
        connected=draw(st.sampled_from([True, True, True, False])),
        provider=draw(st.sampled_from(["", "", "spot"])),
        version=draw(st.sampled_from(["1.9.0", "1.100.0", ""])),
        attributes=attributes,
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[ContainerInstance], list[Task]]:
    fleet = [draw(instances(number)) for number in range(draw(st.integers(0, 6)))]
    there = [one.arn for one in fleet if one.status != "INACTIVE"]
    tasks = [
        task(
            str(number),
            draw(st.sampled_from(there)),
            group=draw(st.sampled_from(GROUPS)),
            reservation=draw(reservations),
            status=draw(st.sampled_from(["PENDING", "RUNNING", "STOPPING", "STOPPED"])),
            bound=draw(st.sampled_from([(), (), (81, 32768)])),
        )
        for number in range(draw(st.integers(0, 8)) if there else 0)
    ]
    return fleet, tasks


constraints = st.lists(st.sampled_from([DISTINCT, *map(member_of, EXPRESSIONS)]), max_size=2).map(tuple)
STRATEGIES = (
    spread("instanceId"),
    spread("host"),
    spread(f"attribute:{ZONE}"),
    spread("attribute:colour"),
    binpack("cpu"),
    binpack("memory"),
    RANDOM,
)
strategies = st.lists(st.sampled_from(STRATEGIES), max_size=3).map(tuple)
requests = st.builds(
    PlacementRequest,
    group=st.sampled_from(GROUPS),
    reservation=st.one_of(st.just(Reservation(50, 50)), reservations),
    required_attributes=st.sampled_from([(), (), (("colour", ""),), (("colour", "red"),)]),
    constraints=constraints,
    strategy=strategies,
    capacity_provider=st.sampled_from(["", "", "spot"]),
    zones=st.sampled_from([(), (), ("a", "b")]),
    chance=st.floats(0, 1, exclude_max=True),
)
