"""Policies that keep a capacity provider, a task definition or sessions in containers from somebody, whatever operation they come with."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sweeps.installation import OWNER, REGION, USER, Installation

ECS = f"arn:aws:ecs:{REGION}:{OWNER}"
PROVIDER, WEB = f"{ECS}:capacity-provider/spare", f"{ECS}:task-definition/web:*"
MAIN = {"cluster": "main"}
REQUESTS: dict[str, dict[str, Any]] = {
    "RunTask": MAIN | {"taskDefinition": "web"},
    "StartTask": MAIN | {"taskDefinition": "web", "containerInstances": ["0" * 32]},
    "CreateService": MAIN | {"serviceName": "other", "taskDefinition": "web", "desiredCount": 1},
    "UpdateService": MAIN | {"service": "site", "taskDefinition": "web"},
    "CreateTaskSet": MAIN | {"service": "foreign", "taskDefinition": "web"},
    "CreateCluster": {"clusterName": "new"},
    "PutClusterCapacityProviders": MAIN | {"capacityProviders": [], "defaultCapacityProviderStrategy": []},
}
OF_SERVICES = ("CreateService", "UpdateService", "CreateTaskSet")


async def is_denied(there: Installation, operation: str, request: dict[str, Any], condition: dict[str, dict[str, Any]]) -> bool:
    """By the condition: without it nothing is."""
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    await there.allow(everything, {"Effect": "Deny", "Action": f"ecs:{operation}", "Resource": "*", "Condition": condition})
    return (await there.ask("ecs", operation, request, USER)).denied


@pytest.mark.parametrize("spelling", ["spare", PROVIDER])
@pytest.mark.parametrize("operation", ["RunTask", *OF_SERVICES, "CreateCluster", "PutClusterCapacityProviders"])
async def test_a_capacity_provider_is_kept_by_name_and_by_arn(there: Installation, operation: str, spelling: str) -> None:
    condition = {"ForAnyValue:ArnEquals": {"ecs:capacity-provider": PROVIDER}}
    if "luster" in operation:
        named: dict[str, Any] = {"capacityProviders": [spelling]}
    else:
        named = {"capacityProviderStrategy": [{"capacityProvider": spelling, "weight": 1}]}
    assert await is_denied(there, operation, REQUESTS[operation] | named, condition)
    assert not await is_denied(there, operation, REQUESTS[operation], condition)


@pytest.mark.parametrize("spelling", ["web", "web:1", f"{ECS}:task-definition/web:1"])
@pytest.mark.parametrize("operation", OF_SERVICES)
async def test_a_task_definition_is_kept_however_it_is_spelled(there: Installation, operation: str, spelling: str) -> None:
    condition = {"ArnLike": {"ecs:task-definition": WEB}}
    assert await is_denied(there, operation, REQUESTS[operation] | {"taskDefinition": spelling}, condition)
    assert not await is_denied(there, operation, REQUESTS[operation] | {"taskDefinition": "none"}, condition)


@pytest.mark.parametrize("operation", ["RunTask", "StartTask", "CreateService", "UpdateService"])
async def test_sessions_in_containers_are_kept(there: Installation, operation: str) -> None:
    condition = {"Bool": {"ecs:enable-execute-command": "true"}}
    assert await is_denied(there, operation, REQUESTS[operation] | {"enableExecuteCommand": True}, condition)
    assert not await is_denied(there, operation, REQUESTS[operation], condition)


async def test_a_container_instance_is_kept(there: Installation) -> None:
    condition = {"ForAnyValue:ArnLike": {"ecs:container-instances": f"{ECS}:container-instance/main/*"}}
    assert await is_denied(there, "StartTask", REQUESTS["StartTask"], condition)
