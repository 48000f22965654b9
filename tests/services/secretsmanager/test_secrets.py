"""Secrets Manager's operations called as the gateway calls them, their answers read back by botocore."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import botocore.parsers
import botocore.session
import pytest

from longshore.aws.errors import AwsError
from longshore.aws.protocol import json as codec
from longshore.aws.shapes import secretsmanager as shapes
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import SeededIds
from longshore.services.call import Call, Principal, Site
from longshore.services.secretsmanager import operations
from longshore.services.secretsmanager.api import api
from longshore.services.secretsmanager.model import KINDS, SECRETS
from longshore.services.secretsmanager.values import SecretMissing, SecretUnreadable, secret_string
from longshore.store.memory import memory_store
from longshore.store.memory_blobs import MemoryBlobStore

assert operations  # importing it registers them

ACCOUNT, REGION, KEY = "000000000000", "us-east-1", b"s" * 32
DAY_S = 24 * 3600.0


@dataclass
class Vault:
    call: Call
    clock: SteppedClock

    async def __call__(self, operation: str, **members: Any) -> dict[str, Any]:
        shape = shapes.OPERATIONS[operation]
        request = codec.parse(shapes.MODEL, shape, json.dumps(members).encode())
        assert list(api.operations[operation].resource(self.call, request))
        response = await api.operations[operation].handle(self.call, request)
        body, _ = codec.render(shapes.MODEL, shape, response, "request-1")
        model = botocore.session.get_session().get_service_model("secretsmanager").operation_model(operation)
        parsed = botocore.parsers.create_parser("json").parse({"body": body, "headers": {}, "status_code": 200}, model.output_shape)
        parsed.pop("ResponseMetadata")
        return dict(parsed)

    async def value(self, secret_id: str, **members: str) -> str:
        return str((await self("GetSecretValue", SecretId=secret_id, **members))["SecretString"])

    async def refused(self, operation: str, **members: Any) -> str:
        with pytest.raises(AwsError) as caught:
            await self(operation, **members)
        return caught.value.wire("json")[0]


@pytest.fixture
async def vault() -> AsyncIterator[Vault]:
    clock, store = SteppedClock(), memory_store(KINDS)
    call = Call(
        store=store,
        blobs=MemoryBlobStore(),
        clock=clock,
        ids=SeededIds(),
        site=Site(ACCOUNT, REGION, (), "http://127.0.0.1:4566", 4566),
        principal=Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, "AKIA"),
        account_id=ACCOUNT,
        region=REGION,
        request_id="request-1",
        source_ip="127.0.0.1",
        base_url="http://127.0.0.1:4566",
        secret_for_signing=KEY,
    )
    yield Vault(call, clock)
    await store.close()


async def test_a_secret_is_found_by_name_and_by_arn_and_lies_sealed(vault: Vault) -> None:
    made = await vault("CreateSecret", Name="db/password", SecretString="hunter2")
    for secret_id in ("db/password", made["ARN"], made["ARN"][:-7]):
        assert await vault.value(secret_id) == "hunter2"
    (held,) = vault.call.store.list(SECRETS)
    assert b"hunter2" not in held.versions[0].value
    assert secret_string(vault.call.store, REGION, ACCOUNT, made["ARN"], KEY) == "hunter2"
    for region, account in (("eu-west-1", ACCOUNT), (REGION, "111111111111")):
        with pytest.raises(SecretMissing):
            secret_string(vault.call.store, region, account, made["ARN"], KEY)
    with pytest.raises(SecretUnreadable):
        secret_string(vault.call.store, REGION, ACCOUNT, made["ARN"], b"another key of 32 bytes.........")


async def test_bytes_come_back_as_bytes(vault: Vault) -> None:
    made = await vault("CreateSecret", Name="key", SecretBinary=base64.b64encode(b"\0\xff").decode())
    assert (await vault("GetSecretValue", SecretId="key"))["SecretBinary"] == b"\0\xff"
    with pytest.raises(SecretUnreadable):
        secret_string(vault.call.store, REGION, ACCOUNT, made["ARN"], KEY)


async def test_a_new_value_is_current_and_the_old_one_previous(vault: Vault) -> None:
    await vault("CreateSecret", Name="a", SecretString="1")
    for value in ("2", "3"):
        await vault("PutSecretValue", SecretId="a", SecretString=value)
    assert await vault.value("a") == "3"
    assert await vault.value("a", VersionStage="AWSPREVIOUS") == "2"
    described = await vault("DescribeSecret", SecretId="a")
    assert sorted(described["VersionIdsToStages"].values()) == [["AWSCURRENT"], ["AWSPREVIOUS"]]
    listed = await vault("ListSecretVersionIds", SecretId="a", IncludeDeprecated=True)
    assert len(listed["Versions"]) == 3


async def test_a_stage_of_ones_own_leaves_the_current_version_alone(vault: Vault) -> None:
    await vault("CreateSecret", Name="a", SecretString="1")
    put = await vault("PutSecretValue", SecretId="a", SecretString="2", VersionStages=["AWSPENDING"])
    assert await vault.value("a") == "1"
    assert await vault.value("a", VersionStage="AWSPENDING") == "2"
    assert await vault.value("a", VersionId=put["VersionId"]) == "2"
    assert await vault.refused("GetSecretValue", SecretId="a", VersionStage="NONE") == "ResourceNotFoundException"
    assert (
        await vault.refused("GetSecretValue", SecretId="a", VersionId=put["VersionId"], VersionStage="AWSCURRENT")
        == "InvalidParameterException"
    )


async def test_the_same_put_again_changes_nothing_and_another_value_under_its_token_is_refused(vault: Vault) -> None:
    await vault("CreateSecret", Name="a", SecretString="1")
    token = "t" * 32
    first = await vault("PutSecretValue", SecretId="a", SecretString="2", ClientRequestToken=token)
    assert await vault("PutSecretValue", SecretId="a", SecretString="2", ClientRequestToken=token) == first
    assert await vault.refused("PutSecretValue", SecretId="a", SecretString="3", ClientRequestToken=token) == "ResourceExistsException"


async def test_a_deleted_secret_is_kept_from_use_until_it_is_restored_or_gone(vault: Vault) -> None:
    made = await vault("CreateSecret", Name="a", SecretString="1")
    await vault("DeleteSecret", SecretId="a", RecoveryWindowInDays=7)
    assert await vault.refused("GetSecretValue", SecretId="a") == "InvalidRequestException"
    assert await vault.refused("CreateSecret", Name="a", SecretString="2") == "InvalidRequestException"
    with pytest.raises(SecretMissing):
        secret_string(vault.call.store, REGION, ACCOUNT, made["ARN"], KEY)
    assert (await vault("ListSecrets"))["SecretList"] == []
    assert len((await vault("ListSecrets", IncludePlannedDeletion=True))["SecretList"]) == 1
    await vault("RestoreSecret", SecretId="a")
    assert await vault.value("a") == "1"
    await vault("DeleteSecret", SecretId="a", RecoveryWindowInDays=7)
    await vault.clock.step(7 * DAY_S)
    assert await vault.refused("RestoreSecret", SecretId="a") == "ResourceNotFoundException"
    again = await vault("CreateSecret", Name="a", SecretString="2")
    assert again["ARN"] != made["ARN"]
    await vault("DeleteSecret", SecretId="a", ForceDeleteWithoutRecovery=True)
    assert vault.call.store.count(SECRETS) == 0


async def test_secrets_are_listed_in_pages_by_filter_and_order(vault: Vault) -> None:
    for name in ("b/1", "a/1", "a/2"):
        await vault("CreateSecret", Name=name, Description=f"of {name}", Tags=[{"Key": "team", "Value": name[0]}])
        await vault.clock.step(1)

    async def names(**members: Any) -> list[str]:
        return [each["Name"] for each in (await vault("ListSecrets", **members))["SecretList"]]

    assert await names() == ["b/1", "a/1", "a/2"]
    assert await names(SortBy="name", SortOrder="desc") == ["b/1", "a/2", "a/1"]
    assert await names(Filters=[{"Key": "name", "Values": ["a/"]}]) == ["a/1", "a/2"]
    assert await names(Filters=[{"Key": "name", "Values": ["!a/"]}]) == ["b/1"]
    assert await names(Filters=[{"Key": "tag-value", "Values": ["b"]}, {"Key": "description", "Values": ["OF"]}]) == ["b/1"]
    first = await vault("ListSecrets", MaxResults=2)
    await vault("DeleteSecret", SecretId="a/1", ForceDeleteWithoutRecovery=True)
    rest = await vault("ListSecrets", MaxResults=2, NextToken=first["NextToken"])
    assert [each["Name"] for each in first["SecretList"] + rest["SecretList"]] == ["b/1", "a/1", "a/2"]
    assert "NextToken" not in rest
    assert await vault.refused("ListSecrets", SortBy="name", NextToken=first["NextToken"]) == "InvalidNextTokenException"


async def test_tags_come_and_go(vault: Vault) -> None:
    await vault("CreateSecret", Name="a", Tags=[{"Key": "x", "Value": "1"}])
    await vault("TagResource", SecretId="a", Tags=[{"Key": "x", "Value": "2"}, {"Key": "y", "Value": "3"}])
    await vault("UntagResource", SecretId="a", TagKeys=["y", "unknown"])
    assert (await vault("DescribeSecret", SecretId="a"))["Tags"] == [{"Key": "x", "Value": "2"}]


async def test_updates_change_what_they_name(vault: Vault) -> None:
    await vault("CreateSecret", Name="a", Description="old", SecretString="1")
    await vault("UpdateSecret", SecretId="a", Description="new")
    assert await vault.value("a") == "1"
    await vault("UpdateSecret", SecretId="a", SecretString="2")
    assert (await vault("DescribeSecret", SecretId="a"))["Description"] == "new"
    assert await vault.value("a") == "2"


@pytest.mark.parametrize(
    ("operation", "members", "code"),
    [
        ("CreateSecret", {"Name": "no spaces", "SecretString": "1"}, "InvalidParameterException"),
        ("CreateSecret", {"Name": "a", "SecretString": "1", "SecretBinary": "MQ=="}, "InvalidParameterException"),
        ("CreateSecret", {"Name": "a", "AddReplicaRegions": [{"Region": "eu-west-1"}]}, "InvalidParameterException"),
        ("CreateSecret", {"Name": "there"}, "ResourceExistsException"),
        ("CreateSecret", {"Name": "a", "Tags": [{"Key": "aws:x", "Value": "1"}]}, "InvalidParameterException"),
        ("PutSecretValue", {"SecretId": "there"}, "InvalidParameterException"),
        ("GetSecretValue", {"SecretId": "there"}, "ResourceNotFoundException"),
        ("GetSecretValue", {"SecretId": "nowhere"}, "ResourceNotFoundException"),
        ("DeleteSecret", {"SecretId": "there", "RecoveryWindowInDays": 6}, "InvalidParameterException"),
        ("DeleteSecret", {"SecretId": "there", "RecoveryWindowInDays": 7, "ForceDeleteWithoutRecovery": True}, "InvalidParameterException"),
    ],
)
async def test_what_cannot_be_meant_is_refused(vault: Vault, operation: str, members: dict[str, Any], code: str) -> None:
    await vault("CreateSecret", Name="there")
    assert await vault.refused(operation, **members) == code


async def test_an_arn_of_another_region_or_account_finds_nothing(vault: Vault) -> None:
    made = await vault("CreateSecret", Name="a", SecretString="1")
    elsewhere = replace(vault, call=replace(vault.call, region="eu-west-1"))
    for secret_id in ("a", made["ARN"]):
        assert await elsewhere.refused("GetSecretValue", SecretId=secret_id) == "ResourceNotFoundException"
