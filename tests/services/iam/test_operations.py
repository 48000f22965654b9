"""IAM as it is asked: users, their keys, and policies in them and on them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest

from longshore.aws.errors import AwsError, Validation
from longshore.aws.shapes import iam as shapes
from longshore.services.iam.api import api
from longshore.services.iam.errors import (
    DeleteConflict,
    EntityAlreadyExists,
    InvalidInput,
    LimitExceeded,
    MalformedPolicyDocument,
    NoSuchEntity,
)
from tests.services.iam.wire import ACCOUNT, Account

POLICY: dict[str, Any] = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}]}
DOCUMENT = json.dumps(POLICY)
POLICY_ARN = f"arn:aws:iam::{ACCOUNT}:policy/ops/Run"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


@pytest.fixture
async def account() -> Account:
    return Account()


async def refused(error: type[AwsError], account: Account, operation: str, **parameters: Any) -> str:
    with pytest.raises(error) as raised:
        await account.ask(operation, **parameters)
    return raised.value.message


def decoded(document: str) -> Any:
    """What SDKs make of a URL-encoded document."""
    return json.loads(unquote(document))


async def user(account: Account, name: str = "ann", **parameters: Any) -> dict[str, Any]:
    made: dict[str, Any] = (await account.ask("CreateUser", UserName=name, **parameters))["User"]
    return made


def test_every_operation_with_a_shape_is_served() -> None:
    assert api.operations.keys() - api.extensions.keys() == shapes.OPERATIONS.keys()


# ── users ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_user_is_created_with_path_tags_and_an_id(account: Account) -> None:
    made = await user(account, Path="/team/edge/", Tags=[{"Key": "team", "Value": "edge"}])
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/team/edge/ann"
    assert made["UserId"].startswith("AIDA") and len(made["UserId"]) == 21
    assert made["Tags"] == [{"Key": "team", "Value": "edge"}]
    assert (await account.ask("GetUser", UserName="ANN"))["User"] == made


async def test_user_names_are_taken_without_regard_to_case(account: Account) -> None:
    await user(account)
    assert await refused(EntityAlreadyExists, account, "CreateUser", UserName="Ann") == "User with name Ann already exists."


@pytest.mark.parametrize("keys", [["team", "Team"], ["aws:team"]])
async def test_bad_tags_are_refused(account: Account, keys: list[str]) -> None:
    await refused(InvalidInput, account, "CreateUser", UserName="ann", Tags=[{"Key": key, "Value": ""} for key in keys])


async def test_a_user_asks_for_itself_by_naming_nobody(account: Account) -> None:
    ann = await user(account)
    assert (await account.as_user(ann).ask("GetUser"))["User"]["Arn"] == ann["Arn"]
    assert account.as_user(ann).resources("GetUser") == [ann["Arn"]]
    root = (await account.ask("GetUser"))["User"]
    assert (root["UserId"], root["Arn"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root")


async def test_users_are_listed_in_pages_under_a_path(account: Account) -> None:
    for number in range(5):
        await user(account, f"user{number}", Path="/even/" if number % 2 == 0 else "/odd/")
    first = await account.ask("ListUsers", PathPrefix="/even/", MaxItems=2)
    assert [one["UserName"] for one in first["Users"]] == ["user0", "user2"] and first["IsTruncated"]
    second = await account.ask("ListUsers", PathPrefix="/even/", MaxItems=2, Marker=first["Marker"])
    assert [one["UserName"] for one in second["Users"]] == ["user4"] and not second["IsTruncated"]
    assert await refused(Validation, account, "ListUsers", Marker=first["Marker"]) == "Invalid Marker."


async def test_an_unknown_user_is_said_to_be_missing(account: Account) -> None:
    for operation in ("GetUser", "DeleteUser", "UpdateUser", "ListUserPolicies", "ListAttachedUserPolicies", "CreateAccessKey"):
        assert await refused(NoSuchEntity, account, operation, UserName="bob") == "The user with name bob cannot be found."


async def test_a_renamed_user_keeps_its_belongings(account: Account) -> None:
    ann = await user(account)
    key = (await account.ask("CreateAccessKey", UserName="ann"))["AccessKey"]
    await account.ask("PutUserPolicy", UserName="ann", PolicyName="run", PolicyDocument=DOCUMENT)
    await account.ask("AttachUserPolicy", UserName="ann", PolicyArn=ADMINISTRATOR)
    assert account.resources("UpdateUser", UserName="ann", NewUserName="bob") == [ann["Arn"], ann["Arn"][:-3] + "bob"]
    await account.ask("UpdateUser", UserName="ann", NewUserName="bob", NewPath="/team/")

    bob = (await account.ask("GetUser", UserName="bob"))["User"]
    assert (bob["UserId"], bob["Arn"]) == (ann["UserId"], f"arn:aws:iam::{ACCOUNT}:user/team/bob")
    await refused(NoSuchEntity, account, "GetUser", UserName="ann")
    assert [one["AccessKeyId"] for one in (await account.ask("ListAccessKeys", UserName="bob"))["AccessKeyMetadata"]] == [
        key["AccessKeyId"]
    ]
    assert (await account.ask("ListUserPolicies", UserName="bob"))["PolicyNames"] == ["run"]
    assert [one["PolicyArn"] for one in (await account.ask("ListAttachedUserPolicies", UserName="bob"))["AttachedPolicies"]] == [
        ADMINISTRATOR
    ]
    assert account.may(bob, "iam:ListUsers")


async def test_a_user_is_not_renamed_over_another(account: Account) -> None:
    await user(account, "ann")
    await user(account, "bob")
    await refused(EntityAlreadyExists, account, "UpdateUser", UserName="ann", NewUserName="Bob")
    await account.ask("UpdateUser", UserName="ann", NewUserName="Ann")
    assert (await account.ask("GetUser", UserName="ann"))["User"]["UserName"] == "Ann"


async def test_a_user_is_deleted_only_when_nothing_hangs_on_it(account: Account) -> None:
    await user(account)
    key = (await account.ask("CreateAccessKey", UserName="ann"))["AccessKey"]["AccessKeyId"]
    await account.ask("PutUserPolicy", UserName="ann", PolicyName="run", PolicyDocument=DOCUMENT)
    await account.ask("AttachUserPolicy", UserName="ann", PolicyArn=ADMINISTRATOR)
    said = "Cannot delete entity, must "
    assert await refused(DeleteConflict, account, "DeleteUser", UserName="ann") == said + "delete access keys first."
    await account.ask("DeleteAccessKey", UserName="ann", AccessKeyId=key)
    assert await refused(DeleteConflict, account, "DeleteUser", UserName="ann") == said + "detach all policies first."
    await account.ask("DetachUserPolicy", UserName="ann", PolicyArn=ADMINISTRATOR)
    assert await refused(DeleteConflict, account, "DeleteUser", UserName="ann") == said + "delete policies first."
    await account.ask("DeleteUserPolicy", UserName="ann", PolicyName="run")
    await account.ask("DeleteUser", UserName="ann")
    assert (await account.ask("ListUsers"))["Users"] == []


async def test_accounts_do_not_see_each_other(account: Account) -> None:
    await user(account)
    key = (await account.ask("CreateAccessKey", UserName="ann"))["AccessKey"]["AccessKeyId"]
    await account.ask("CreatePolicy", PolicyName="Run", Path="/ops/", PolicyDocument=DOCUMENT)
    other = Account(account.store, "111111111111")
    assert (await other.ask("ListUsers"))["Users"] == []
    assert (await other.ask("ListPolicies", Scope="Local"))["Policies"] == []
    await refused(NoSuchEntity, other, "GetUser", UserName="ann")
    await refused(NoSuchEntity, other, "GetPolicy", PolicyArn=POLICY_ARN)
    await user(other)
    await refused(NoSuchEntity, other, "AttachUserPolicy", UserName="ann", PolicyArn=POLICY_ARN)
    await refused(NoSuchEntity, other, "DeleteAccessKey", UserName="ann", AccessKeyId=key)
    assert "is not authorized to perform: iam:GetAccessKeyLastUsed" in await refused(
        AwsError, other, "GetAccessKeyLastUsed", AccessKeyId=key
    )


# ── access keys ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_access_key_shows_its_secret_once(account: Account) -> None:
    await user(account)
    made = (await account.ask("CreateAccessKey", UserName="ann"))["AccessKey"]
    assert made["AccessKeyId"].startswith("AKIA") and len(made["AccessKeyId"]) == 20 and len(made["SecretAccessKey"]) == 40
    assert (made["UserName"], made["Status"]) == ("ann", "Active")
    (listed,) = (await account.ask("ListAccessKeys", UserName="ann"))["AccessKeyMetadata"]
    assert "SecretAccessKey" not in listed and listed["AccessKeyId"] == made["AccessKeyId"]


async def test_a_user_has_two_keys_at_most(account: Account) -> None:
    await user(account)
    for _ in range(2):
        await account.ask("CreateAccessKey", UserName="ann")
    assert await refused(LimitExceeded, account, "CreateAccessKey", UserName="ann") == "Cannot exceed quota for AccessKeysPerUser: 2"


async def test_a_key_is_changed_only_through_its_owner(account: Account) -> None:
    await user(account, "ann")
    await user(account, "bob")
    key = (await account.ask("CreateAccessKey", UserName="ann"))["AccessKey"]["AccessKeyId"]
    await account.ask("UpdateAccessKey", UserName="ann", AccessKeyId=key, Status="Inactive")
    assert (await account.ask("ListAccessKeys", UserName="ann"))["AccessKeyMetadata"][0]["Status"] == "Inactive"
    await refused(InvalidInput, account, "UpdateAccessKey", UserName="ann", AccessKeyId=key, Status="Expired")
    missing = f"The Access Key with id {key} cannot be found."
    assert await refused(NoSuchEntity, account, "UpdateAccessKey", UserName="bob", AccessKeyId=key, Status="Active") == missing
    assert await refused(NoSuchEntity, account, "DeleteAccessKey", UserName="bob", AccessKeyId=key) == missing


async def test_a_key_never_used_says_so(account: Account) -> None:
    await user(account)
    key = (await account.ask("CreateAccessKey", UserName="ann"))["AccessKey"]["AccessKeyId"]
    assert await account.ask("GetAccessKeyLastUsed", AccessKeyId=key) == {
        "UserName": "ann",
        "AccessKeyLastUsed": {"ServiceName": "N/A", "Region": "N/A"},
    }


# ── policies in and on users ─────────────────────────────────────────────────────────────────────────────────────────


async def test_an_inline_policy_comes_back_as_it_was_put(account: Account) -> None:
    ann = await user(account)
    assert not account.may(ann, "ecs:RunTask")
    await account.ask("PutUserPolicy", UserName="ann", PolicyName="run", PolicyDocument=DOCUMENT)
    got = await account.ask("GetUserPolicy", UserName="ann", PolicyName="run")
    assert (got["UserName"], got["PolicyName"], decoded(got["PolicyDocument"])) == ("ann", "run", POLICY)
    assert '"' not in got["PolicyDocument"] and " " not in got["PolicyDocument"]
    assert account.may(ann, "ecs:RunTask")
    await account.ask("DeleteUserPolicy", UserName="ann", PolicyName="run")
    assert not account.may(ann, "ecs:RunTask")
    said = "The user policy with name run cannot be found."
    assert await refused(NoSuchEntity, account, "GetUserPolicy", UserName="ann", PolicyName="run") == said
    assert await refused(NoSuchEntity, account, "DeleteUserPolicy", UserName="ann", PolicyName="run") == said


async def test_inline_policies_share_one_quota(account: Account) -> None:
    await user(account)
    half = json.dumps({**POLICY, "Id": "x" * 1000}) + " " * 4000
    await account.ask("PutUserPolicy", UserName="ann", PolicyName="one", PolicyDocument=half)
    said = "Maximum policy size of 2048 bytes exceeded for user ann"
    assert await refused(LimitExceeded, account, "PutUserPolicy", UserName="ann", PolicyName="two", PolicyDocument=half) == said
    await account.ask("PutUserPolicy", UserName="ann", PolicyName="one", PolicyDocument=DOCUMENT)
    await account.ask("PutUserPolicy", UserName="ann", PolicyName="two", PolicyDocument=half)


@pytest.mark.parametrize("operation", ["PutUserPolicy", "CreatePolicy"])
async def test_a_malformed_document_is_refused(account: Account, operation: str) -> None:
    await user(account)
    parameters = {"UserName": "ann"} if operation == "PutUserPolicy" else {}
    said = await refused(MalformedPolicyDocument, account, operation, PolicyName="run", PolicyDocument="{}", **parameters)
    assert said == "Syntax errors in policy. (line 1, column 1)"


async def test_attaching_is_idempotent_and_counted(account: Account) -> None:
    ann = await user(account)
    made = (await account.ask("CreatePolicy", PolicyName="Run", Path="/ops/", PolicyDocument=DOCUMENT, Description="d"))["Policy"]
    assert (made["Arn"], made["AttachmentCount"], made["DefaultVersionId"], made["Description"]) == (POLICY_ARN, 0, "v1", "d")
    assert made["PolicyId"].startswith("ANPA") and len(made["PolicyId"]) == 21
    for _ in range(2):
        await account.ask("AttachUserPolicy", UserName="ann", PolicyArn=POLICY_ARN)
    assert (await account.ask("GetPolicy", PolicyArn=POLICY_ARN))["Policy"]["AttachmentCount"] == 1
    assert account.may(ann, "ecs:RunTask") and not account.may(ann, "ecr:PutImage")
    entities = await account.ask("ListEntitiesForPolicy", PolicyArn=POLICY_ARN)
    assert entities["PolicyUsers"] == [{"UserName": "ann", "UserId": ann["UserId"]}]
    assert (await account.ask("ListEntitiesForPolicy", PolicyArn=POLICY_ARN, EntityFilter="Role"))["PolicyUsers"] == []
    assert await refused(DeleteConflict, account, "DeletePolicy", PolicyArn=POLICY_ARN) == "Cannot delete a policy attached to entities."
    await account.ask("DetachUserPolicy", UserName="ann", PolicyArn=POLICY_ARN)
    said = f"Policy {POLICY_ARN} was not found."
    assert await refused(NoSuchEntity, account, "DetachUserPolicy", UserName="ann", PolicyArn=POLICY_ARN) == said
    await account.ask("DeletePolicy", PolicyArn=POLICY_ARN)
    assert await refused(NoSuchEntity, account, "GetPolicy", PolicyArn=POLICY_ARN) == said
    await refused(NoSuchEntity, account, "GetPolicyVersion", PolicyArn=POLICY_ARN, VersionId="v1")


async def test_ten_policies_at_most_are_attached(account: Account) -> None:
    await user(account)
    for number in range(11):
        await account.ask("CreatePolicy", PolicyName=f"p{number}", PolicyDocument=DOCUMENT)
    for number in range(10):
        await account.ask("AttachUserPolicy", UserName="ann", PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/p{number}")
    eleventh = f"arn:aws:iam::{ACCOUNT}:policy/p10"
    said = await refused(LimitExceeded, account, "AttachUserPolicy", UserName="ann", PolicyArn=eleventh)
    assert said == "Cannot exceed quota for PoliciesPerUser: 10"


async def test_attaching_what_is_not_there_is_refused(account: Account) -> None:
    await user(account)
    missing = f"arn:aws:iam::{ACCOUNT}:policy/none"
    said = f"Policy {missing} does not exist or is not attachable."
    assert await refused(NoSuchEntity, account, "AttachUserPolicy", UserName="ann", PolicyArn=missing) == said
    odd = "arn:aws:s3:::bucket/policy"
    assert await refused(InvalidInput, account, "AttachUserPolicy", UserName="ann", PolicyArn=odd) == f"ARN {odd} is not valid."


async def test_policy_names_are_taken_whatever_the_path(account: Account) -> None:
    await account.ask("CreatePolicy", PolicyName="Run", Path="/ops/", PolicyDocument=DOCUMENT)
    said = await refused(EntityAlreadyExists, account, "CreatePolicy", PolicyName="run", PolicyDocument=DOCUMENT)
    assert said == "A policy called run already exists. Duplicate names are not allowed."


async def test_a_policy_document_has_its_quota(account: Account) -> None:
    long = json.dumps({**POLICY, "Id": "x" * 6144})
    said = await refused(LimitExceeded, account, "CreatePolicy", PolicyName="Run", PolicyDocument=long)
    assert said == "Cannot exceed quota for PolicySize: 6144"


async def test_a_version_shows_its_document(account: Account) -> None:
    await account.ask("CreatePolicy", PolicyName="Run", Path="/ops/", PolicyDocument=DOCUMENT)
    version = (await account.ask("GetPolicyVersion", PolicyArn=POLICY_ARN, VersionId="v1"))["PolicyVersion"]
    assert decoded(version["Document"]) == POLICY and version["IsDefaultVersion"]
    (listed,) = (await account.ask("ListPolicyVersions", PolicyArn=POLICY_ARN))["Versions"]
    assert listed["VersionId"] == "v1" and "Document" not in listed
    said = await refused(NoSuchEntity, account, "GetPolicyVersion", PolicyArn=POLICY_ARN, VersionId="v2")
    assert said == f"Policy {POLICY_ARN} version v2 does not exist or is not attachable."


# ── AWS's policies ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_aws_policies_are_attached_and_read_but_not_deleted(account: Account) -> None:
    ann = await user(account)
    await account.ask("AttachUserPolicy", UserName="ann", PolicyArn=ADMINISTRATOR)
    assert account.may(ann, "anything:AtAll")
    assert (await account.ask("GetPolicy", PolicyArn=ADMINISTRATOR))["Policy"]["AttachmentCount"] == 1
    version = (await account.ask("GetPolicyVersion", PolicyArn=ADMINISTRATOR, VersionId="v1"))["PolicyVersion"]
    assert decoded(version["Document"])["Statement"][0]["Action"] == "*"
    assert await refused(InvalidInput, account, "DeletePolicy", PolicyArn=ADMINISTRATOR) == "Policy is outside your own account."


def pages(answer: dict[str, Any]) -> Iterator[str]:
    return (policy["Arn"] for policy in answer["Policies"])


async def test_policies_are_listed_by_scope_and_use(account: Account) -> None:
    await user(account)
    await account.ask("CreatePolicy", PolicyName="Run", Path="/ops/", PolicyDocument=DOCUMENT)
    assert list(pages(await account.ask("ListPolicies", Scope="Local"))) == [POLICY_ARN]
    everybodys = list(pages(await account.ask("ListPolicies", Scope="AWS")))
    assert ADMINISTRATOR in everybodys and POLICY_ARN not in everybodys
    found, marker = [], {}
    while True:
        answer = await account.ask("ListPolicies", MaxItems=4, **marker)
        found += pages(answer)
        if not answer["IsTruncated"]:
            break
        marker = {"Marker": answer["Marker"]}
    assert sorted(found) == sorted([*everybodys, POLICY_ARN])
    assert list(pages(await account.ask("ListPolicies", OnlyAttached=True))) == []
    await account.ask("AttachUserPolicy", UserName="ann", PolicyArn=ADMINISTRATOR)
    assert list(pages(await account.ask("ListPolicies", OnlyAttached=True))) == [ADMINISTRATOR]
    assert list(pages(await account.ask("ListPolicies", PathPrefix="/ops/"))) == [POLICY_ARN]
