"""How a task is asked to stop, and when its agent is told so.

Whoever wants a task gone sets `stop`, once. A running task that a service has put behind a load balancer is DEACTIVATING
until its targets are drained, and only then STOPPING: traffic leaves first, SIGTERM comes after. A task that has no place
yet needs no agent and is STOPPED at once.
"""

from __future__ import annotations

from msgspec.structs import replace

from longshore.services.ecs.model import ContainerInstance, Stop, Task, TaskStatus, advance

#: of tasks that services take off an instance which is DRAINING; others look for its last seven words
DRAINED = "Task stopped because its container instance is in DRAINING state"


def lost_with(instance: ContainerInstance) -> str:
    """Of tasks that services take off an instance whose agent has been away for too long."""
    return f"Host EC2 (instance {instance.ec2_instance_id}) lost: its agent is disconnected"


def stopped_by(task: Task, *, reason: str, code: str, now: float, behind_load_balancer: bool) -> Task:
    """`task` as it is after being asked to stop; unchanged when it was asked before or has stopped."""
    if task.stop is not None or task.is_stopped:
        return task
    stop = Stop(reason=reason, code=code, at=now)
    if not task.container_instance_arn:
        status = replace(task.status, last_status="STOPPED", stopping_at=now, stopped_at=now)
        return replace(task, stop=stop, status=status)
    return replace(task, stop=stop, status=_leaving(task, "DEACTIVATING" if behind_load_balancer else "STOPPING", now))


def drained(task: Task, now: float) -> Task:
    """`task` once no load balancer sends it anything any more."""
    return replace(task, status=_leaving(task, "STOPPING", now))


def may_be_told_to_stop(task: Task) -> bool:
    """Whether its agent is to stop it now."""
    return task.stop is not None and task.status.last_status != "DEACTIVATING"


def _leaving(task: Task, wanted: str, now: float) -> TaskStatus:
    status = task.status
    return replace(status, last_status=advance(status.last_status, wanted), stopping_at=status.stopping_at or now)
