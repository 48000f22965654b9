"""Request and answer of LongshoreOpenTaskLogs (docs/extensions.md)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from longshore.aws.protocol.model import OperationShape
from longshore.aws.shapes.ecs import Session


class OpenTaskLogsRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    cluster: str | None = None
    task: str
    container: str | None = None
    #: go on as lines come
    follow: bool = False
    #: the last so many lines; all unless given
    tail: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    #: put the time before each line
    timestamps: bool = False


class OpenTaskLogsResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """As ExecuteCommand answers."""

    cluster_arn: str
    task_arn: str
    container_arn: str
    container_name: str
    session: Session


OPEN_LOGS = OperationShape("LongshoreOpenTaskLogs", OpenTaskLogsRequest, OpenTaskLogsResponse)
