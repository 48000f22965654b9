"""What ECS keeps: clusters, container instances, task definitions, tasks. (Services: rollout/model.py; all kinds: kinds.py.)

`spec` halves say what was asked and are written by operations (and, for tasks of a service, by its deployment); `status`
halves say what was seen. Who writes which field stands in ARCHITECTURE.md. Children name their parents by ARN, parents
keep no lists, and every count (running, pending, remaining resources) is a total over tasks, never a stored number.
"""

from __future__ import annotations

import enum
from typing import Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.kit.resource import Kind, Total


class Tag(msgspec.Struct, frozen=True, gc=False):
    key: str
    value: str = ""


class Versioned(Protocol):
    @property
    def version(self) -> int: ...


V = TypeVar("V", bound=Versioned)


def next_version(before: V, after: V) -> V:
    """Every change of what events tell of counts one up, whoever makes it: a later event has a higher `detail.version`."""
    return replace(after, version=before.version + 1)  # type: ignore[type-var]


# ── clusters ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Cluster(msgspec.Struct, frozen=True, gc=False):
    arn: str
    name: str
    created_at: float
    status: str = "ACTIVE"  # ACTIVE | INACTIVE
    tags: tuple[Tag, ...] = ()
    settings: tuple[tuple[str, str], ...] = (("containerInsights", "disabled"),)
    capacity_providers: tuple[str, ...] = ()
    default_capacity_provider_strategy: tuple[shapes.CapacityProviderStrategyItem, ...] = ()
    #: what ExecuteCommand is to log, and keys for storage
    configuration: shapes.ClusterConfiguration | None = None


def scope_of(arn: str) -> str:
    """`region:account` of an ARN: what listings are confined to."""
    parts = arn.split(":", 5)
    return f"{parts[3]}:{parts[4]}"


CLUSTERS: Kind[Cluster] = Kind(
    name="ecs.cluster",
    type=Cluster,
    key=lambda cluster: cluster.arn,
    indexes={"scope": lambda cluster: (scope_of(cluster.arn),)},
)


# ── container instances ─────────────────────────────────────────────────────────────────────────────────────────────


class Attribute(msgspec.Struct, frozen=True, gc=False):
    name: str
    value: str = ""


class Capacity(msgspec.Struct, frozen=True, gc=False):
    """What an instance offers. CPU in units (1024 = one vCPU), memory in MiB; ports it keeps to itself."""

    cpu: int
    memory_mib: int
    reserved_ports: tuple[int, ...] = ()
    reserved_ports_udp: tuple[int, ...] = ()
    #: identifiers of GPUs, as the agent names them
    gpus: tuple[str, ...] = ()
    #: tasks with an address of their own (network mode awsvpc) that fit there at once
    enis: int = 0


class HealthCheck(msgspec.Struct, frozen=True, gc=False):
    """A check of a container instance, as its agent last reported another outcome of it."""

    type: str  # CONTAINER_RUNTIME | ACCELERATED_COMPUTE | DAEMON
    status: str  # OK | IMPAIRED | INSUFFICIENT_DATA | INITIALIZING
    changed_at: float


class ContainerInstance(msgspec.Struct, frozen=True, gc=False):
    """`status` is written by operations; the connection's facts by the agent session that the gateway holds."""

    arn: str
    cluster_arn: str
    ec2_instance_id: str  # i-… (or mi-… for a machine without an identity document)
    registered_at: float
    capacity: Capacity
    attributes: tuple[Attribute, ...] = ()
    status: str = "ACTIVE"  # REGISTERING | ACTIVE | DRAINING | INACTIVE
    tags: tuple[Tag, ...] = ()
    #: where ports published on this instance are reached
    address: str = ""
    availability_zone: str = ""
    agent_connected: bool = False
    #: when the session was last seen to open or close
    agent_connection_changed_at: float = 0.0
    #: since when it counts as lost: its agent has been away for too long, and services do not rely on it any more
    lost_at: float | None = None
    agent_version: str = ""
    agent_hash: str = ""
    docker_version: str = ""
    deregistered_at: float | None = None
    #: why it is in its status, where there is more to say
    status_reason: str = ""
    #: ARN of the principal whose instance it is; empty for those of earlier versions until they register again
    registered_by: str = ""
    #: the capacity provider it was registered for; empty for most
    capacity_provider: str = ""
    #: what the agent's checks of its machine found
    health: tuple[HealthCheck, ...] = ()
    version: int = 1

    def attribute(self, name: str) -> str | None:
        return next((a.value for a in self.attributes if a.name == name), None)

    @property
    def is_lost(self) -> bool:
        return self.lost_at is not None and not self.agent_connected


CONTAINER_INSTANCES: Kind[ContainerInstance] = Kind(
    name="ecs.container_instance",
    type=ContainerInstance,
    key=lambda instance: instance.arn,
    indexes={
        "cluster": lambda instance: (instance.cluster_arn,) if instance.status != "INACTIVE" else (),
        "scope": lambda instance: (scope_of(instance.arn),),
        "ec2_instance": lambda instance: (f"{scope_of(instance.arn)}:{instance.ec2_instance_id}",),
    },
    succeed=next_version,
)


# ── task definitions ────────────────────────────────────────────────────────────────────────────────────────────────


class TaskDefinition(msgspec.Struct, frozen=True, gc=False):
    """One revision; `definition` is the answer's own shape with every default filled in, so that what is shown is what runs."""

    arn: str
    family: str
    revision: int
    definition: shapes.TaskDefinition
    status: str = "ACTIVE"  # ACTIVE | INACTIVE | DELETE_IN_PROGRESS
    registered_at: float = 0.0
    registered_by: str = ""
    deregistered_at: float | None = None
    tags: tuple[Tag, ...] = ()


def revision_key(arn: str, family: str, revision: int) -> str:
    """Sorts by family, then by revision as a number."""
    return f"{scope_of(arn)}:{family}:{revision:010d}"


TASK_DEFINITIONS: Kind[TaskDefinition] = Kind(
    name="ecs.task_definition",
    type=TaskDefinition,
    key=lambda td: revision_key(td.arn, td.family, td.revision),
    indexes={
        "family": lambda td: (f"{scope_of(td.arn)}:{td.family}",),
        "status": lambda td: (f"{scope_of(td.arn)}:{td.status}",),
        "family_status": lambda td: (f"{scope_of(td.arn)}:{td.family}:{td.status}",),
    },
)


class Family(msgspec.Struct, frozen=True, gc=False):
    """Remembers the highest revision ever given out: a revision number is never used again."""

    scope: str
    name: str
    last_revision: int


FAMILIES: Kind[Family] = Kind(
    name="ecs.family",
    type=Family,
    key=lambda family: f"{family.scope}:{family.name}",
    indexes={"scope": lambda family: (family.scope,)},
)


# ── tasks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Lifecycle(enum.IntEnum):
    """A task's way through life, in ECS's words. It only ever goes forward."""

    PROVISIONING = 1
    PENDING = 2
    ACTIVATING = 3
    RUNNING = 4
    DEACTIVATING = 5
    STOPPING = 6
    DEPROVISIONING = 7
    STOPPED = 8


def advance(current: str, wanted: str) -> str:
    """The later of two lifecycle words: reports may arrive late, twice or out of order, and never take a task back."""
    return wanted if Lifecycle[wanted] > Lifecycle[current] else current


class HostPort(msgspec.Struct, frozen=True, gc=False):
    """A port reserved on (or bound by) an instance."""

    port: int
    protocol: str = "tcp"


class Reservation(msgspec.Struct, frozen=True, gc=False):
    """What a task takes from its instance for as long as it is not STOPPED."""

    cpu: int = 0
    memory_mib: int = 0
    ports: tuple[HostPort, ...] = ()
    #: how many of the instance's GPUs
    gpus: int = 0
    #: network interfaces of its own: 1 in network mode awsvpc
    enis: int = 0


class TaskSpec(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What was asked. Written once, when the task is created."""

    task_definition_arn: str
    group: str  # family:NAME or service:NAME
    created_at: float
    launch_type: str = "EC2"
    started_by: str = ""
    overrides: shapes.TaskOverride | None = None
    reservation: Reservation = Reservation()
    placement_constraints: tuple[shapes.PlacementConstraint, ...] = ()
    placement_strategy: tuple[shapes.PlacementStrategy, ...] = ()
    container_names: tuple[str, ...] = ()
    tags: tuple[Tag, ...] = ()
    #: the service and deployment this task belongs to; empty for standalone tasks
    service_arn: str = ""
    deployment_id: str = ""
    reference_id: str = ""
    enable_execute_command: bool = False
    #: the caller's own, `|`, and a digest of all that was asked with it
    client_token: str = ""
    #: the capacity provider of the strategy that it was placed for; empty with a launch type
    capacity_provider: str = ""
    network_configuration: shapes.NetworkConfiguration | None = None
    #: of a service with an external deployment controller
    task_set_id: str = ""
    #: the task of the service that is to go once this one is healthy; a move is two tasks, the new one first
    in_place_of: str = ""


class Stop(msgspec.Struct, frozen=True, gc=False):
    """Somebody wants the task gone: an operation or a controller, once, and never taken back."""

    reason: str
    code: str  # TaskFailedToStart | EssentialContainerExited | UserInitiated | ServiceSchedulerInitiated | …
    at: float


class NetworkBinding(msgspec.Struct, frozen=True, gc=False):
    """A published port; or, with ports of 0, a published range (`8000-8010` on both sides)."""

    container_port: int
    host_port: int
    protocol: str = "tcp"
    bind_ip: str = "0.0.0.0"
    container_port_range: str = ""
    host_port_range: str = ""


class Container(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A container as its agent last reported it."""

    name: str
    arn: str
    last_status: str = "PENDING"  # PENDING | RUNNING | STOPPED
    image: str = ""
    image_digest: str = ""
    runtime_id: str = ""
    exit_code: int | None = None
    reason: str = ""
    network_bindings: tuple[NetworkBinding, ...] = ()
    health_status: str = "UNKNOWN"  # HEALTHY | UNHEALTHY | UNKNOWN
    #: how often its restart policy has started it again
    restart_count: int = 0


class Attachment(msgspec.Struct, frozen=True, gc=False):
    """A network interface of the task's own."""

    id: str
    status: str = "PRECREATED"  # PRECREATED | ATTACHING | ATTACHED | DETACHING | DETACHED | DELETED
    eni_id: str = ""
    mac_address: str = ""
    private_address: str = ""
    subnet_id: str = ""
    #: the way out of its range, with the length of the range's prefix: a.b.c.d/24
    gateway: str = ""


class TaskStatus(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What was seen. Written from the agent's reports (SubmitTaskStateChange, PublishHealthRequest)."""

    last_status: str = "PROVISIONING"
    containers: tuple[Container, ...] = ()
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    started_at: float | None = None
    connectivity_at: float | None = None
    execution_stopped_at: float | None = None
    stopping_at: float | None = None
    stopped_at: float | None = None
    #: set when the agent stopped the task by itself (essential container exited, could not start)
    stopped_reason: str = ""
    stop_code: str = ""
    health_status: str = "UNKNOWN"
    attachments: tuple[Attachment, ...] = ()


class Chosen(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """How placement came to a task's place: what its strategies made of the instance then."""

    #: active instances asked, and those of them that could take the task
    instances: int
    candidates: int
    #: by strategy, in their order: less was better
    scores: tuple[int, ...] = ()


class Task(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    arn: str
    cluster_arn: str
    spec: TaskSpec
    #: written once by placement; empty while the task waits for a place
    container_instance_arn: str = ""
    availability_zone: str = ""
    #: set once by whoever wants it stopped
    stop: Stop | None = None
    status: TaskStatus = TaskStatus()
    #: of the instance's GPUs, those that are the task's; written with its place
    gpu_ids: tuple[str, ...] = ()
    #: None where somebody named the instance
    chosen: Chosen | None = None
    #: until then neither scale-in nor a deployment stops it; None: not protected
    protected_until: float | None = None
    version: int = 1

    @property
    def desired_status(self) -> str:
        return "STOPPED" if self.stop is not None or self.status.last_status == "STOPPED" else "RUNNING"

    @property
    def last_status(self) -> str:
        return self.status.last_status

    @property
    def is_stopped(self) -> bool:
        return self.status.last_status == "STOPPED"

    @property
    def family(self) -> str:
        return self.spec.task_definition_arn.rsplit("/", 1)[-1].rsplit(":", 1)[0]


#: a task of a service that ends by itself sooner than this after RUNNING counts as one that failed to start
SHORT_LIFE_S = 10.0


def counts_as_failed(task: Task) -> bool:
    """It ended by itself before it had run for long, or was stopped for failing its health checks."""
    status = task.status
    if not task.is_stopped:
        return False
    if task.stop is not None:
        return task.stop.reason.startswith("Task failed ")
    return status.started_at is None or (status.stopped_at or 0.0) - status.started_at < SHORT_LIFE_S


_BEFORE_RUNNING = frozenset(stage.name for stage in Lifecycle if stage < Lifecycle.RUNNING)


def _is_pending(task: Task) -> bool:
    return task.status.last_status in _BEFORE_RUNNING and task.stop is None


def _is_running(task: Task) -> bool:
    return task.status.last_status == "RUNNING"


def _counts(task: Task) -> tuple[int, ...]:
    return (int(_is_running(task)), int(_is_pending(task)))


def _taken(task: Task) -> tuple[int, ...]:
    if task.is_stopped:
        return (0, 0, 0, 0)
    reserved = task.spec.reservation
    return (reserved.cpu, reserved.memory_mib, int(_is_running(task)), int(_is_pending(task)))


TASKS: Kind[Task] = Kind(
    name="ecs.task",
    type=Task,
    key=lambda task: task.arn,
    indexes={
        "cluster": lambda task: (f"{task.cluster_arn}|{task.desired_status}",),
        "container_instance": lambda task: (task.container_instance_arn,) if task.container_instance_arn else (),
        "active_on": lambda task: (task.container_instance_arn,) if task.container_instance_arn and not task.is_stopped else (),
        "service": lambda task: (task.spec.service_arn,) if task.spec.service_arn and not task.is_stopped else (),
        "family": lambda task: (f"{task.cluster_arn}|{task.family}|{task.desired_status}",),
        "started_by": lambda task: (f"{task.cluster_arn}|{task.spec.started_by}|{task.desired_status}",) if task.spec.started_by else (),
        "service_name": lambda task: (f"{task.cluster_arn}|{task.spec.group}|{task.desired_status}",) if task.spec.service_arn else (),
        "unplaced": lambda task: (
            (task.cluster_arn,) if not task.container_instance_arn and not task.is_stopped and task.stop is None else ()
        ),
        "stopped": lambda task: ("stopped",) if task.is_stopped else (),
        "failed_in": lambda task: (task.spec.deployment_id,) if task.spec.deployment_id and counts_as_failed(task) else (),
        "attachment": lambda task: [one.id for one in task.status.attachments] if not task.is_stopped else (),
        "capacity_provider": lambda task: (
            (f"{task.cluster_arn}|{task.spec.capacity_provider}",) if task.spec.capacity_provider and not task.is_stopped else ()
        ),
        "client_token": lambda task: (f"{task.cluster_arn}|{task.spec.client_token.rpartition('|')[0]}",) if task.spec.client_token else (),
        "external": lambda task: (task.cluster_arn,) if task.spec.launch_type == "EXTERNAL" and not task.is_stopped else (),
    },
    totals={
        # cpu, memory MiB, running, pending of everything placed on an instance
        "on_instance": Total(width=4, group=lambda task: task.container_instance_arn or None, amounts=_taken),
        # running, pending
        "in_cluster": Total(width=2, group=lambda task: task.cluster_arn, amounts=_counts),
        "in_service": Total(width=2, group=lambda task: task.spec.service_arn or None, amounts=_counts),
        "in_deployment": Total(width=2, group=lambda task: task.spec.deployment_id or None, amounts=_counts),
    },
    succeed=next_version,
)
