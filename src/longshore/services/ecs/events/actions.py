"""Events about services and their deployments: what happened, by the names that AWS gives it.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_service_events.html and …/ecs_service_deployment_events.html.
A service's own event log says the same in sentences; which sentence means which name is told here, so that whoever decides something
says it once.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from longshore.services.ecs import event_words
from longshore.services.ecs.events.times import iso
from longshore.services.ecs.rollout.model import Deployment, Service, ServiceEvent


class Action(NamedTuple):
    severity: str  # INFO | WARN | ERROR
    name: str
    reason: str = ""


#: how a sentence goes on behind `(service NAME…) ` -> what it means
_SENTENCES: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"has reached a steady state\."), "INFO", "SERVICE_STEADY_STATE"),
    (re.compile(r"(?:has )?stopped \d+ (?:running|pending) tasks\b"), "INFO", "TASKS_STOPPED"),
    (re.compile(r"has started \d+ tasks in \S+ to AZ Rebalance: "), "INFO", "TASKS_STARTED"),
    (re.compile(r"is not AZ balanced with "), "INFO", "SERVICE_REBALANCING_STARTED"),
    (re.compile(r"is AZ balanced with "), "INFO", "SERVICE_REBALANCING_COMPLETED"),
    (re.compile(r"was unable to .* tasks under protection\)"), "INFO", "TASKSET_SCALE_IN_FAILURE_BY_TASK_PROTECTION"),
    (re.compile(r"is unable to consistently start tasks successfully\."), "WARN", "SERVICE_TASK_START_IMPAIRED"),
    (re.compile(r"(?:was|is) unable to place a task"), "ERROR", "SERVICE_TASK_PLACEMENT_FAILURE"),
    (re.compile(r"failed to launch a task with \(error "), "ERROR", "SERVICE_TASK_CONFIGURATION_FAILURE"),
)
_SUBJECT = re.compile(r"\(service [^()\s,]+(?P<task_set>, taskSet [^()\s]+)?\) (?:\([^()]*\) )*")
_NO_PLACE = re.compile(r"Reason: (?P<reason>.*?)(?: For more information,|$)", re.DOTALL)
_NOT_LAUNCHED = re.compile(r"with \(error (?P<reason>.*)\)\.$", re.DOTALL)


def action_of(message: str) -> Action | None:
    """What a sentence of a service's event log means; None where AWS has no name for it."""
    subject = _SUBJECT.match(message)
    if subject is None:
        return None
    for sentence, severity, name in _SENTENCES:
        if sentence.match(message, subject.end()):
            if name == "SERVICE_STEADY_STATE" and subject["task_set"]:
                return Action(severity, "TASKSET_STEADY_STATE")
            return Action(severity, name, _reason(message) if severity == "ERROR" else "")
    return None


def _reason(message: str) -> str:
    """RESOURCE:CPU and its like where the sentence says so; otherwise its own words."""
    for reason, lacks in event_words.LACKS.items():
        if lacks in message:
            return reason
    quoted = re.search(r'encountered error "([^"]+)"', message)
    if quoted is not None:
        return quoted[1]
    found = _NO_PLACE.search(message) or _NOT_LAUNCHED.search(message)
    return found["reason"] if found is not None else ""


def action_detail(service: Service, event: ServiceEvent, action: Action) -> dict[str, Any]:
    detail: dict[str, Any] = {
        "eventType": action.severity,
        "eventName": action.name,
        "clusterArn": service.cluster_arn,
        "createdAt": iso(event.created_at),
    }
    return {**detail, "reason": action.reason} if action.reason else detail


#: rollout state -> (severity, name). In this order, and never back.
_DEPLOYMENTS = {
    "IN_PROGRESS": ("INFO", "SERVICE_DEPLOYMENT_IN_PROGRESS"),
    "COMPLETED": ("INFO", "SERVICE_DEPLOYMENT_COMPLETED"),
    "FAILED": ("ERROR", "SERVICE_DEPLOYMENT_FAILED"),
}


def stage_of(deployment: Deployment) -> int:
    """1 for a deployment that is under way, more for one that has ended; 0 where there is nothing to tell."""
    return list(_DEPLOYMENTS).index(deployment.rollout_state) + 1 if deployment.rollout_state in _DEPLOYMENTS else 0


def deployment_detail(service: Service, deployment: Deployment) -> dict[str, Any]:
    severity, name = _DEPLOYMENTS[deployment.rollout_state]
    return {
        "eventType": severity,
        "eventName": name,
        "clusterArn": service.cluster_arn,
        "deploymentId": deployment.id,
        "updatedAt": iso(deployment.updated_at),
        "reason": deployment.rollout_state_reason or f"ECS deployment {deployment.id} in progress.",
    }
