"""What `longshore task` is answered: as much of it as is shown. Times are seconds since the epoch."""

from __future__ import annotations

import msgspec

from longshore.aws.flight import ContainerFlight


class Binding(msgspec.Struct, frozen=True, rename="camel"):
    bind_ip: str = msgspec.field(name="bindIP", default="")
    container_port: int = 0
    host_port: int = 0
    protocol: str = "tcp"
    container_port_range: str = ""
    host_port_range: str = ""


class Container(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    last_status: str = ""
    image: str = ""
    image_digest: str = ""
    runtime_id: str = ""
    exit_code: int | None = None
    reason: str = ""
    health_status: str = ""
    network_bindings: tuple[Binding, ...] = ()


class Detail(msgspec.Struct, frozen=True):
    name: str = ""
    value: str = ""


class Attachment(msgspec.Struct, frozen=True, rename="camel"):
    type: str = ""
    status: str = ""
    details: tuple[Detail, ...] = ()


class Tag(msgspec.Struct, frozen=True):
    key: str = ""
    value: str = ""


class Task(msgspec.Struct, frozen=True, rename="camel"):
    task_arn: str
    cluster_arn: str = ""
    task_definition_arn: str = ""
    group: str = ""
    started_by: str = ""
    last_status: str = ""
    desired_status: str = ""
    launch_type: str = ""
    capacity_provider_name: str = ""
    availability_zone: str = ""
    container_instance_arn: str = ""
    health_status: str = ""
    cpu: str = ""
    memory: str = ""
    stop_code: str = ""
    stopped_reason: str = ""
    created_at: float | None = None
    connectivity_at: float | None = None
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    started_at: float | None = None
    stopping_at: float | None = None
    execution_stopped_at: float | None = None
    stopped_at: float | None = None
    enable_execute_command: bool = False
    containers: tuple[Container, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    tags: tuple[Tag, ...] = ()


class ServiceEvent(msgspec.Struct, frozen=True, rename="camel"):
    created_at: float
    message: str


class Record(msgspec.Struct, frozen=True, rename="camel"):
    """LongshoreGetTaskRecord."""

    task: Task
    archived: bool = False
    ec2_instance_id: str = ""
    recorded_at: float | None = None
    containers: tuple[ContainerFlight, ...] = ()
    service_events: tuple[ServiceEvent, ...] = ()


class EndedContainer(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    exit_code: int | None = None
    reason: str = ""


class EndedTask(msgspec.Struct, frozen=True, rename="camel"):
    task_arn: str
    task_definition_arn: str = ""
    group: str = ""
    started_by: str = ""
    availability_zone: str = ""
    container_instance_arn: str = ""
    created_at: float = 0.0
    started_at: float | None = None
    stopped_at: float = 0.0
    stop_code: str = ""
    stopped_reason: str = ""
    failed: bool = False
    archived: bool = False
    containers: tuple[EndedContainer, ...] = ()


class History(msgspec.Struct, frozen=True, rename="camel"):
    """LongshoreListTaskHistory."""

    tasks: tuple[EndedTask, ...]
    next_token: str | None = None


class Listed(msgspec.Struct, frozen=True, rename="camel"):
    task_arns: tuple[str, ...] = ()
    next_token: str | None = None


class Described(msgspec.Struct, frozen=True):
    tasks: tuple[Task, ...] = ()


class Opened(msgspec.Struct, frozen=True, rename="camel"):
    """LongshoreOpenTaskLogs."""

    container_name: str
    session: dict[str, str]


class Line(msgspec.Struct, frozen=True, rename="camel"):
    """One task of a list, whether it runs or has ended."""

    task_arn: str
    definition: str
    group: str
    status: str
    #: when it began to run, or was made
    since: float
    availability_zone: str = ""
    container_instance_arn: str = ""
    stopped_at: float | None = None
    failed: bool = False
    archived: bool = False
    #: why it stopped, in a few words
    why: str = ""
