"""Task definitions: registered once, never changed, numbered within their family."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.errors import ClientException, InvalidParameterException
from longshore.services.ecs.launch_conditions import definition_conditions
from longshore.services.ecs.listing import list_page
from longshore.services.ecs.lookup import (
    definition_arn,
    definition_resource_arn,
    find_definition,
    parse_definition,
    passed_roles,
    scope_of_call,
)
from longshore.services.ecs.model import FAMILIES, TASK_DEFINITIONS, Family, TaskDefinition
from longshore.services.ecs.required_attributes import required_attributes
from longshore.services.ecs.resource_tags import creation_conditions
from longshore.services.ecs.tagging import tagging_rights, tags_from, tags_view
from longshore.services.ecs.task_definition_rules import checked, compatibilities
from longshore.services.ecs.views import task_definition_view
from longshore.store.base import Tx

_NO_DESCRIPTION = "Unable to describe task definition."
MOST_DELETED = 10


# ── registering ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _any_revision(call: Call, request: shapes.RegisterTaskDefinitionRequest) -> Iterable[str]:
    return (call.arn("ecs", f"task-definition/{request.family}:*"),)


def _roles(call: Call, request: shapes.RegisterTaskDefinitionRequest) -> Iterable[tuple[str, str]]:
    yield from passed_roles(call, request.task_role_arn, request.execution_role_arn)
    yield from tagging_rights(call, request.tags, *_any_revision(call, request))


def _conditions(call: Call, request: shapes.RegisterTaskDefinitionRequest) -> dict[str, list[str]]:
    return definition_conditions(request) | creation_conditions("RegisterTaskDefinition", request.tags)


@api.operation("RegisterTaskDefinition", resource=_any_revision, also=_roles, conditions=_conditions)
async def register_task_definition(call: Call, request: shapes.RegisterTaskDefinitionRequest) -> shapes.RegisterTaskDefinitionResponse:
    """Raises ClientException for what is no task definition. The revision is one more than the family ever had."""
    definition = checked(request)
    definition = replace(
        definition, requires_attributes=required_attributes(definition), compatibilities=compatibilities(definition), status="ACTIVE"
    )
    tags, now, scope = tags_from(request.tags), call.clock.now(), scope_of_call(call)

    def register(tx: Tx) -> TaskDefinition:
        known = tx.get(FAMILIES, f"{scope}:{request.family}")
        revision = 1 + (known.last_revision if known is not None else 0)
        tx.put(FAMILIES, Family(scope, request.family, revision))
        return tx.create(
            TASK_DEFINITIONS,
            TaskDefinition(
                arn=definition_arn(call, request.family, revision),
                family=request.family,
                revision=revision,
                definition=definition,
                registered_at=now,
                registered_by=call.principal.arn,
                tags=tags,
            ),
        )

    registered = await call.store.transact(register)
    return shapes.RegisterTaskDefinitionResponse(
        task_definition=task_definition_view(registered), tags=tags_view(registered.tags) if registered.tags else None
    )


# ── showing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


# IAM's policy reference lists DescribeTaskDefinition and the listings without a resource type.
@api.operation("DescribeTaskDefinition", resource=ANY_RESOURCE)
async def describe_task_definition(call: Call, request: shapes.DescribeTaskDefinitionRequest) -> shapes.DescribeTaskDefinitionResponse:
    try:
        found = find_definition(call.store, call, request.task_definition)
    except ClientException:
        raise ClientException(_NO_DESCRIPTION) from None
    if found is None:
        raise ClientException(_NO_DESCRIPTION)
    return shapes.DescribeTaskDefinitionResponse(
        task_definition=task_definition_view(found), tags=tags_view(found.tags) if "TAGS" in (request.include or ()) else ()
    )


@api.operation("ListTaskDefinitions", resource=ANY_RESOURCE)
async def list_task_definitions(call: Call, request: shapes.ListTaskDefinitionsRequest) -> shapes.ListTaskDefinitionsResponse:
    """Sorted by family, then by revision as a number. `familyPrefix` is the whole name of a family, as at AWS."""
    scope, status = scope_of_call(call), request.status or "ACTIVE"
    index, value = ("status", f"{scope}:{status}")
    if request.family_prefix:
        index, value = ("family_status", f"{scope}:{request.family_prefix}:{status}")
    found, token = list_page(
        call,
        TASK_DEFINITIONS,
        index,
        value,
        token=request.next_token,
        max_results=request.max_results,
        question=(),
        descending=request.sort == "DESC",
    )
    return shapes.ListTaskDefinitionsResponse(task_definition_arns=tuple(one.arn for one in found), next_token=token)


@api.operation("ListTaskDefinitionFamilies", resource=ANY_RESOURCE)
async def list_task_definition_families(
    call: Call, request: shapes.ListTaskDefinitionFamiliesRequest
) -> shapes.ListTaskDefinitionFamiliesResponse:
    """ACTIVE families are those with an ACTIVE revision, INACTIVE ones those that have only others."""
    scope, prefix, status = scope_of_call(call), request.family_prefix or "", request.status or "ALL"

    def keep(family: Family) -> bool:
        if not family.name.startswith(prefix):
            return False
        if status == "ALL":
            return call.store.count(TASK_DEFINITIONS, "family", f"{scope}:{family.name}") > 0
        active = call.store.count(TASK_DEFINITIONS, "family_status", f"{scope}:{family.name}:ACTIVE") > 0
        inactive = call.store.count(TASK_DEFINITIONS, "family_status", f"{scope}:{family.name}:INACTIVE") > 0
        return active if status == "ACTIVE" else inactive and not active

    found, token = list_page(
        call,
        FAMILIES,
        "scope",
        scope,
        token=request.next_token,
        max_results=request.max_results,
        question=(prefix, status),
        keep=keep,
    )
    return shapes.ListTaskDefinitionFamiliesResponse(families=tuple(family.name for family in found), next_token=token)


# ── taking back ─────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("DeregisterTaskDefinition", resource=ANY_RESOURCE)
async def deregister_task_definition(
    call: Call, request: shapes.DeregisterTaskDefinitionRequest
) -> shapes.DeregisterTaskDefinitionResponse:
    """The revision is INACTIVE from now on: what runs by it goes on, nothing new starts."""
    if parse_definition(call, request.task_definition)[1] is None:
        raise ClientException("Task definition must have a revision: family:revision.")
    now = call.clock.now()

    def deregister(tx: Tx) -> TaskDefinition:
        found = find_definition(tx, call, request.task_definition)
        if found is None:
            raise ClientException("The specified task definition does not exist.")
        if found.status != "ACTIVE":
            return found
        return tx.put(TASK_DEFINITIONS, replace(found, status="INACTIVE", deregistered_at=now))

    found = await call.store.transact(deregister)
    return shapes.DeregisterTaskDefinitionResponse(task_definition=task_definition_view(found))


def _named_definitions(call: Call, request: shapes.DeleteTaskDefinitionsRequest) -> Iterable[str]:
    return [definition_resource_arn(call, reference) for reference in request.task_definitions] or ["*"]


@api.operation("DeleteTaskDefinitions", resource=_named_definitions)
async def delete_task_definitions(call: Call, request: shapes.DeleteTaskDefinitionsRequest) -> shapes.DeleteTaskDefinitionsResponse:
    """INACTIVE revisions become DELETE_IN_PROGRESS, and stay so while a task or service still runs by them."""
    if not 1 <= len(request.task_definitions) <= MOST_DELETED:
        raise InvalidParameterException(f"Between 1 and {MOST_DELETED} task definitions can be deleted at a time.")

    def delete(tx: Tx) -> tuple[list[TaskDefinition], list[shapes.Failure]]:
        deleted: list[TaskDefinition] = []
        failures: list[shapes.Failure] = []
        for reference in request.task_definitions:
            found = find_definition(tx, call, reference) if parse_definition(call, reference)[1] is not None else None
            if found is None:
                failures.append(shapes.Failure(arn=_shown(call, reference), reason="The specified task definition does not exist."))
            elif found.status == "ACTIVE":
                reason = "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
                failures.append(shapes.Failure(arn=found.arn, reason=reason))
            else:
                deleted.append(tx.put(TASK_DEFINITIONS, replace(found, status="DELETE_IN_PROGRESS")))
        return deleted, failures

    deleted, failures = await call.store.transact(delete)
    return shapes.DeleteTaskDefinitionsResponse(
        task_definitions=tuple(task_definition_view(one) for one in deleted), failures=tuple(failures)
    )


def _shown(call: Call, reference: str) -> str:
    return reference if reference.startswith("arn:") else call.arn("ecs", f"task-definition/{reference}")
