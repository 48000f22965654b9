"""Requests and answers of the operations about tasks that have ended. docs/extensions.md says what they mean.

Times are seconds since the epoch.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from longshore.aws.flight import ContainerFlight
from longshore.aws.protocol.model import OperationShape
from longshore.aws.shapes import ecs

_Page = Annotated[int, Meta(ge=1, le=100)]


class SubmitTaskRecordRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    cluster: str | None = None
    task: str
    containers: tuple[ContainerFlight, ...]


class SubmitTaskRecordResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    acknowledgment: str


SUBMIT = OperationShape("LongshoreSubmitTaskRecord", SubmitTaskRecordRequest, SubmitTaskRecordResponse)


class GetTaskRecordRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    cluster: str | None = None
    #: an id or an ARN
    task: str


class ServiceEvent(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    created_at: float
    message: str


class GetTaskRecordResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    #: as DescribeTasks shows it, tags included
    task: ecs.Task
    #: DescribeTasks does not show it any more
    archived: bool
    #: i-… of the machine it ran on
    ec2_instance_id: str | None = None
    #: what the agent wrote down at its end; absent while it runs, and where the agent is not ours
    recorded_at: float | None = None
    containers: tuple[ContainerFlight, ...] = ()
    #: of its service, from a minute before it was created to a minute after it had stopped; oldest first
    service_events: tuple[ServiceEvent, ...] = ()


GET = OperationShape("LongshoreGetTaskRecord", GetTaskRecordRequest, GetTaskRecordResponse)


class ListTaskHistoryRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    cluster: str | None = None
    service_name: str | None = None
    family: str | None = None
    started_by: str | None = None
    container_instance: str | None = None
    failed_only: bool = False
    #: that stopped then or later; or earlier
    since: float | None = None
    until: float | None = None
    max_results: _Page | None = None
    next_token: str | None = None


class EndedContainer(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    name: str
    exit_code: int | None = None
    reason: str | None = None
    image: str | None = None
    image_digest: str | None = None


class EndedTask(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    task_arn: str
    task_definition_arn: str
    group: str
    started_by: str | None = None
    availability_zone: str | None = None
    container_instance_arn: str | None = None
    created_at: float
    started_at: float | None = None
    stopped_at: float
    stop_code: str | None = None
    stopped_reason: str | None = None
    failed: bool
    archived: bool
    containers: tuple[EndedContainer, ...] = ()


class ListTaskHistoryResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    #: newest first
    tasks: tuple[EndedTask, ...]
    next_token: str | None = None


LIST = OperationShape("LongshoreListTaskHistory", ListTaskHistoryRequest, ListTaskHistoryResponse)
