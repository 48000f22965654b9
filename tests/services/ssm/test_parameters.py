"""Parameter Store, called as the gateway calls it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from longshore.aws.errors import AwsError
from longshore.aws.protocol import json as codec
from longshore.aws.shapes import ssm as shapes
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import SeededIds
from longshore.services.call import Call
from longshore.services.ssm import operations
from longshore.services.ssm.api import api
from longshore.services.ssm.model import KINDS, PARAMETERS
from longshore.store.memory import memory_store
from longshore.store.memory_blobs import MemoryBlobStore
from tests.services.ecs.conftest import ACCOUNT, REGION, ROOT, SITE

assert operations


class Ssm:
    def __init__(self, call: Call) -> None:
        self.call = call

    async def __call__(self, operation: str, **members: Any) -> dict[str, Any]:
        shape = shapes.OPERATIONS[operation]
        request = codec.parse(shapes.MODEL, shape, json.dumps(members).encode())
        declared = api.operations[operation]
        assert list(declared.resource(self.call, request))
        body, _ = codec.render(shapes.MODEL, shape, await declared.handle(self.call, request), "request-1")
        return dict(json.loads(body or b"{}"))

    async def put(self, name: str, value: str = "v", kind: str = "String", **members: Any) -> int:
        return int((await self("PutParameter", Name=name, Value=value, Type=kind, **members))["Version"])

    async def refused(self, operation: str, **members: Any) -> str:
        with pytest.raises(AwsError) as caught:
            await self(operation, **members)
        return caught.value.wire("json")[0]


@pytest.fixture
async def ssm() -> AsyncIterator[Ssm]:
    store = memory_store(KINDS)
    yield Ssm(
        Call(
            store=store,
            blobs=MemoryBlobStore(),
            clock=SteppedClock(),
            ids=SeededIds(1),
            site=SITE,
            principal=ROOT,
            account_id=ACCOUNT,
            region=REGION,
            request_id="request-1",
            source_ip="127.0.0.1",
            base_url="http://127.0.0.1:4566",
            secret_for_signing=b"s" * 32,
        )
    )
    await store.close()


async def test_a_parameter_is_got_by_name_arn_version_and_label(ssm: Ssm) -> None:
    assert await ssm.put("/app/url", "one") == 1
    assert await ssm.put("/app/url", "two", Overwrite=True) == 2
    await ssm("LabelParameterVersion", Name="/app/url", ParameterVersion=1, Labels=["live", "1bad", "awsbad"])
    arn = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/app/url"
    for reference, value, selector in (
        ("/app/url", "two", None),
        (arn, "two", None),
        ("/app/url:1", "one", ":1"),
        ("/app/url:live", "one", ":live"),
        (f"{arn}:2", "two", ":2"),
    ):
        shown = (await ssm("GetParameter", Name=reference))["Parameter"]
        assert (shown["Value"], shown.get("Selector"), shown["ARN"], shown["Name"]) == (value, selector, arn, "/app/url")
    assert await ssm.refused("GetParameter", Name="/app/url:7") == "ParameterVersionNotFound"
    assert await ssm.refused("GetParameter", Name="/app/none") == "ParameterNotFound"
    assert await ssm.refused("GetParameter", Name=arn.replace(REGION, "eu-west-1")) == "ParameterNotFound"


async def test_a_secure_string_is_sealed_and_opened_only_when_asked(ssm: Ssm) -> None:
    await ssm.put("token", "hush", "SecureString")
    assert (await ssm("GetParameter", Name="token", WithDecryption=True))["Parameter"]["Value"] == "hush"
    assert "hush" not in (await ssm("GetParameter", Name="token"))["Parameter"]["Value"]
    (kept,) = ssm.call.store.list(PARAMETERS)
    assert b"hush" not in kept.newest.value and kept.newest.key_id == "alias/aws/ssm"
    (history,) = (await ssm("GetParameterHistory", Name="token", WithDecryption=True))["Parameters"]
    assert history["Value"] == "hush"


async def test_several_are_got_and_deleted_at_once_and_what_is_missing_is_named(ssm: Ssm) -> None:
    await ssm.put("a")
    await ssm.put("b")
    answer = await ssm("GetParameters", Names=["a", "b", "c"])
    assert ([one["Name"] for one in answer["Parameters"]], answer["InvalidParameters"]) == (["a", "b"], ["c"])
    answer = await ssm("DeleteParameters", Names=["a", "c"])
    assert (answer["DeletedParameters"], answer["InvalidParameters"]) == (["a"], ["c"])
    await ssm("DeleteParameter", Name="b")
    assert await ssm.refused("DeleteParameter", Name="b") == "ParameterNotFound"


async def test_paths_are_walked_page_by_page(ssm: Ssm) -> None:
    for name in ("/app/a", "/app/b", "/app/deep/c", "/apple/d", "flat"):
        await ssm.put(name)

    async def under(path: str, **members: Any) -> list[str]:
        found: list[str] = []
        token: dict[str, str] = {}
        while True:
            answer = await ssm("GetParametersByPath", Path=path, MaxResults=1, **members, **token)
            found += [one["Name"] for one in answer["Parameters"]]
            if "NextToken" not in answer:
                return found
            token = {"NextToken": answer["NextToken"]}

    assert await under("/app") == ["/app/a", "/app/b"]
    assert await under("/app/", Recursive=True) == ["/app/a", "/app/b", "/app/deep/c"]
    assert await under("/", Recursive=True) == ["/app/a", "/app/b", "/app/deep/c", "/apple/d"]
    assert await ssm.refused("GetParametersByPath", Path="/app", NextToken="forged") == "InvalidNextToken"
    assert await ssm.refused("GetParametersByPath", Path="app") == "ValidationException"


@pytest.mark.parametrize(
    ("members", "names"),
    [
        ({}, ["/x/one", "/x/two", "three"]),
        ({"ParameterFilters": [{"Key": "Name", "Option": "Contains", "Values": ["t"]}]}, ["/x/two", "three"]),
        ({"ParameterFilters": [{"Key": "Path", "Option": "OneLevel", "Values": ["/x"]}]}, ["/x/one", "/x/two"]),
        ({"ParameterFilters": [{"Key": "Type", "Values": ["StringList"]}]}, ["/x/two"]),
        ({"ParameterFilters": [{"Key": "tag:team", "Values": ["blue"]}]}, ["three"]),
        ({"Filters": [{"Key": "Name", "Values": ["/x/o"]}]}, ["/x/one"]),
    ],
)
async def test_parameters_are_described_as_filtered(ssm: Ssm, members: dict[str, Any], names: list[str]) -> None:
    await ssm.put("/x/one")
    await ssm.put("/x/two", "a,b", "StringList")
    await ssm.put("three", Tags=[{"Key": "team", "Value": "blue"}])
    shown = (await ssm("DescribeParameters", **members))["Parameters"]
    assert [one["Name"] for one in shown] == names and all("Value" not in one for one in shown)


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"Name": "awsome"}, "ValidationException"),
        ({"Name": "/SSM/x"}, "ValidationException"),
        ({"Name": "a/b"}, "ValidationException"),
        ({"Name": "/a" * 16}, "HierarchyLevelLimitExceededException"),
        ({"Name": "sp ace"}, "ValidationException"),
        ({"Value": ""}, "ValidationException"),
        ({"Value": "x" * 4097}, "ValidationException"),
        ({"Value": "x" * 8193, "Tier": "Advanced"}, "ValidationException"),
        ({"Type": None}, "ValidationException"),
        ({"AllowedPattern": "(a+)+"}, "InvalidAllowedPatternException"),
        ({"Policies": '[{"Type":"Expiration"}]'}, "InvalidPolicyTypeException"),
        ({"DataType": "aws:ec2:image"}, "ValidationException"),
        ({"Overwrite": True, "Tags": [{"Key": "a", "Value": "b"}]}, "ValidationException"),
        ({"Tags": [{"Key": "aws:a", "Value": "b"}]}, "ValidationException"),
    ],
)
async def test_what_is_no_parameter_is_refused(ssm: Ssm, members: dict[str, Any], code: str) -> None:
    asked = {name: value for name, value in {"Name": "new", "Value": "v", "Type": "String", **members}.items() if value is not None}
    assert await ssm.refused("PutParameter", **asked) == code
    assert not ssm.call.store.list(PARAMETERS)


async def test_nothing_is_overwritten_unasked_and_large_values_need_the_advanced_tier(ssm: Ssm) -> None:
    await ssm.put("a")
    assert await ssm.refused("PutParameter", Name="a", Value="w", Type="String") == "ParameterAlreadyExists"
    assert (await ssm("PutParameter", Name="b", Value="x" * 5000, Type="String", Tier="Intelligent-Tiering"))["Tier"] == "Advanced"
    assert (await ssm("PutParameter", Name="b", Value="y", Overwrite=True))["Tier"] == "Advanced", "it never goes back"


async def test_a_hundred_versions_are_kept_and_a_label_keeps_the_oldest(ssm: Ssm) -> None:
    await ssm.put("a")
    for _ in range(100):
        await ssm.put("a", Overwrite=True)
    (held,) = ssm.call.store.list(PARAMETERS)
    assert [held.versions[0].number, held.newest.number, len(held.versions)] == [2, 101, 100]
    await ssm("LabelParameterVersion", Name="a", ParameterVersion=2, Labels=["kept"])
    assert await ssm.refused("PutParameter", Name="a", Value="v", Overwrite=True) == "ParameterMaxVersionLimitExceeded"
    answer = await ssm("UnlabelParameterVersion", Name="a", ParameterVersion=2, Labels=["kept", "other"])
    assert (answer["RemovedLabels"], answer["InvalidLabels"]) == (["kept"], ["other"])
    assert await ssm.put("a", Overwrite=True) == 102


async def test_a_label_moves_and_tags_come_and_go(ssm: Ssm) -> None:
    await ssm.put("a")
    await ssm.put("a", Overwrite=True)
    await ssm("LabelParameterVersion", Name="a", ParameterVersion=1, Labels=["live"])
    await ssm("LabelParameterVersion", Name="a", Labels=["live"])
    history = (await ssm("GetParameterHistory", Name="a"))["Parameters"]
    assert [one.get("Labels") for one in history] == [[], ["live"]]
    resource = {"ResourceType": "Parameter", "ResourceId": "a"}
    await ssm("AddTagsToResource", **resource, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    await ssm("RemoveTagsFromResource", **resource, TagKeys=["a"])
    assert (await ssm("ListTagsForResource", **resource))["TagList"] == [{"Key": "b", "Value": "2"}]
    assert await ssm.refused("ListTagsForResource", ResourceType="Document", ResourceId="a") == "InvalidResourceType"
    assert await ssm.refused("ListTagsForResource", ResourceType="Parameter", ResourceId="z") == "InvalidResourceId"
