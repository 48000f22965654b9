"""The sentences of a service's event log, as Amazon ECS writes them.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: how the reason begins when a task cannot have its role
ROLE_REFUSED = "ECS was unable to assume the role"
_SEE = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."


def _tasks(task_arns: Sequence[str]) -> str:
    """`1 tasks: (task 0f…) (task 1a…).` – ECS counts one task in the plural, too."""
    named = " ".join(f"(task {arn.rsplit('/', 1)[-1]})" for arn in task_arns)
    return f"{len(task_arns)} tasks: {named}."


def started_tasks(service: str, task_arns: Sequence[str], replaced: int = 0) -> str:
    """`replaced`: how many of them stand in for tasks that failed their health checks."""
    because = f" Amazon ECS replaced {replaced} tasks due to an unhealthy status." if replaced else ""
    return f"(service {service}) has started {_tasks(task_arns)}{because}"


def started_in_zone(service: str, task_arns: Sequence[str], zone: str) -> str:
    return f"(service {service}) has started {_tasks(task_arns).replace(' tasks:', f' tasks in {zone} to AZ Rebalance:', 1)}"


def stopped_tasks(service: str, task_arns: Sequence[str]) -> str:
    return f"(service {service}) has stopped {_tasks(task_arns).replace(' tasks:', ' running tasks:', 1)}"


def stopped_in_zone(service: str, task_arns: Sequence[str], zone: str) -> str:
    what = _tasks(task_arns).replace(" tasks:", f" running tasks in {zone} due to AZ rebalancing:", 1)
    return f"(service {service}) has stopped {what}"


def stopped_pending(service: str, count: int) -> str:
    return f"(service {service}) stopped {count} pending tasks."


def under_protection(service: str, deployment_id: str, count: int) -> str:
    return (
        f"(service {service}) was unable to reach steady state because (taskSet {deployment_id}) was unable to scale in "
        f"due to (reason {count} tasks under protection)"
    )


def zone_balanced(service: str, per_zone: Mapping[str, int]) -> str:
    return f"(service {service}) is AZ balanced with {_per_zone(per_zone)}."


def not_zone_balanced(service: str, per_zone: Mapping[str, int]) -> str:
    return f"(service {service}) is not AZ balanced with {_per_zone(per_zone)}. AZ Rebalancing in progress."


def _per_zone(per_zone: Mapping[str, int]) -> str:
    return ", ".join(f"{count} tasks in {zone}" for zone, count in sorted(per_zone.items(), key=lambda pair: (-pair[1], pair[0])))


def no_place_in_zone(service: str, zone: str) -> str:
    return f"(service {service}) is unable to place a task in {zone} because no container instance met all of its requirements."


def draining_connections(service: str, deployment_id: str, count: int) -> str:
    return f"(service {service}, taskSet {deployment_id}) has begun draining connections on {count} tasks."


def registered_targets(service: str, count: int, target_group_arn: str) -> str:
    return f"(service {service}) registered {count} targets in (target-group {target_group_arn})"


def deregistered_targets(service: str, count: int, target_group_arn: str) -> str:
    return f"(service {service}) deregistered {count} targets in (target-group {target_group_arn})"


def registered_instances(service: str, count: int, load_balancer_name: str) -> str:
    return f"(service {service}) registered {count} instances in (elb {load_balancer_name})"


def deregistered_instances(service: str, count: int, load_balancer_name: str) -> str:
    return f"(service {service}) deregistered {count} instances in (elb {load_balancer_name})"


def instance_unhealthy(service: str, instance_id: str, load_balancer_name: str) -> str:
    reason = "Instance has failed at least the UnhealthyThreshold number of health checks consecutively."
    return f"(service {service}) (instance {instance_id}) is unhealthy in (elb {load_balancer_name}) due to (reason {reason})"


def steady_state(service: str) -> str:
    return f"(service {service}) has reached a steady state."


def deployment_completed(service: str, deployment_id: str) -> str:
    return f"(service {service}) (deployment {deployment_id}) deployment completed."


def deployment_failed(service: str, deployment_id: str) -> str:
    return f"(service {service}) (deployment {deployment_id}) deployment failed: tasks failed to start."


def deployment_ended(service: str, deployment_id: str) -> str:
    return f"(service {service}) (deployment {deployment_id}) deployment stopped at the request of a user."


def deployment_given_up(service: str, deployment_id: str) -> str:
    return f"(service {service}) (deployment {deployment_id}) deployment failed."


def task_set_steady(service: str, task_set_id: str) -> str:
    return f"(service {service}, taskSet {task_set_id}) has reached a steady state."


def rolling_back(service: str, back_to: str) -> str:
    return f"(service {service}) rolling back to deployment {back_to}."


def target_unhealthy(service: str, instance_id: str, port: int, target_group_arn: str, reason: str) -> str:
    where = f"(instance {instance_id}) (port {port}) is unhealthy in (target-group {target_group_arn})"
    return f"(service {service}) {where} due to (reason {reason})"


def task_failed_checks(service: str, task_arn: str) -> str:
    return f"(service {service}) (task {task_arn.rsplit('/', 1)[-1]}) failed container health checks."


def not_launched(service: str, reason: str) -> str:
    """There is no place for it, or ECS may not take on a role that it is to have."""
    if reason.startswith(ROLE_REFUSED):
        return f"(service {service}) failed to launch a task with (error {reason})."
    return no_place(service, reason)


def no_place(service: str, reason: str) -> str:
    """`reason` is a whole sentence, such as `No Container Instances were found in your cluster.`"""
    return (
        f"(service {service}) was unable to place a task because no container instance met all of its requirements. Reason: {reason} {_SEE}"
    )


#: what the closest container instance lacks, by failure reason
LACKS = {
    "RESOURCE:CPU": "has insufficient CPU units available.",
    "RESOURCE:MEMORY": "has insufficient memory available.",
    "RESOURCE:PORTS": "is already using a port required by your task.",
    "RESOURCE:PORTS_UDP": "is already using a port required by your task.",
    "ATTRIBUTE": "is missing an attribute required by your task.",
}


def closest_instance(instance_arn: str, reason: str) -> str:
    """The sentence about the container instance that came nearest to fitting."""
    identifier = instance_arn.rsplit("/", 1)[-1]
    lacks = LACKS.get(reason, f'encountered error "{reason}".')
    return f"The closest matching (container-instance {identifier}) {lacks}"


NO_INSTANCES = "No Container Instances were found in your cluster."


def cannot_start_consistently(service: str) -> str:
    return (
        f"(service {service}) is unable to consistently start tasks successfully. "
        "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
    )


def stuck(service: str) -> str:
    return (
        f"(service {service}) was unable to stop or start tasks during a deployment because of the service deployment configuration. "
        "Update the minimumHealthyPercent or maximumPercent value and try again."
    )
