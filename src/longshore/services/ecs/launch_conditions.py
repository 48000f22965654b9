"""What a request is to launch, as policies ask about it: ECS's own condition keys beside the resource that is acted on.

One place for all operations that launch something, so that a policy which keeps a capacity provider or a task definition from
somebody keeps it from them whatever they call, and however they spell it: names and ARNs come out as the same ARN. A key is
given where AWS documents it for the action and the request says something about it.
"""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.lookup import child_arn, definition_resource_arn

#: requests that start tasks, now or for as long as they are wanted
Launching = (
    shapes.RunTaskRequest
    | shapes.StartTaskRequest
    | shapes.CreateServiceRequest
    | shapes.UpdateServiceRequest
    | shapes.CreateTaskSetRequest
)


def provider_arn(call: Call, reference: str) -> str:
    return reference if reference.startswith("arn:") else call.arn("ecs", f"capacity-provider/{reference}")


def provider_condition(call: Call, references: Iterable[str | None]) -> dict[str, list[str]]:
    """ecs:capacity-provider, where any are named."""
    arns = [provider_arn(call, reference) for reference in references if reference]
    return {"ecs:capacity-provider": arns} if arns else {}


def launch_conditions(call: Call, request: Launching) -> dict[str, list[str]]:
    """ecs:capacity-provider, ecs:task-definition, ecs:enable-execute-command and ecs:container-instances."""
    found: dict[str, list[str]] = {}
    if not isinstance(request, shapes.StartTaskRequest):
        found |= provider_condition(call, (item.capacity_provider for item in request.capacity_provider_strategy or ()))
    else:
        found["ecs:container-instances"] = [
            child_arn(call, request.cluster, "container-instance", reference) for reference in request.container_instances
        ]
    # whoever runs a task acts on its definition; that one is a resource there, and no condition
    if not isinstance(request, shapes.RunTaskRequest | shapes.StartTaskRequest) and request.task_definition:
        found["ecs:task-definition"] = [definition_resource_arn(call, request.task_definition)]
    if not isinstance(request, shapes.CreateTaskSetRequest):
        given = request.enable_execute_command
        # an update that says nothing of it leaves it as it is
        if given is not None or not isinstance(request, shapes.UpdateServiceRequest):
            found["ecs:enable-execute-command"] = [str(bool(given)).lower()]
    return found
