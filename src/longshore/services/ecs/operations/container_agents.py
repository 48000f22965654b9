"""Updates of agents, which are asked for here and never made.

There is no newer agent to hand out: this project's own is updated with the project, and Amazon's by whoever installed it (its
package brings its successor). So the answer is ECS's own for an agent that is up to date, once it is known which one it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.errors import InvalidParameterException, MissingVersionException, NoUpdateAvailableException
from longshore.services.ecs.lookup import child_arn, cluster_arn, find_cluster, find_container_instance


def _named(call: Call, request: shapes.UpdateContainerAgentRequest) -> Iterable[str]:
    return (child_arn(call, request.cluster, "container-instance", request.container_instance),)


def _cluster_condition(call: Call, request: shapes.UpdateContainerAgentRequest) -> dict[str, list[str]]:
    return {"ecs:cluster": [cluster_arn(call, request.cluster)]}


@api.operation("UpdateContainerAgent", resource=_named, conditions=_cluster_condition)
async def update_container_agent(call: Call, request: shapes.UpdateContainerAgentRequest) -> shapes.UpdateContainerAgentResponse:
    """Always raises: InvalidParameterException, MissingVersionException or NoUpdateAvailableException."""
    cluster = find_cluster(call.store, call, request.cluster)
    instance = find_container_instance(call.store, call, cluster, request.container_instance)
    if instance is None:
        raise InvalidParameterException("The specified container instance was not found.")
    if not instance.agent_version:
        raise MissingVersionException
    raise NoUpdateAvailableException(
        f"There's no update available for the Amazon ECS agent {instance.agent_version} of this container instance: this installation "
        "hands out no agents. Update it where it was installed."
    )
