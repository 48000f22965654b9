"""Which registry and repository a request means, and what authorisation is asked about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from longshore.aws.errors import AccessDenied
from longshore.services.call import Call
from longshore.services.ecr.model import REPOSITORIES, Tag
from longshore.services.ecr.names import RepositoryId, repository_arn


class _NamesRepository(Protocol):
    @property
    def registry_id(self) -> str | None: ...

    @property
    def repository_name(self) -> str: ...


class _NamesRegistry(Protocol):
    @property
    def registry_id(self) -> str | None: ...


def registry_of(call: Call, registry_id: str | None, action: str, resource: str) -> str:
    """The account whose registry is meant, for operations on a registry as a whole, which are not open to other accounts.

    Raises AccessDenied.
    """
    if registry_id is None or registry_id == call.account_id:
        return call.account_id
    raise AccessDenied(
        f"User: {call.principal.arn} is not authorized to perform: {action} on resource: {resource} "
        f"because no resource-based policy allows the {action} action"
    )


def repository_of(call: Call, request: _NamesRepository) -> RepositoryId:
    """Which may be another account's: `repository_resource` has had the caller checked against that repository's policy."""
    return RepositoryId(call.region, request.registry_id or call.account_id, request.repository_name)


def repository_resource(call: Call, request: _NamesRepository) -> Iterable[str]:
    return (repository_arn(call.region, request.registry_id or call.account_id, request.repository_name),)


def tag_conditions(call: Call, request: _NamesRepository) -> dict[str, list[str]]:
    """`aws:ResourceTag/KEY` and ECR's own spelling of it, for the repository as it is now."""
    held = call.store.get(REPOSITORIES, RepositoryId(call.region, request.registry_id or call.account_id, request.repository_name).key)
    return resource_tag_conditions(held.tags) if held else {}


def resource_tag_conditions(tags: Iterable[Tag]) -> dict[str, list[str]]:
    return {f"{prefix}:ResourceTag/{tag.key}": [tag.value] for tag in tags for prefix in ("aws", "ecr")}
