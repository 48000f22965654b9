"""The sentences of a service's event log, as Amazon ECS writes them.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
"""

from __future__ import annotations

from collections.abc import Sequence

_SEE = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."


def _tasks(task_arns: Sequence[str]) -> str:
    """`1 tasks: (task 0f…) (task 1a…).` – ECS counts one task in the plural, too."""
    named = " ".join(f"(task {arn.rsplit('/', 1)[-1]})" for arn in task_arns)
    return f"{len(task_arns)} tasks: {named}."


def started_tasks(service: str, task_arns: Sequence[str]) -> str:
    return f"(service {service}) has started {_tasks(task_arns)}"


def stopped_tasks(service: str, task_arns: Sequence[str]) -> str:
    return f"(service {service}) has stopped {_tasks(task_arns).replace(' tasks:', ' running tasks:', 1)}"


def draining_connections(service: str, deployment_id: str, count: int) -> str:
    return f"(service {service}, taskSet {deployment_id}) has begun draining connections on {count} tasks."


def registered_targets(service: str, count: int, target_group_arn: str) -> str:
    return f"(service {service}) registered {count} targets in (target-group {target_group_arn})"


def deregistered_targets(service: str, count: int, target_group_arn: str) -> str:
    return f"(service {service}) deregistered {count} targets in (target-group {target_group_arn})"


def steady_state(service: str) -> str:
    return f"(service {service}) has reached a steady state."


def deployment_completed(service: str, deployment_id: str) -> str:
    return f"(service {service}) (deployment {deployment_id}) deployment completed."


def deployment_failed(service: str, deployment_id: str) -> str:
    return f"(service {service}) (deployment {deployment_id}) deployment failed: tasks failed to start."


def rolling_back(service: str, deployment_id: str, back_to: str) -> str:
    return f"(service {service}) rolling back to (deployment {back_to}) because the circuit breaker ended (deployment {deployment_id})."


def target_unhealthy(service: str, instance_id: str, port: int, target_group_arn: str, reason: str) -> str:
    where = f"(instance {instance_id}) (port {port}) is unhealthy in (target-group {target_group_arn})"
    return f"(service {service}) {where} due to (reason {reason})"


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
