"""Repositories: create, describe, delete, and whether tags may move."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from longshore.aws.pagination import page, seal, unseal
from longshore.aws.shapes import ecr as shapes
from longshore.services.call import Call
from longshore.services.ecr import views
from longshore.services.ecr.api import api
from longshore.services.ecr.encryption.keys import with_data_key
from longshore.services.ecr.errors import (
    InvalidParameterException,
    RepositoryAlreadyExistsException,
    RepositoryNotEmptyException,
)
from longshore.services.ecr.images import delete_repository as delete_with_contents
from longshore.services.ecr.images import find_repository
from longshore.services.ecr.model import IMAGES, REPOSITORIES, Repository
from longshore.services.ecr.names import RepositoryId, names_a_registry, repository_arn
from longshore.services.ecr.repository_settings import checked_key, checked_mutability
from longshore.services.ecr.scope import repository_of, repository_resource, tag_conditions
from longshore.services.ecr.tagging import checked_tags, request_tag_conditions
from longshore.store.base import Tx

_PAGE = 100


def _creation_conditions(call: Call, request: shapes.CreateRepositoryRequest) -> dict[str, list[str]]:
    return request_tag_conditions(request.tags or ())


def _tagging_at_creation(call: Call, request: shapes.CreateRepositoryRequest) -> Iterable[tuple[str, str]]:
    return [("ecr:TagResource", each) for each in repository_resource(call, request)] if request.tags else ()


@api.operation("CreateRepository", resource=repository_resource, conditions=_creation_conditions, also=_tagging_at_creation)
async def create_repository(call: Call, request: shapes.CreateRepositoryRequest) -> shapes.CreateRepositoryResponse:
    meant = repository_of(call, request)
    if names_a_registry(meant.name):
        raise InvalidParameterException(
            "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must not begin with the name of a registry'"
        )
    encryption = request.encryption_configuration or shapes.EncryptionConfiguration(encryption_type="AES256")
    kms_key = checked_key(encryption.encryption_type, encryption.kms_key)
    mutability, exclusions = checked_mutability(request.image_tag_mutability or "MUTABLE", request.image_tag_mutability_exclusion_filters)
    repository = Repository(
        arn=meant.arn,
        region=meant.region,
        account_id=meant.account_id,
        name=meant.name,
        created_at=call.clock.now(),
        image_tag_mutability=mutability,
        mutability_exclusions=exclusions,
        scan_on_push=bool(request.image_scanning_configuration and request.image_scanning_configuration.scan_on_push),
        encryption_type=encryption.encryption_type,
        kms_key=kms_key,
        tags=checked_tags(request.tags or ()),
    )

    def create(tx: Tx) -> Repository:
        if tx.get(REPOSITORIES, repository.key) is not None:
            raise RepositoryAlreadyExistsException(repository.name, repository.account_id)
        return tx.create(REPOSITORIES, with_data_key(tx, repository))

    return shapes.CreateRepositoryResponse(repository=views.repository(await call.store.transact(create), call.site))


def _described_resources(call: Call, request: shapes.DescribeRepositoriesRequest) -> Iterable[str]:
    names = request.repository_names or ("*",)
    return [repository_arn(call.region, request.registry_id or call.account_id, name) for name in names]


@api.operation("DescribeRepositories", resource=_described_resources)
async def describe_repositories(call: Call, request: shapes.DescribeRepositoriesRequest) -> shapes.DescribeRepositoriesResponse:
    account_id = request.registry_id or call.account_id
    if request.repository_names is not None:
        if request.next_token is not None or request.max_results is not None:
            raise InvalidParameterException("maxResults and nextToken cannot be specified together with repositoryNames")
        named = [
            find_repository(call.store, RepositoryId(call.region, account_id, name)) for name in dict.fromkeys(request.repository_names)
        ]
        return shapes.DescribeRepositoriesResponse(repositories=tuple(views.repository(each, call.site) for each in named))
    scope = f"{call.region}:{account_id}"
    question = ("DescribeRepositories", scope)
    found, after = page(
        lambda after, limit: call.store.list(REPOSITORIES, "scope", scope, after=after, limit=limit),
        lambda each: each.key,
        after=unseal(call.secret_for_signing, question, request.next_token, InvalidParameterException("The nextToken is invalid.")),
        limit=request.max_results or _PAGE,
    )
    return shapes.DescribeRepositoriesResponse(
        repositories=tuple(views.repository(each, call.site) for each in found),
        next_token=seal(call.secret_for_signing, question, after) if after else None,
    )


@api.operation("DeleteRepository", resource=repository_resource, conditions=tag_conditions)
async def delete_repository(call: Call, request: shapes.DeleteRepositoryRequest) -> shapes.DeleteRepositoryResponse:
    meant = repository_of(call, request)

    def delete(tx: Tx) -> Repository:
        repository = find_repository(tx, meant)
        if not request.force and tx.count(IMAGES, "repository", repository.key):
            raise RepositoryNotEmptyException(repository.name, repository.account_id)
        delete_with_contents(tx, repository)
        return repository

    return shapes.DeleteRepositoryResponse(repository=views.repository(await call.store.transact(delete), call.site))


@api.operation("PutImageTagMutability", resource=repository_resource, conditions=tag_conditions)
async def put_image_tag_mutability(call: Call, request: shapes.PutImageTagMutabilityRequest) -> shapes.PutImageTagMutabilityResponse:
    meant = repository_of(call, request)
    setting, patterns = checked_mutability(request.image_tag_mutability, request.image_tag_mutability_exclusion_filters)

    def put(tx: Tx) -> Repository:
        repository = find_repository(tx, meant)
        return tx.put(REPOSITORIES, msgspec.structs.replace(repository, image_tag_mutability=setting, mutability_exclusions=patterns))

    repository = await call.store.transact(put)
    return shapes.PutImageTagMutabilityResponse(
        registry_id=repository.account_id,
        repository_name=repository.name,
        image_tag_mutability=repository.image_tag_mutability,
        image_tag_mutability_exclusion_filters=views.exclusion_filters(repository),
    )
