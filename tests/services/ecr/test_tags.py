"""Tags on repositories."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.ecr.conftest import Ecr

ARN = "arn:aws:ecr:us-east-1:000000000000:repository/web"


@pytest.fixture
async def ecr(ecr: Ecr) -> Ecr:
    await ecr("CreateRepository", repositoryName="web", tags=[{"Key": "a", "Value": "1"}])
    return ecr


async def tags(ecr: Ecr) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in (await ecr("ListTagsForResource", resourceArn=ARN))["tags"]}


async def test_tags_are_added_changed_and_taken_away(ecr: Ecr) -> None:
    await ecr("TagResource", resourceArn=ARN, tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}])
    assert await tags(ecr) == {"a": "2", "b": ""}
    await ecr("UntagResource", resourceArn=ARN, tagKeys=["a", "unknown"])
    assert await tags(ecr) == {"b": ""}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ([{"Key": "", "Value": "x"}], "InvalidTagParameterException"),
        ([{"Key": "k" * 129, "Value": "x"}], "InvalidTagParameterException"),
        ([{"Key": "k", "Value": "x" * 257}], "InvalidTagParameterException"),
        ([{"Key": "aws:k", "Value": "x"}], "InvalidTagParameterException"),
        ([{"Key": "k", "Value": "x"}, {"Key": "k", "Value": "y"}], "InvalidParameterException"),
        ([{"Key": f"k{number}", "Value": "x"} for number in range(50)], "TooManyTagsException"),
    ],
)
async def test_tags_that_are_not_allowed_are_refused(ecr: Ecr, given: list[dict[str, Any]], code: str) -> None:
    assert (await ecr.refused("TagResource", resourceArn=ARN, tags=given))[0] == code
    assert await tags(ecr) == {"a": "1"}


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        ("web", "InvalidParameterException"),
        ("arn:aws:ecs:us-east-1:000000000000:repository/web", "InvalidParameterException"),
        ("arn:aws:ecr:us-east-1:000000000000:repository/../web", "InvalidParameterException"),
        ("arn:aws:ecr:eu-west-1:000000000000:repository/web", "InvalidParameterException"),
        ("arn:aws:ecr:us-east-1:111111111111:repository/web", "RepositoryNotFoundException"),
        ("arn:aws:ecr:us-east-1:aws:repository/web", "InvalidParameterException"),
        ("arn:aws:ecr:us-east-1:000000000000:repository/other", "RepositoryNotFoundException"),
    ],
)
async def test_only_a_repository_of_this_region_can_be_meant(ecr: Ecr, arn: str, code: str) -> None:
    assert (await ecr.refused("ListTagsForResource", resourceArn=arn))[0] == code
    assert (await ecr.refused("TagResource", resourceArn=arn, tags=[]))[0] == code
