"""A look at a service as its planner takes one, told to whoever asks. Nothing is written and nothing done."""

from __future__ import annotations

from longshore.control.deployments.decide import decide
from longshore.control.deployments.snapshot import snapshot_of
from longshore.control.deployments.vocabulary import Member, Phase, Plan
from longshore.services.ecs.model import TASKS, Task
from longshore.services.ecs.outlook.seen import MemberSeen, Outlook, Step, TargetSeen
from longshore.services.ecs.outlook.seen import Phase as PhaseWord
from longshore.services.ecs.rollout.model import Service
from longshore.services.elbv2.model import TARGETS
from longshore.store.base import Reader

_WORDS: dict[Phase, PhaseWord] = {
    Phase.STARTING: "STARTING",
    Phase.WARMING: "WARMING",
    Phase.HEALTHY: "HEALTHY",
    Phase.UNHEALTHY: "UNHEALTHY",
}


def outlook(reader: Reader, service: Service, now: float, warm_up_s: float) -> Outlook:
    """`warm_up_s`: as for snapshot_of."""
    snapshot = snapshot_of(reader, service, now, warm_up_s)
    decided = decide(snapshot)
    by_arn = {member.arn: member for member in snapshot.members}
    return Outlook(
        desired_count=snapshot.desired,
        least_healthy=snapshot.floor,
        most_tasks=snapshot.ceiling,
        waits=decided.waits,
        next=_steps(decided),
        look_again_at=decided.look_again_at,
        members=tuple(_seen(reader, task, by_arn.get(task.arn)) for task in reader.list(TASKS, "service", service.arn)),
    )


def _steps(decided: Plan) -> tuple[Step, ...]:
    starts = [
        Step(
            action="START",
            deployment_id=one.deployment_id,
            count=one.count,
            reason=one.reason,
            availability_zone=one.zone,
            container_instance_arn=one.instance_arn,
            task_arn=one.in_place_of,
        )
        for one in decided.start
    ]
    return (*starts, *(Step(action="STOP", task_arn=one.arn, reason=one.reason) for one in decided.stop))


def _seen(reader: Reader, task: Task, member: Member | None) -> MemberSeen:
    """`member` is None for a task that was asked to stop."""
    return MemberSeen(
        task_arn=task.arn,
        deployment_id=task.spec.deployment_id,
        task_definition_arn=task.spec.task_definition_arn,
        last_status=task.last_status,
        phase=_WORDS[member.phase] if member is not None else None,
        health_status=task.status.health_status,
        availability_zone=task.availability_zone,
        container_instance_arn=task.container_instance_arn,
        created_at=task.spec.created_at,
        complaint=(member.complaint or member.outgoing) if member is not None else (task.stop.reason if task.stop is not None else ""),
        healthy_at=member.warm_at if member is not None else None,
        protected_until=task.protected_until,
        in_place_of=task.spec.in_place_of,
        targets=tuple(
            TargetSeen(target_group_arn=target.target_group_arn, state=target.health.state, reason=target.health.reason or "")
            for target in reader.list(TARGETS, "owner", task.arn)
        ),
    )
