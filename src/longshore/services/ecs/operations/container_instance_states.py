"""Container instances are drained, and made ACTIVE again. What becomes of the tasks on them is their services' controllers' to decide."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.acting import Pairs, only_itself
from longshore.services.ecs.api import api
from longshore.services.ecs.errors import InvalidParameterException
from longshore.services.ecs.lookup import child_arn, child_resources, cluster_arn, container_instance_arn, find_cluster
from longshore.services.ecs.model import CONTAINER_INSTANCES, ContainerInstance
from longshore.services.ecs.views import container_instance_view
from longshore.store.base import Tx

MOST_INSTANCES = 10
_MAY_BECOME = ("ACTIVE", "DRAINING")


def _named(call: Call, request: shapes.UpdateContainerInstancesStateRequest) -> Iterable[str]:
    return child_resources(call, request.cluster, "container-instance", request.container_instances)


def _of_its_own(call: Call, request: shapes.UpdateContainerInstancesStateRequest) -> Pairs:
    """A machine drains itself at most."""
    arns = [child_arn(call, request.cluster, "container-instance", one) for one in request.container_instances]
    return only_itself(call, call.store, arns)


def _cluster_condition(call: Call, request: shapes.UpdateContainerInstancesStateRequest) -> dict[str, list[str]]:
    return {"ecs:cluster": [cluster_arn(call, request.cluster)]}


@api.operation("UpdateContainerInstancesState", resource=_named, also=_of_its_own, conditions=_cluster_condition)
async def update_container_instances_state(
    call: Call, request: shapes.UpdateContainerInstancesStateRequest
) -> shapes.UpdateContainerInstancesStateResponse:
    """Up to ten at once; those that are not there (MISSING) or were deregistered (INACTIVE) are told in `failures`."""
    references, status = request.container_instances, request.status
    if not references:
        raise InvalidParameterException("Container instances cannot be empty.")
    if len(references) > MOST_INSTANCES:
        raise InvalidParameterException(f"Container instances cannot have more than {MOST_INSTANCES} elements.")
    if status not in _MAY_BECOME:
        raise InvalidParameterException("Container instance status should be one of [ACTIVE, DRAINING]")

    def update(tx: Tx) -> tuple[list[ContainerInstance], list[shapes.Failure]]:
        cluster = find_cluster(tx, call, request.cluster)
        found: list[ContainerInstance] = []
        failures: list[shapes.Failure] = []
        for reference in dict.fromkeys(references):
            arn = container_instance_arn(call, cluster, reference)
            instance = tx.get(CONTAINER_INSTANCES, arn)
            if instance is None or instance.status == "INACTIVE":
                failures.append(shapes.Failure(arn=arn, reason="MISSING" if instance is None else "INACTIVE"))
                continue
            found.append(tx.put(CONTAINER_INSTANCES, replace(instance, status=status)) if instance.status != status else instance)
        return found, failures

    found, failures = await call.store.transact(update)
    return shapes.UpdateContainerInstancesStateResponse(
        container_instances=tuple(container_instance_view(call.store, one, with_tags=True) for one in found), failures=tuple(failures)
    )
