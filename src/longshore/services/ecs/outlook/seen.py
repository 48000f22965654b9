"""A look of the scheduler's at one service: what there is, what is waited for, what would be done next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from longshore.services.ecs.rollout.model import Service
from longshore.store.base import Reader

Phase = Literal["STARTING", "WARMING", "HEALTHY", "UNHEALTHY"]


class TargetSeen(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    target_group_arn: str
    state: str
    reason: str = ""


class MemberSeen(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """A task of the service, as its scheduler sees it."""

    task_arn: str
    deployment_id: str
    task_definition_arn: str
    last_status: str
    #: none for one that was asked to stop
    phase: Phase | None = None
    health_status: str = "UNKNOWN"
    availability_zone: str = ""
    container_instance_arn: str = ""
    created_at: float = 0.0
    #: why it is UNHEALTHY, or why it cannot stay where it is
    complaint: str = ""
    #: when it counts as healthy by merely running
    healthy_at: float | None = None
    protected_until: float | None = None
    #: the task whose place it takes
    in_place_of: str = ""
    targets: tuple[TargetSeen, ...] = ()


class Step(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """What the scheduler would do now if nothing kept it from that."""

    action: Literal["START", "STOP"]
    deployment_id: str = ""
    count: int = 1
    task_arn: str = ""
    reason: str = ""
    availability_zone: str = ""
    container_instance_arn: str = ""


class Outlook(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """A look of the scheduler's at one service."""

    #: tasks that are wanted, the least that stay healthy and the most that there are at once while they are replaced
    desired_count: int
    least_healthy: int
    most_tasks: int
    #: sentences: what is waited for
    waits: tuple[str, ...] = ()
    next: tuple[Step, ...] = ()
    look_again_at: float | None = None
    members: tuple[MemberSeen, ...] = ()


#: asks the scheduler: (reader, service, now)
Scheduler = Callable[[Reader, Service, float], Outlook]
