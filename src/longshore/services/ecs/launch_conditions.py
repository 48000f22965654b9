"""What a request is to launch, as policies ask about it: ECS's own condition keys beside the resource that is acted on.

One place for all operations that launch something, so that a policy which keeps a capacity provider or a task definition from
somebody keeps it from them whatever they call, and however they spell it: names and ARNs come out as the same ARN. A key is
given where AWS documents it for the action and the request says something about it.
"""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.errors import ClientException
from longshore.services.ecs.lookup import child_arn, definition_resource_arn, find_definition
from longshore.services.ecs.task_sizes import cpu_units, memory_mib

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
    """ecs:capacity-provider, ecs:task-definition, ecs:enable-execute-command, ecs:enable-ebs-volumes and ecs:container-instances."""
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
            found["ecs:enable-execute-command"] = [_said(given)]
        volumes = request.volume_configurations
        if volumes is not None or not isinstance(request, shapes.UpdateServiceRequest):
            found["ecs:enable-ebs-volumes"] = [_said(volumes)]
    return found


def service_conditions(call: Call, request: shapes.CreateServiceRequest | shapes.UpdateServiceRequest) -> dict[str, list[str]]:
    """The same, and what AWS documents for services alone: their network, tags, names and the size of their tasks.

    An update says something only of what it names.
    """
    found, is_new = launch_conditions(call, request), isinstance(request, shapes.CreateServiceRequest)
    network = request.network_configuration.awsvpc_configuration if request.network_configuration is not None else None
    if network is not None:
        found["ecs:subnet"] = list(network.subnets)
        found["ecs:auto-assign-public-ip"] = [_said(network.assign_public_ip == "ENABLED")]
    if is_new or request.enable_ecs_managed_tags is not None:
        found["ecs:enable-ecs-managed-tags"] = [_said(request.enable_ecs_managed_tags)]
    if is_new or request.propagate_tags is not None:
        found["ecs:propagate-tags"] = [request.propagate_tags or "NONE"]
    connect = request.service_connect_configuration
    if is_new or connect is not None:
        found["ecs:enable-service-connect"] = [_said(connect is not None and connect.enabled)]
    if connect is not None and connect.namespace:
        found["ecs:namespace"] = [connect.namespace]
    if is_new or request.vpc_lattice_configurations is not None:
        found["ecs:enable-vpc-lattice"] = [_said(request.vpc_lattice_configurations)]
    return found | _sizes_of_named(call, request.task_definition)


def _said(value: object) -> str:
    return "true" if value else "false"


def _sizes_of_named(call: Call, reference: str | None) -> dict[str, list[str]]:
    try:
        found = find_definition(call.store, call, reference) if reference else None
    except ClientException:  # no reference to anything, which the operation says
        found = None
    return size_conditions(found.definition.cpu, found.definition.memory) if found is not None else {}


def size_conditions(cpu: str | None, memory: str | None) -> dict[str, list[str]]:
    """ecs:task-cpu in units and ecs:task-memory in MiB, whichever way they are written."""
    sizes = {"ecs:task-cpu": cpu_units(cpu or ""), "ecs:task-memory": memory_mib(memory or "")}
    return {key: [str(size)] for key, size in sizes.items() if size is not None}


def definition_conditions(request: shapes.RegisterTaskDefinitionRequest) -> dict[str, list[str]]:
    """What a task definition would let its tasks do: ecs:privileged, ecs:compute-compatibility and its sizes."""
    privileged = any(container.privileged for container in request.container_definitions)
    found = {"ecs:privileged": [_said(privileged)]} | size_conditions(request.cpu, request.memory)
    if request.requires_compatibilities:
        found["ecs:compute-compatibility"] = list(request.requires_compatibilities)
    return found
