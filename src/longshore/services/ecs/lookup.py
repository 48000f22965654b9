"""Finding what a request names: by its short name or by its ARN.

A name stands for something in the caller's own account and region. An ARN is believed only as far as that goes: one of
another account or region, or of another cluster than the one the request is about, finds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from longshore.aws.arn import parse_arn
from longshore.services.call import Call
from longshore.services.ecs.errors import (
    ClientException,
    ClusterNotFoundException,
    InvalidParameterException,
    ServiceNotFoundException,
)
from longshore.services.ecs.model import (
    CLUSTERS,
    CONTAINER_INSTANCES,
    FAMILIES,
    TASK_DEFINITIONS,
    TASKS,
    Cluster,
    ContainerInstance,
    Task,
    TaskDefinition,
    revision_key,
)
from longshore.services.ecs.names import NAME
from longshore.services.ecs.rollout.model import SERVICES, Service
from longshore.store.base import Reader

DEFAULT_CLUSTER = "default"
_TASK_ID = re.compile(r"[A-Za-z0-9-]+")
_REVISION = re.compile(r"[1-9][0-9]{0,9}")
#: revisions looked at one by one, newest first, before the whole family is listed
_NEAR = 16


def scope_of_call(call: Call) -> str:
    return f"{call.region}:{call.account_id}"


# ── clusters ────────────────────────────────────────────────────────────────────────────────────────────────────────


def cluster_arn(call: Call, reference: str | None) -> str:
    """The ARN that `reference` (a name, an ARN, or nothing for the default cluster) means, whether there is such a cluster or not."""
    if reference and reference.startswith("arn:"):
        return reference
    return call.arn("ecs", f"cluster/{reference or DEFAULT_CLUSTER}")


def find_cluster(reader: Reader, call: Call, reference: str | None) -> Cluster:
    """Raises ClusterNotFoundException, also for clusters that were deleted; InvalidParameterException for what cannot be a reference."""
    arn = cluster_arn(call, reference)
    cluster = reader.get(CLUSTERS, arn) if _is_own(call, arn) else None
    if cluster is not None and cluster.status != "INACTIVE":
        return cluster
    parsed = parse_arn(arn)
    if parsed is None or parsed.resource_type != "cluster" or not NAME.fullmatch(parsed.resource_id):
        raise InvalidParameterException("Identifier is not a valid cluster name or ARN.")
    raise ClusterNotFoundException


def _is_own(call: Call, arn: str) -> bool:
    return arn.startswith(f"arn:aws:ecs:{call.region}:{call.account_id}:")


# ── what belongs to a cluster ───────────────────────────────────────────────────────────────────────────────────────


def cluster_name_of(call: Call, reference: str | None) -> str:
    return cluster_arn(call, reference).rsplit("/", 1)[-1]


def child_arn(call: Call, cluster: str | None, resource_type: str, reference: str) -> str:
    """The ARN that `reference` means in `cluster` (a reference, too): for authorisation, before anything is looked up.

    It is the one that is looked up then, however `reference` is written: a policy speaks of the resource, not of its spelling.
    """
    if reference.startswith("arn:"):
        short = call.arn("ecs", f"{resource_type}/")
        if not reference.startswith(short) or "/" in reference[len(short) :]:
            return reference
        reference = reference[len(short) :]
    return call.arn("ecs", f"{resource_type}/{cluster_name_of(call, cluster)}/{reference}")


def _child(call: Call, cluster: Cluster, resource_type: str, reference: str) -> str:
    """The same with everything checked. Raises InvalidParameterException for what belongs elsewhere.

    ARNs from before resources carried their cluster's name (`task/ID`) are taken as well.
    """
    if not reference.startswith("arn:"):
        return call.arn("ecs", f"{resource_type}/{cluster.name}/{reference}")
    parsed = parse_arn(reference)
    if parsed is None or parsed.service != "ecs" or not parsed.resource.startswith(f"{resource_type}/"):
        raise InvalidParameterException(f"Identifier is not a valid {resource_type} identifier.")
    if not _is_own(call, reference):
        raise InvalidParameterException("Identifier is for another account or Region.")
    owner, slash, name = parsed.resource_id.rpartition("/")
    if slash and owner != cluster.name:
        raise InvalidParameterException(f"Identifier is for cluster {owner}. Your cluster is {cluster.name}")
    return call.arn("ecs", f"{resource_type}/{cluster.name}/{name}")


def task_arn(call: Call, cluster: Cluster, reference: str) -> str:
    arn = _child(call, cluster, "task", reference)
    task_id = arn.rsplit("/", 1)[-1]
    if len(task_id) not in (32, 36) or not _TASK_ID.fullmatch(task_id):
        raise InvalidParameterException("taskId length should be one of [32,36]")
    return arn


def find_task(reader: Reader, call: Call, cluster: Cluster, reference: str) -> Task | None:
    return reader.get(TASKS, task_arn(call, cluster, reference))


def container_instance_arn(call: Call, cluster: Cluster, reference: str) -> str:
    return _child(call, cluster, "container-instance", reference)


def find_container_instance(reader: Reader, call: Call, cluster: Cluster, reference: str) -> ContainerInstance | None:
    """None also for one that was deregistered."""
    found = reader.get(CONTAINER_INSTANCES, container_instance_arn(call, cluster, reference))
    return None if found is None or found.status == "INACTIVE" else found


def service_arn(call: Call, cluster: Cluster, reference: str) -> str:
    return _child(call, cluster, "service", reference)


def find_service(reader: Reader, call: Call, cluster: Cluster, reference: str) -> Service:
    """Raises ServiceNotFoundException; services that are INACTIVE are found for as long as they are remembered."""
    service = reader.get(SERVICES, service_arn(call, cluster, reference))
    if service is None:
        raise ServiceNotFoundException
    return service


# ── task definitions ────────────────────────────────────────────────────────────────────────────────────────────────


def parse_definition(call: Call, reference: str) -> tuple[str, int | None]:
    """(family, revision) of `family`, `family:revision` or an ARN. Raises ClientException."""
    return _parsed_definition(call.arn("ecs", "task-definition/"), reference)


@lru_cache(maxsize=4096)
def _parsed_definition(own: str, reference: str) -> tuple[str, int | None]:
    """A request asks several times: what it acts on, which roles it hands over, what it runs. `own` begins the caller's ARNs."""
    name = reference
    if reference.startswith("arn:"):
        parsed = parse_arn(reference)
        if parsed is None or not parsed.resource.startswith("task-definition/") or not reference.startswith(own):
            raise ClientException("The specified task definition does not exist.")
        name = parsed.resource_id
    family, colon, revision = name.partition(":")
    if not NAME.fullmatch(family) or (colon and not _REVISION.fullmatch(revision)):
        raise ClientException(f"Invalid revision number. Number: {revision[:64]}" if colon else "Family contains invalid characters.")
    return family, int(revision) if colon else None


def definition_arn(call: Call, family: str, revision: int) -> str:
    return call.arn("ecs", f"task-definition/{family}:{revision}")


def find_definition(reader: Reader, call: Call, reference: str) -> TaskDefinition | None:
    """The revision named, in whatever status; without a revision the newest that is ACTIVE."""
    family, revision = parse_definition(call, reference)
    if revision is None:
        return latest_active(reader, scope_of_call(call), family)
    return reader.get(TASK_DEFINITIONS, f"{scope_of_call(call)}:{family}:{revision:010d}")


def latest_active(reader: Reader, scope: str, family: str) -> TaskDefinition | None:
    known = reader.get(FAMILIES, f"{scope}:{family}")
    if known is None:
        return None
    for revision in range(known.last_revision, max(0, known.last_revision - _NEAR), -1):
        found = reader.get(TASK_DEFINITIONS, f"{scope}:{family}:{revision:010d}")
        if found is not None and found.status == "ACTIVE":
            return found
    active = reader.list(TASK_DEFINITIONS, "family_status", f"{scope}:{family}:ACTIVE")
    return active[-1] if active else None


def find_runnable_definition(reader: Reader, call: Call, reference: str) -> TaskDefinition:
    """For running new tasks: raises ClientException unless it is there and ACTIVE."""
    found = find_definition(reader, call, reference)
    if found is None:
        raise ClientException("TaskDefinition not found.")
    if found.status != "ACTIVE":
        raise ClientException("TaskDefinition is inactive")
    return found


def definition_of_arn(reader: Reader, arn: str) -> TaskDefinition | None:
    """By the full ARN that tasks, services and deployments carry."""
    family, _, revision = arn.rsplit("/", 1)[-1].rpartition(":")
    return reader.get(TASK_DEFINITIONS, revision_key(arn, family, int(revision)))


def essential_containers(reader: Reader, task: Task) -> frozenset[str]:
    """The names of those whose end is the task's end."""
    definition = definition_of_arn(reader, task.spec.task_definition_arn)
    containers = (definition.definition.container_definitions if definition else None) or ()
    return frozenset(container.name or "" for container in containers if container.essential is not False)


# ── for authorisation ───────────────────────────────────────────────────────────────────────────────────────────────


def cluster_resource(call: Call, request: Any) -> Iterable[str]:
    """`cluster/NAME` of requests with a `cluster` member."""
    return (cluster_arn(call, request.cluster),)


def child_resources(call: Call, cluster: str | None, resource_type: str, references: Iterable[str]) -> list[str]:
    """One ARN for each reference; `*` for none at all, so that a request that names nothing is still asked for its permission."""
    return [child_arn(call, cluster, resource_type, reference) for reference in references] or ["*"]


def definition_resource(call: Call, request: Any) -> Iterable[str]:
    """`task-definition/FAMILY:REVISION` of requests with a `task_definition` member."""
    return (definition_resource_arn(call, request.task_definition),)


def definition_resource_arn(call: Call, reference: str) -> str:
    """With the revision that is meant filled in where there is one."""
    try:
        family, revision = parse_definition(call, reference)
    except ClientException:
        return reference if reference.startswith("arn:") else call.arn("ecs", f"task-definition/{reference}")
    if revision is not None:
        return definition_arn(call, family, revision)
    latest = latest_active(call.store, scope_of_call(call), family)
    return latest.arn if latest is not None else call.arn("ecs", f"task-definition/{family}")


def passed_roles(call: Call, *roles: str | None) -> list[tuple[str, str]]:
    """What iam:PassRole is asked for: every role a request hands over, by its name or its ARN."""
    return [("iam:PassRole", role if role.startswith("arn:") else f"arn:aws:iam::{call.account_id}:role/{role}") for role in roles if role]
