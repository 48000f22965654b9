"""Repositories: what they are like, which names they may have, and when they may go."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.services.ecr.model import IMAGE_TAGS, IMAGES, REPOSITORIES, REPOSITORY_BLOBS
from tests.registry.contents import CONFIG, manifest
from tests.services.ecr.conftest import ACCOUNT, Ecr


async def test_a_new_repository_is_described_as_it_was_created(ecr: Ecr) -> None:
    created = (await ecr("CreateRepository", repositoryName="team/web"))["repository"]
    assert created == {
        "repositoryArn": "arn:aws:ecr:us-east-1:000000000000:repository/team/web",
        "registryId": ACCOUNT,
        "repositoryName": "team/web",
        "repositoryUri": "127.0.0.1:4566/team/web",
        "createdAt": created["createdAt"],
        "imageTagMutability": "MUTABLE",
        "imageScanningConfiguration": {"scanOnPush": False},
        "encryptionConfiguration": {"encryptionType": "AES256"},
    }
    assert created["createdAt"].timestamp() == ecr.clock.now()
    assert (await ecr("DescribeRepositories"))["repositories"] == [created]
    assert (await ecr("DescribeRepositories", repositoryNames=["team/web"]))["repositories"] == [created]


async def test_another_regions_repository_says_its_region_in_its_address(ecr: Ecr) -> None:
    created = await ecr.in_region("eu-west-1")("CreateRepository", repositoryName="web")
    assert created["repository"]["repositoryUri"] == "127.0.0.1:4566/000000000000.dkr.ecr.eu-west-1/web"
    assert (await ecr("DescribeRepositories"))["repositories"] == []


async def test_settings_are_kept(ecr: Ecr) -> None:
    filters = [{"filterType": "WILDCARD", "filter": "dev-*"}]
    created = await ecr(
        "CreateRepository",
        repositoryName="web",
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=filters,
        imageScanningConfiguration={"scanOnPush": True},
        encryptionConfiguration={"encryptionType": "KMS", "kmsKey": "alias/mine"},
        tags=[{"Key": "team", "Value": "a"}],
    )
    repository = created["repository"]
    assert repository["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert repository["imageTagMutabilityExclusionFilters"] == filters
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    assert repository["encryptionConfiguration"] == {"encryptionType": "KMS", "kmsKey": "alias/mine"}
    assert (await ecr("ListTagsForResource", resourceArn=repository["repositoryArn"]))["tags"] == [{"Key": "team", "Value": "a"}]


async def test_a_name_is_taken_once(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="web")
    assert await ecr.refused("CreateRepository", repositoryName="web") == (
        "RepositoryAlreadyExistsException",
        "The repository with name 'web' already exists in the registry with id '000000000000'",
    )


@pytest.mark.parametrize(
    "name",
    ["a", "Web", "a//b", "../b", "a/", "/a", "a b", "a.", "-a", "a" * 257, "ü", "", "a..b", "a/../b", "111111111111.dkr.ecr.us-east-1/a"],
)
async def test_a_name_that_is_none_is_refused(ecr: Ecr, name: str) -> None:
    code, _ = await ecr.refused("CreateRepository", repositoryName=name)
    assert code in ("InvalidParameterException", "ValidationException")
    assert ecr.call.store.count(REPOSITORIES) == 0


@pytest.mark.parametrize(
    "members",
    [
        {"imageTagMutability": "IMMUTABLE", "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "a*"}]},
        {"imageTagMutability": "MUTABLE_WITH_EXCLUSION"},
        {
            "imageTagMutability": "MUTABLE_WITH_EXCLUSION",
            "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "***"}],
        },
        {"encryptionConfiguration": {"encryptionType": "AES256", "kmsKey": "alias/mine"}},
    ],
)
async def test_settings_that_contradict_each_other_are_refused(ecr: Ecr, members: dict[str, Any]) -> None:
    code, _ = await ecr.refused("CreateRepository", repositoryName="web", **members)
    assert code == "InvalidParameterException"


async def test_an_unknown_repository_is_not_found(ecr: Ecr) -> None:
    expected = ("RepositoryNotFoundException", "The repository with name 'web' does not exist in the registry with id '000000000000'")
    assert await ecr.refused("DescribeRepositories", repositoryNames=["web"]) == expected
    assert await ecr.refused("DeleteRepository", repositoryName="web") == expected
    assert await ecr.refused("ListImages", repositoryName="web") == expected


async def test_repositories_are_listed_in_pages(ecr: Ecr) -> None:
    for number in range(5):
        await ecr("CreateRepository", repositoryName=f"r{number}")
    names, token = [], None
    while True:
        page = await ecr("DescribeRepositories", maxResults=2, **({"nextToken": token} if token else {}))
        names.append([each["repositoryName"] for each in page["repositories"]])
        token = page.get("nextToken")
        if token is None:
            break
    assert names == [["r0", "r1"], ["r2", "r3"], ["r4"]]
    assert (await ecr.refused("DescribeRepositories", nextToken="made up"))[0] == "InvalidParameterException"
    assert (await ecr.refused("DescribeRepositories", repositoryNames=["r0"], maxResults=2))[0] == "InvalidParameterException"


async def test_a_registry_that_is_named_is_the_one_that_is_meant(ecr: Ecr) -> None:
    """Whether the caller may is the gateway's question, asked before."""
    await ecr("CreateRepository", repositoryName="web")
    assert (await ecr("DescribeRepositories", registryId="111111111111"))["repositories"] == []
    assert (await ecr.refused("ListImages", registryId="111111111111", repositoryName="web")) == (
        "RepositoryNotFoundException",
        "The repository with name 'web' does not exist in the registry with id '111111111111'",
    )
    theirs = (await ecr("CreateRepository", registryId="111111111111", repositoryName="web"))["repository"]
    assert (theirs["registryId"], theirs["repositoryArn"]) == ("111111111111", "arn:aws:ecr:us-east-1:111111111111:repository/web")
    await ecr("DeleteRepository", registryId="111111111111", repositoryName="web")
    assert len((await ecr("DescribeRepositories", registryId="000000000000"))["repositories"]) == 1


async def test_a_repository_with_images_goes_only_by_force_and_takes_everything_along(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="web")
    await ecr.store_blob("web", CONFIG)
    await ecr("PutImage", repositoryName="web", imageManifest=manifest().decode(), imageTag="1")
    assert await ecr.refused("DeleteRepository", repositoryName="web") == (
        "RepositoryNotEmptyException",
        "The repository with name 'web' in registry with id '000000000000' cannot be deleted because it still contains images",
    )
    deleted = await ecr("DeleteRepository", repositoryName="web", force=True)
    assert deleted["repository"]["repositoryName"] == "web"
    assert [ecr.call.store.count(kind) for kind in (REPOSITORIES, IMAGES, IMAGE_TAGS, REPOSITORY_BLOBS)] == [0, 0, 0, 0]


async def test_mutability_can_be_changed(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="web")
    filters = [{"filterType": "WILDCARD", "filter": "v*"}]
    changed = await ecr(
        "PutImageTagMutability",
        repositoryName="web",
        imageTagMutability="MUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=filters,
    )
    expected = {"imageTagMutability": "MUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": filters}
    assert changed == {"registryId": ACCOUNT, "repositoryName": "web", **expected}
    (repository,) = (await ecr("DescribeRepositories"))["repositories"]
    assert {key: repository[key] for key in expected} == expected
