"""Container instances: registered by their agents, shown, listed, deregistered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from longshore.aws.arn import parse_arn
from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.acting import Pairs, acting_for_machine, only_itself
from longshore.services.ecs.api import api
from longshore.services.ecs.cluster_query import QueryError, matches, parse
from longshore.services.ecs.errors import ClientException, InvalidParameterException
from longshore.services.ecs.fleet import facts_of
from longshore.services.ecs.identity_document import Identity, capacity_of, identity_attributes, read_identity
from longshore.services.ecs.interfaces import RANGE_ATTRIBUTE, addresses_in, range_of
from longshore.services.ecs.listing import list_page
from longshore.services.ecs.lookup import (
    child_arn,
    child_resources,
    cluster_arn,
    cluster_resource,
    container_instance_arn,
    find_cluster,
    find_container_instance,
    scope_of_call,
)
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, Attribute, Cluster, ContainerInstance, Stop, Task
from longshore.services.ecs.resource_tags import creation_conditions
from longshore.services.ecs.tagging import tags_from
from longshore.services.ecs.views import container_instance_view
from longshore.store.base import Reader, Tx

MOST_DESCRIBED = 100
MOST_ATTRIBUTES = 500
#: names the capacity provider whose instance it is
PROVIDER_ATTRIBUTE = "longshore.capacity-provider"
FORCED = "Container instance deregistration forced by user"
_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: attributes with these beginnings belong to ECS and to what the agent can do, all others to the owner of the instance
BUILT_IN = ("ecs.", "com.amazonaws.", RANGE_ATTRIBUTE)


# ── registering ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _the_machine(call: Call, request: shapes.RegisterContainerInstanceRequest) -> Pairs:
    """An instance that is there belongs to who registered it, and a machine registers itself alone."""
    try:
        machine = read_identity(request.instance_identity_document).instance_id
    except InvalidParameterException:
        return []  # which the operation says
    same = call.store.list(CONTAINER_INSTANCES, "ec2_instance", f"{scope_of_call(call)}:{machine}") if machine else []
    named = call.store.get(CONTAINER_INSTANCES, request.container_instance_arn or "")
    return acting_for_machine(call, [*same, *([named] if named is not None else [])], machine)


def _brought(call: Call, request: shapes.RegisterContainerInstanceRequest) -> dict[str, list[str]]:
    return creation_conditions("RegisterContainerInstance", request.tags)


@api.operation("RegisterContainerInstance", resource=cluster_resource, also=_the_machine, conditions=_brought)
async def register_container_instance(
    call: Call, request: shapes.RegisterContainerInstanceRequest
) -> shapes.RegisterContainerInstanceResponse:
    """Agents call it on every start. Whoever comes back (by its ARN, or as the same machine) keeps its place and its tasks."""
    identity = read_identity(request.instance_identity_document)
    given = _attributes(request.attributes)
    newcomer = _newcomer(call, request, identity, given)

    def register(tx: Tx) -> ContainerInstance:
        cluster = find_cluster(tx, call, request.cluster)
        known = _known(tx, call, cluster, request.container_instance_arn, identity)
        if known is not None:
            return tx.put(CONTAINER_INSTANCES, of_its_provider(_returning(known, newcomer, given)))
        arn = request.container_instance_arn or newcomer.arn.replace("/default/", f"/{cluster.name}/", 1)
        return tx.put(CONTAINER_INSTANCES, of_its_provider(replace(newcomer, arn=arn, cluster_arn=cluster.arn)))

    instance = await call.store.transact(register)
    return shapes.RegisterContainerInstanceResponse(container_instance=container_instance_view(call.store, instance, with_tags=True))


def _newcomer(
    call: Call, request: shapes.RegisterContainerInstanceRequest, identity: Identity, given: tuple[Attribute, ...]
) -> ContainerInstance:
    """The instance as if it had never been here; its cluster is found in the transaction."""
    zone = identity.availability_zone or (call.site.zones[0] if call.site.zones else "")
    version = request.version_info or shapes.VersionInfo()
    derived = identity_attributes(replace(identity, availability_zone=zone))
    newcomer = ContainerInstance(
        arn=call.arn("ecs", f"container-instance/default/{call.ids.hex(32)}"),
        cluster_arn="",
        ec2_instance_id=identity.instance_id or f"mi-{call.ids.hex(17)}",
        registered_at=call.clock.now(),
        capacity=capacity_of(request.total_resources),
        # what the agent says of itself must come back as it said it
        attributes=_laid_over(derived, given),
        tags=tags_from(request.tags),
        address=identity.address or call.source_ip,
        availability_zone=zone,
        agent_version=version.agent_version or "",
        agent_hash=version.agent_hash or "",
        docker_version=version.docker_version or "",
        registered_by=call.principal.arn,
    )
    # no more tasks with addresses of their own than it has addresses for
    enis = min(newcomer.capacity.enis, addresses_in(range_of(newcomer)))
    return replace(newcomer, capacity=replace(newcomer.capacity, enis=enis))


def _known(tx: Tx, call: Call, cluster: Cluster, arn: str | None, identity: Identity) -> ContainerInstance | None:
    """The row of an instance that was registered before. Raises InvalidParameterException for an ARN that cannot be one."""
    if arn:
        own = container_instance_arn(call, cluster, arn)
        parsed = parse_arn(own)
        if own != arn or parsed is None or not _ID.fullmatch(parsed.resource_id.rsplit("/", 1)[-1]):
            raise InvalidParameterException("The container instance ARN is not valid.")
        found = tx.get(CONTAINER_INSTANCES, own)
        if found is not None and found.status == "INACTIVE":
            raise ClientException("The container instance was deregistered. Remove the agent's saved state to register it anew.")
        return found
    if not identity.instance_id:
        return None
    same = tx.list(CONTAINER_INSTANCES, "ec2_instance", f"{scope_of_call(call)}:{identity.instance_id}")
    return next((one for one in same if one.cluster_arn == cluster.arn and one.status != "INACTIVE"), None)


def _returning(known: ContainerInstance, newcomer: ContainerInstance, given: tuple[Attribute, ...]) -> ContainerInstance:
    """Capabilities and resources may have changed; what the owner has set since stays (agents send it the first time only)."""
    before, after = known.attribute("ecs.instance-type"), newcomer.attribute("ecs.instance-type")
    if before and after and before != after:
        raise ClientException("Container instance type changes are not supported.")
    owned = tuple(attribute for attribute in known.attributes if not attribute.name.startswith(BUILT_IN))
    derived = tuple(attribute for attribute in newcomer.attributes if attribute.name.startswith(BUILT_IN))
    documented = newcomer.ec2_instance_id.startswith("i-")
    return replace(
        known,
        capacity=newcomer.capacity,
        attributes=_laid_over((*owned, *derived), given),
        address=newcomer.address,
        availability_zone=newcomer.availability_zone if documented else known.availability_zone,
        tags=known.tags or newcomer.tags,
        agent_version=newcomer.agent_version or known.agent_version,
        agent_hash=newcomer.agent_hash or known.agent_hash,
        docker_version=newcomer.docker_version or known.docker_version,
        registered_by=newcomer.registered_by,
    )


def of_its_provider(instance: ContainerInstance) -> ContainerInstance:
    """Which capacity provider an instance stands for is what its attribute says: its agent registers with it, or its owner puts it."""
    return replace(instance, capacity_provider=instance.attribute(PROVIDER_ATTRIBUTE) or "")


def _attributes(given: tuple[shapes.Attribute, ...] | None) -> tuple[Attribute, ...]:
    if len(given or ()) > MOST_ATTRIBUTES:
        raise InvalidParameterException(f"A container instance cannot have more than {MOST_ATTRIBUTES} attributes.")
    for attribute in given or ():
        if not 1 <= len(attribute.name) <= 128 or len(attribute.value or "") > 1024:
            raise InvalidParameterException(f"The attribute '{attribute.name[:128]}' is not valid.")
    return tuple({attribute.name: Attribute(attribute.name, attribute.value or "") for attribute in given or ()}.values())


def _laid_over(under: tuple[Attribute, ...], over: tuple[Attribute, ...]) -> tuple[Attribute, ...]:
    return tuple(({attribute.name: attribute for attribute in under} | {attribute.name: attribute for attribute in over}).values())


# ── showing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _described(call: Call, request: shapes.DescribeContainerInstancesRequest) -> Iterable[str]:
    return child_resources(call, request.cluster, "container-instance", request.container_instances)


def _cluster_condition(call: Call, request: shapes.DescribeContainerInstancesRequest) -> dict[str, list[str]]:
    return {"ecs:cluster": [cluster_arn(call, request.cluster)]}


@api.operation("DescribeContainerInstances", resource=_described, conditions=_cluster_condition)
async def describe_container_instances(
    call: Call, request: shapes.DescribeContainerInstancesRequest
) -> shapes.DescribeContainerInstancesResponse:
    cluster = find_cluster(call.store, call, request.cluster)
    if not request.container_instances:
        raise InvalidParameterException("Container instance IDs should not be empty.")
    if len(request.container_instances) > MOST_DESCRIBED:
        raise InvalidParameterException(f"Container instances cannot have more than {MOST_DESCRIBED} elements.")
    include = request.include or ()
    with_tags, with_health = "TAGS" in include, "CONTAINER_INSTANCE_HEALTH" in include
    found: list[shapes.ContainerInstance] = []
    failures: list[shapes.Failure] = []
    for reference in dict.fromkeys(request.container_instances):
        arn = container_instance_arn(call, cluster, reference)
        instance = call.store.get(CONTAINER_INSTANCES, arn)
        if instance is None:
            failures.append(shapes.Failure(arn=arn, reason="MISSING"))
        else:
            found.append(container_instance_view(call.store, instance, with_tags=with_tags, with_health=with_health))
    return shapes.DescribeContainerInstancesResponse(container_instances=tuple(found), failures=tuple(failures))


@api.operation("ListContainerInstances", resource=cluster_resource)
async def list_container_instances(call: Call, request: shapes.ListContainerInstancesRequest) -> shapes.ListContainerInstancesResponse:
    """All that are not deregistered, or those in `status`, that satisfy the filter expression."""
    cluster = find_cluster(call.store, call, request.cluster)
    found, token = list_page(
        call,
        CONTAINER_INSTANCES,
        "cluster",
        cluster.arn,
        token=request.next_token,
        max_results=request.max_results,
        question=(request.filter, request.status),
        keep=_filter(call.store, request),
    )
    return shapes.ListContainerInstancesResponse(container_instance_arns=tuple(one.arn for one in found), next_token=token)


def _filter(reader: Reader, request: shapes.ListContainerInstancesRequest) -> Callable[[ContainerInstance], bool]:
    try:
        query = parse(request.filter) if request.filter else None
    except QueryError as error:
        raise InvalidParameterException(f"Invalid filter expression: {error}") from None

    def keep(instance: ContainerInstance) -> bool:
        if request.status is not None and instance.status != request.status:
            return False
        if query is None:
            return True
        running = reader.total(TASKS, "on_instance", instance.arn)[2]
        return matches(query, facts_of(reader, instance, running_tasks_count=running))

    return keep


# ── deregistering ───────────────────────────────────────────────────────────────────────────────────────────────────


def _of_its_own(call: Call, request: shapes.DeregisterContainerInstanceRequest) -> Pairs:
    """A machine deregisters itself at most."""
    return only_itself(call, call.store, [child_arn(call, request.cluster, "container-instance", request.container_instance)])


@api.operation("DeregisterContainerInstance", resource=cluster_resource, also=_of_its_own)
async def deregister_container_instance(
    call: Call, request: shapes.DeregisterContainerInstanceRequest
) -> shapes.DeregisterContainerInstanceResponse:
    """With `force` its tasks count as STOPPED at once; their containers go on unwatched, as at AWS, if the machine still runs."""
    now = call.clock.now()

    def deregister(tx: Tx) -> ContainerInstance:
        cluster = find_cluster(tx, call, request.cluster)
        instance = find_container_instance(tx, call, cluster, request.container_instance)
        if instance is None:
            raise InvalidParameterException("The specified container instance was not found.")
        tasks = tx.list(TASKS, "active_on", instance.arn)
        if tasks and not request.force:
            raise InvalidParameterException("Found running tasks on the instance.")
        for task in tasks:
            tx.put(TASKS, _orphaned(task, now))
        return tx.put(
            CONTAINER_INSTANCES,
            replace(instance, status="INACTIVE", agent_connected=False, agent_connection_changed_at=now, deregistered_at=now),
        )

    instance = await call.store.transact(deregister)
    return shapes.DeregisterContainerInstanceResponse(container_instance=container_instance_view(call.store, instance, with_tags=True))


def _orphaned(task: Task, now: float) -> Task:
    status = task.status
    return replace(
        task,
        stop=task.stop or Stop(FORCED, "ServiceSchedulerInitiated" if task.spec.service_arn else "UserInitiated", now),
        status=replace(
            status,
            last_status="STOPPED",
            stopping_at=status.stopping_at or now,
            stopped_at=now,
            containers=tuple(replace(container, last_status="STOPPED") for container in status.containers),
        ),
    )
