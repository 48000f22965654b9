"""Sentences of services' event logs, as they are really written, and the names that events have for them."""

from __future__ import annotations

import pytest

from longshore.services.ecs import event_words as words
from longshore.services.ecs.events.actions import Action, action_of, deployment_detail, stage_of
from longshore.services.ecs.rollout.model import Deployment, Service, ServiceSpec

TASKS = ["arn:aws:ecs:us-east-1:000000000000:task/default/0f", "arn:aws:ecs:us-east-1:000000000000:task/default/1a"]
INSTANCE = "arn:aws:ecs:us-east-1:000000000000:container-instance/default/9e"
FAILED = "SERVICE_TASK_PLACEMENT_FAILURE"


@pytest.mark.parametrize(
    ("sentence", "action"),
    [
        (words.steady_state("web"), Action("INFO", "SERVICE_STEADY_STATE")),
        (words.task_set_steady("web", "ecs-svc/1"), Action("INFO", "TASKSET_STEADY_STATE")),
        (words.stopped_tasks("web", TASKS), Action("INFO", "TASKS_STOPPED")),
        (words.cannot_start_consistently("web"), Action("WARN", "SERVICE_TASK_START_IMPAIRED")),
        (words.no_place("web", words.NO_INSTANCES), Action("ERROR", FAILED, words.NO_INSTANCES)),
        (words.no_place("web", words.closest_instance(INSTANCE, "RESOURCE:MEMORY")), Action("ERROR", FAILED, "RESOURCE:MEMORY")),
        (words.no_place("web", words.closest_instance(INSTANCE, "RESOURCE:CPU")), Action("ERROR", FAILED, "RESOURCE:CPU")),
        (words.no_place("web", words.closest_instance(INSTANCE, "ATTRIBUTE")), Action("ERROR", FAILED, "ATTRIBUTE")),
        (words.no_place("web", words.closest_instance(INSTANCE, "RESOURCE:GPU")), Action("ERROR", FAILED, "RESOURCE:GPU")),
        (words.stopped_in_zone("web", TASKS, "us-east-1a"), Action("INFO", "TASKS_STOPPED")),
        (words.stopped_pending("web", 2), Action("INFO", "TASKS_STOPPED")),
        (words.started_in_zone("web", TASKS, "us-east-1a"), Action("INFO", "TASKS_STARTED")),
        (words.not_zone_balanced("web", {"us-east-1a": 3, "us-east-1b": 0}), Action("INFO", "SERVICE_REBALANCING_STARTED")),
        (words.zone_balanced("web", {"us-east-1a": 2, "us-east-1b": 1}), Action("INFO", "SERVICE_REBALANCING_COMPLETED")),
        (words.under_protection("web", "ecs-svc/1", 2), Action("INFO", "TASKSET_SCALE_IN_FAILURE_BY_TASK_PROTECTION")),
        (words.no_place_in_zone("web", "us-east-1a"), Action("ERROR", FAILED)),
        (
            words.not_launched("web", f"{words.ROLE_REFUSED} role (x) and more"),
            Action("ERROR", "SERVICE_TASK_CONFIGURATION_FAILURE", f"{words.ROLE_REFUSED} role (x) and more"),
        ),
        (words.started_tasks("web", TASKS), None),
        (words.stuck("web"), None),
        (words.draining_connections("web", "ecs-svc/1", 2), None),
        (words.deployment_completed("web", "ecs-svc/1"), None),
        ("has reached a steady state.", None),
        ("", None),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else None,
)
def test_a_sentence_means(sentence: str, action: Action | None) -> None:
    assert action_of(sentence) == action


def test_a_deployment_goes_through_its_stages_in_order() -> None:
    service = Service("arn:aws:ecs:us-east-1:000000000000:service/default/web", "arn:c", "web", 0.0, ServiceSpec("arn:td", 1))
    stages = []
    for state, name, severity in (
        ("IN_PROGRESS", "SERVICE_DEPLOYMENT_IN_PROGRESS", "INFO"),
        ("COMPLETED", "SERVICE_DEPLOYMENT_COMPLETED", "INFO"),
        ("FAILED", "SERVICE_DEPLOYMENT_FAILED", "ERROR"),
    ):
        deployment = Deployment("ecs-svc/1", service.arn, "arn:td", 1.0, 1.5, rollout_state=state)
        stages.append(stage_of(deployment))
        assert deployment_detail(service, deployment) == {
            "eventType": severity,
            "eventName": name,
            "clusterArn": "arn:c",
            "deploymentId": "ecs-svc/1",
            "updatedAt": "1970-01-01T00:00:01.500Z",
            "reason": "ECS deployment ecs-svc/1 in progress.",
        }
    assert stages == [1, 2, 3]
    assert stage_of(Deployment("ecs-svc/1", "", "", 1.0, 1.0, rollout_state="SOMETHING")) == 0
