"""The versions of managed policies: five at most, one of them in force."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam import aws_managed
from longshore.services.iam.api import api
from longshore.services.iam.errors import DeleteConflict, LimitExceeded, NoSuchEntity
from longshore.services.iam.lookup import MOST_DOCUMENT, aws_version, checked_document, find_own_policy, find_policy, size_of, versions_of
from longshore.services.iam.model import MANAGED_POLICIES, POLICY_VERSIONS, ManagedPolicy, PolicyVersion, policy_version_key
from longshore.services.iam.paging import paged
from longshore.services.iam.views import version_shape
from longshore.store.base import Reader, Tx

_MOST_VERSIONS = 5

_Request = (
    shapes.CreatePolicyVersionRequest
    | shapes.GetPolicyVersionRequest
    | shapes.ListPolicyVersionsRequest
    | shapes.SetDefaultPolicyVersionRequest
    | shapes.DeletePolicyVersionRequest
)


def _named_policy(call: Call, request: _Request) -> Iterable[str]:
    return (request.policy_arn,)


def _find_version(reader: Reader, policy: ManagedPolicy, version_id: str) -> PolicyVersion:
    version = reader.get(POLICY_VERSIONS, policy_version_key(policy.arn, version_id))
    if policy.account_id == aws_managed.ACCOUNT and version_id == policy.default_version_id:
        version = aws_version(policy)
    if version is None:
        raise NoSuchEntity(f"Policy {policy.arn} version {version_id} does not exist or is not attachable.")
    return version


@api.operation("CreatePolicyVersion", resource=_named_policy)
async def create_policy_version(call: Call, request: shapes.CreatePolicyVersionRequest) -> shapes.CreatePolicyVersionResponse:
    document, now = checked_document(request.policy_document), call.clock.now()
    if size_of(document) > MOST_DOCUMENT:
        raise LimitExceeded(f"Cannot exceed quota for PolicySize: {MOST_DOCUMENT}")

    def create(tx: Tx) -> tuple[PolicyVersion, str]:
        policy = find_own_policy(tx, call.account_id, request.policy_arn)
        if tx.count(POLICY_VERSIONS, "policy", policy.arn) >= _MOST_VERSIONS:
            raise LimitExceeded(
                f"A managed policy can have up to {_MOST_VERSIONS} versions. Before you create a new version, "
                "you must delete an existing version."
            )
        number = policy.last_version + 1
        version = tx.create(POLICY_VERSIONS, PolicyVersion(policy.arn, f"v{number}", document, now))
        default = version.version_id if request.set_as_default else policy.default_version_id
        tx.put(MANAGED_POLICIES, msgspec.structs.replace(policy, last_version=number, default_version_id=default, updated_at=now))
        return version, default

    version, default = await call.store.transact(create)
    return shapes.CreatePolicyVersionResponse(policy_version=version_shape(version, default))


@api.operation("GetPolicyVersion", resource=_named_policy)
async def get_policy_version(call: Call, request: shapes.GetPolicyVersionRequest) -> shapes.GetPolicyVersionResponse:
    policy = find_policy(call.store, call.account_id, request.policy_arn)
    version = _find_version(call.store, policy, request.version_id)
    return shapes.GetPolicyVersionResponse(policy_version=version_shape(version, policy.default_version_id, document=True))


def _age(version: PolicyVersion) -> str:
    """Sorts the newest first, as AWS lists them: whoever makes room for another version takes the last that is not the default."""
    return f"{10**9 - int(version.version_id.removeprefix('v')):010}"


@api.operation("ListPolicyVersions", resource=_named_policy)
async def list_policy_versions(call: Call, request: shapes.ListPolicyVersionsRequest) -> shapes.ListPolicyVersionsResponse:
    policy = find_policy(call.store, call.account_id, request.policy_arn)
    newest_first = sorted(versions_of(call.store, policy), key=_age)
    found = paged(
        call,
        ("ListPolicyVersions", policy.arn),
        request.marker,
        request.max_items,
        lambda after, limit: [version for version in newest_first if after is None or _age(version) > after][:limit],
        _age,
    )
    versions = tuple(version_shape(version, policy.default_version_id) for version in found.items)
    return shapes.ListPolicyVersionsResponse(versions=versions, is_truncated=found.is_truncated, marker=found.marker)


@api.operation("SetDefaultPolicyVersion", resource=_named_policy)
async def set_default_policy_version(call: Call, request: shapes.SetDefaultPolicyVersionRequest) -> None:
    now = call.clock.now()

    def choose(tx: Tx) -> None:
        policy = find_own_policy(tx, call.account_id, request.policy_arn)
        version = _find_version(tx, policy, request.version_id)
        tx.put(MANAGED_POLICIES, msgspec.structs.replace(policy, default_version_id=version.version_id, updated_at=now))

    await call.store.transact(choose)


@api.operation("DeletePolicyVersion", resource=_named_policy)
async def delete_policy_version(call: Call, request: shapes.DeletePolicyVersionRequest) -> None:
    def delete(tx: Tx) -> None:
        policy = find_own_policy(tx, call.account_id, request.policy_arn)
        version = _find_version(tx, policy, request.version_id)
        if version.version_id == policy.default_version_id:
            raise DeleteConflict("Cannot delete the default version of a policy.")
        tx.delete(POLICY_VERSIONS, POLICY_VERSIONS.key(version))

    await call.store.transact(delete)
