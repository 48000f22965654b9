"""Who may act for a container instance: poll for its tasks, report for them, register it again.

Policies for agents (AmazonEC2ContainerServiceforEC2Role) allow those actions for every instance of a cluster, so they alone would let
the agent of one machine take the tasks of another, and the credentials of their roles with them. So an instance belongs to the
principal that registered it: a user, or one session of a role by its name, which on EC2 is the machine's id. Anybody else needs, beside
the action itself, ecs:LongshoreActForContainerInstance on the instance, as administrators have it. The sessions that Longshore gives to
machines can act for their own machine only, whatever their role is allowed; and not for one that somebody else registered under their
machine's id, which whoever has a code may choose. The platform's own machine alone takes over what was registered for it before.
"""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.errors import AccessDenied
from longshore.services.call import Call, Principal
from longshore.services.ecs.machines.model import MACHINES, machine_key
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, ContainerInstance
from longshore.store.base import Reader

ACT = "ecs:LongshoreActForContainerInstance"
Pairs = list[tuple[str, str]]


def machine_of(principal: Principal) -> str:
    """The id of the machine whose own session this is; empty for everybody else."""
    bound_to = principal.session.bound_to if principal.session is not None else ""
    return "" if bound_to.startswith("arn:") else bound_to


def acting_for(reader: Reader, principal: Principal, instance: ContainerInstance) -> Pairs:
    """What `principal` needs leave for besides, to act for the instance. Raises AccessDenied for the machine of another."""
    require_machine(principal, instance.ec2_instance_id, instance.arn)
    if principal.is_root or instance.registered_by in ("", principal.arn) or _is_the_platforms_own(reader, principal):
        return []
    return [(ACT, instance.arn)]


def _is_the_platforms_own(reader: Reader, principal: Principal) -> bool:
    machine = machine_of(principal)
    row = reader.get(MACHINES, machine_key(principal.account_id, machine)) if machine else None
    return row is not None and not row.activation_id


def require_machine(principal: Principal, instance_id: str, resource: str) -> None:
    """Raises AccessDenied when the session is a machine's, and not of this one."""
    machine = machine_of(principal)
    if machine and machine != instance_id:
        raise AccessDenied(
            f"User: {principal.arn} is not authorized to perform: {ACT} on resource: {resource} because its session is of the machine "
            f"{machine} alone"
        )


def acting_for_instance(call: Call, arn: str) -> Pairs:
    """None for an instance nobody knows: the operation says so itself."""
    instance = call.store.get(CONTAINER_INSTANCES, arn)
    return acting_for(call.store, call.principal, instance) if instance is not None else []


def acting_for_task(call: Call, arn: str) -> Pairs:
    """For the instance on which a task runs."""
    task = call.store.get(TASKS, arn)
    return acting_for_instance(call, task.container_instance_arn) if task is not None and task.container_instance_arn else []


def acting_for_machine(call: Call, instances: Iterable[ContainerInstance], instance_id: str) -> Pairs:
    """For registering: what is there of the machine already, and the machine itself."""
    require_machine(call.principal, instance_id, instance_id or "a machine that does not say its id")
    return [pair for instance in instances if instance.status != "INACTIVE" for pair in acting_for(call.store, call.principal, instance)]


def only_itself(call: Call, reader: Reader, arns: Iterable[str]) -> Pairs:
    """For what is no agent's business but its own instance's (draining, deregistration): others may, as far as their policies go."""
    for arn in arns:
        instance = reader.get(CONTAINER_INSTANCES, arn)
        if instance is not None:
            require_machine(call.principal, instance.ec2_instance_id, arn)
    return []
