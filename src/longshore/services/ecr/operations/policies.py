"""Policies of repositories and of the registry: set, shown, taken away."""

from __future__ import annotations

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import ecr as shapes
from longshore.services.call import Call
from longshore.services.ecr.access.documents import registry_policy, repository_policy
from longshore.services.ecr.access.model import (
    REGISTRY_POLICIES,
    REPOSITORY_POLICIES,
    RegistryPolicy,
    RepositoryPolicy,
    registry_key,
)
from longshore.services.ecr.access.resource_policies import resource_conditions, resource_policies
from longshore.services.ecr.api import api
from longshore.services.ecr.errors import (
    InvalidParameterException,
    RegistryPolicyNotFoundException,
    RepositoryPolicyNotFoundException,
)
from longshore.services.ecr.images import find_repository
from longshore.services.ecr.model import Repository
from longshore.services.ecr.scope import repository_of, repository_resource, tag_conditions
from longshore.services.iam.evaluator import decide
from longshore.services.iam.identities import Policies, global_context
from longshore.store.base import Reader, Tx

_SET = "ecr:SetRepositoryPolicy"


@api.operation("SetRepositoryPolicy", resource=repository_resource, conditions=tag_conditions)
async def set_repository_policy(call: Call, request: shapes.SetRepositoryPolicyRequest) -> shapes.SetRepositoryPolicyResponse:
    """A policy under which the caller could not set another one is refused unless `force` is given."""
    meant = repository_of(call, request)

    def put(tx: Tx) -> RepositoryPolicy:
        repository = find_repository(tx, meant)
        policy = tx.put(REPOSITORY_POLICIES, repository_policy(tx, repository, request.policy_text))
        if not request.force and not _may_set(tx, call, repository):
            raise InvalidParameterException(
                "Invalid parameter at 'PolicyText' failed to satisfy constraint: "
                "'The policy would prevent you from setting another policy on the repository. Set force to apply it nevertheless'"
            )
        return policy

    policy = await call.store.transact(put)
    return shapes.SetRepositoryPolicyResponse(registry_id=meant.account_id, repository_name=meant.name, policy_text=policy.document)


def _may_set(reader: Reader, call: Call, repository: Repository) -> bool:
    """Whether the caller may set the repository's policy as things stand in `reader`."""
    principal = call.principal
    context = global_context(
        principal,
        now=call.clock.now(),
        region=call.region,
        source_ip=call.source_ip,
        secure=call.base_url.startswith("https:"),
        user_agent="",
    )
    policies = Policies(reader)
    return decide(
        policies.of(principal),
        resource_policies(reader, repository.arn),
        _SET,
        repository.arn,
        {**context, **resource_conditions(reader, repository.arn)},
        principal,
        limits=policies.limits(principal),
    ).allowed


@api.operation("GetRepositoryPolicy", resource=repository_resource, conditions=tag_conditions)
async def get_repository_policy(call: Call, request: shapes.GetRepositoryPolicyRequest) -> shapes.GetRepositoryPolicyResponse:
    meant = repository_of(call, request)
    policy = _policy_of(call.store, find_repository(call.store, meant))
    return shapes.GetRepositoryPolicyResponse(registry_id=meant.account_id, repository_name=meant.name, policy_text=policy.document)


@api.operation("DeleteRepositoryPolicy", resource=repository_resource, conditions=tag_conditions)
async def delete_repository_policy(call: Call, request: shapes.DeleteRepositoryPolicyRequest) -> shapes.DeleteRepositoryPolicyResponse:
    meant = repository_of(call, request)

    def delete(tx: Tx) -> RepositoryPolicy:
        policy = _policy_of(tx, find_repository(tx, meant))
        tx.delete(REPOSITORY_POLICIES, policy.repository)
        return policy

    policy = await call.store.transact(delete)
    return shapes.DeleteRepositoryPolicyResponse(registry_id=meant.account_id, repository_name=meant.name, policy_text=policy.document)


def _policy_of(reader: Reader, repository: Repository) -> RepositoryPolicy:
    """Raises RepositoryPolicyNotFoundException."""
    policy = reader.get(REPOSITORY_POLICIES, repository.key)
    if policy is None:
        raise RepositoryPolicyNotFoundException(repository.name, repository.account_id)
    return policy


@api.operation("PutRegistryPolicy", resource=ANY_RESOURCE)
async def put_registry_policy(call: Call, request: shapes.PutRegistryPolicyRequest) -> shapes.PutRegistryPolicyResponse:
    policy = await call.store.transact(
        lambda tx: tx.put(REGISTRY_POLICIES, registry_policy(tx, call.region, call.account_id, request.policy_text))
    )
    return shapes.PutRegistryPolicyResponse(registry_id=call.account_id, policy_text=policy.document)


@api.operation("GetRegistryPolicy", resource=ANY_RESOURCE)
async def get_registry_policy(call: Call, request: shapes.GetRegistryPolicyRequest) -> shapes.GetRegistryPolicyResponse:
    policy = _policy_of_registry(call.store, call)
    return shapes.GetRegistryPolicyResponse(registry_id=call.account_id, policy_text=policy.document)


@api.operation("DeleteRegistryPolicy", resource=ANY_RESOURCE)
async def delete_registry_policy(call: Call, request: shapes.DeleteRegistryPolicyRequest) -> shapes.DeleteRegistryPolicyResponse:
    def delete(tx: Tx) -> RegistryPolicy:
        policy = _policy_of_registry(tx, call)
        tx.delete(REGISTRY_POLICIES, REGISTRY_POLICIES.key(policy))
        return policy

    policy = await call.store.transact(delete)
    return shapes.DeleteRegistryPolicyResponse(registry_id=call.account_id, policy_text=policy.document)


def _policy_of_registry(reader: Reader, call: Call) -> RegistryPolicy:
    """Raises RegistryPolicyNotFoundException."""
    policy = reader.get(REGISTRY_POLICIES, registry_key(call.region, call.account_id))
    if policy is None:
        raise RegistryPolicyNotFoundException(call.account_id)
    return policy
