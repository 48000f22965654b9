"""Versions of managed policies, and the tags of policies and users."""

from __future__ import annotations

import json
from typing import Any

import pytest

from longshore.services.iam.entities import entity_conditions
from longshore.services.iam.errors import DeleteConflict, InvalidInput, LimitExceeded, MalformedPolicyDocument, NoSuchEntity
from tests.services.iam.test_operations import ADMINISTRATOR, DOCUMENT, POLICY, POLICY_ARN, decoded, refused, user
from tests.services.iam.wire import Account

PUSH = {**POLICY, "Statement": [{"Effect": "Allow", "Action": "ecr:PutImage", "Resource": "*"}]}


@pytest.fixture
async def account() -> Account:
    account = Account()
    await account.ask("CreatePolicy", PolicyName="Run", Path="/ops/", PolicyDocument=DOCUMENT)
    return account


async def version(account: Account, **parameters: Any) -> dict[str, Any]:
    made = await account.ask("CreatePolicyVersion", PolicyArn=POLICY_ARN, PolicyDocument=json.dumps(PUSH), **parameters)
    return dict(made["PolicyVersion"])


async def test_a_version_counts_once_it_is_the_default_one(account: Account) -> None:
    ann = await user(account)
    await account.ask("AttachUserPolicy", UserName="ann", PolicyArn=POLICY_ARN)
    made = await version(account)
    assert (made["VersionId"], made["IsDefaultVersion"]) == ("v2", False)
    assert account.may(ann, "ecs:RunTask") and not account.may(ann, "ecr:PutImage")
    await account.ask("SetDefaultPolicyVersion", PolicyArn=POLICY_ARN, VersionId="v2")
    assert not account.may(ann, "ecs:RunTask") and account.may(ann, "ecr:PutImage")
    assert (await account.ask("GetPolicy", PolicyArn=POLICY_ARN))["Policy"]["DefaultVersionId"] == "v2"
    shown = (await account.ask("GetPolicyVersion", PolicyArn=POLICY_ARN, VersionId="v2"))["PolicyVersion"]
    assert decoded(shown["Document"]) == PUSH and shown["IsDefaultVersion"]


async def test_there_are_five_versions_at_most_and_no_number_comes_twice(account: Account) -> None:
    for _ in range(4):
        await version(account, SetAsDefault=True)
    assert (await refused(LimitExceeded, account, "CreatePolicyVersion", PolicyArn=POLICY_ARN, PolicyDocument=DOCUMENT)).startswith(
        "A managed policy can have up to 5 versions."
    )
    said = await refused(DeleteConflict, account, "DeletePolicyVersion", PolicyArn=POLICY_ARN, VersionId="v5")
    assert said == "Cannot delete the default version of a policy."
    await account.ask("SetDefaultPolicyVersion", PolicyArn=POLICY_ARN, VersionId="v1")
    await account.ask("DeletePolicyVersion", PolicyArn=POLICY_ARN, VersionId="v5")
    assert (await version(account))["VersionId"] == "v6"
    listed = (await account.ask("ListPolicyVersions", PolicyArn=POLICY_ARN))["Versions"]
    assert {one["VersionId"]: one["IsDefaultVersion"] for one in listed} == {
        "v1": True,
        "v2": False,
        "v3": False,
        "v4": False,
        "v6": False,
    }


async def test_versions_are_listed_from_the_newest_and_page_by_page(account: Account) -> None:
    for number in range(2, 13):
        if number > 5:
            await account.ask("DeletePolicyVersion", PolicyArn=POLICY_ARN, VersionId=f"v{number - 5}")
        await version(account, SetAsDefault=True)
    whole = await account.ask("ListPolicyVersions", PolicyArn=POLICY_ARN)
    assert [one["VersionId"] for one in whole["Versions"]] == ["v12", "v11", "v10", "v9", "v8"]
    paged, more = [], {}
    while True:
        page = await account.ask("ListPolicyVersions", PolicyArn=POLICY_ARN, MaxItems=2, **more)
        paged += [one["VersionId"] for one in page["Versions"]]
        if not page["IsTruncated"]:
            break
        more = {"Marker": page["Marker"]}
    assert paged == ["v12", "v11", "v10", "v9", "v8"]


async def test_a_policy_goes_only_when_its_other_versions_are_gone(account: Account) -> None:
    await version(account)
    assert (await refused(DeleteConflict, account, "DeletePolicy", PolicyArn=POLICY_ARN)).startswith(
        "This policy has more than one version."
    )
    await account.ask("DeletePolicyVersion", PolicyArn=POLICY_ARN, VersionId="v2")
    await account.ask("DeletePolicy", PolicyArn=POLICY_ARN)


async def test_versions_that_cannot_be_are_refused(account: Account) -> None:
    await refused(MalformedPolicyDocument, account, "CreatePolicyVersion", PolicyArn=POLICY_ARN, PolicyDocument="{}")
    for operation in ("SetDefaultPolicyVersion", "DeletePolicyVersion", "GetPolicyVersion"):
        await refused(NoSuchEntity, account, operation, PolicyArn=POLICY_ARN, VersionId="v9")
    for operation in ("SetDefaultPolicyVersion", "DeletePolicyVersion"):
        said = await refused(InvalidInput, account, operation, PolicyArn=ADMINISTRATOR, VersionId="v1")
        assert said == "Policy is outside your own account."
    other = Account(account.store, "111111111111")
    await refused(NoSuchEntity, other, "CreatePolicyVersion", PolicyArn=POLICY_ARN, PolicyDocument=DOCUMENT)
    assert [one["VersionId"] for one in (await account.ask("ListPolicyVersions", PolicyArn=ADMINISTRATOR))["Versions"]] == ["v1"]


# ── tags ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("kind", "named"), [("User", {"UserName": "ann"}), ("Policy", {"PolicyArn": POLICY_ARN})])
async def test_tags_are_put_replaced_listed_and_taken_away(account: Account, kind: str, named: dict[str, str]) -> None:
    ann = await user(account)
    await account.ask(f"Tag{kind}", **named, Tags=[{"Key": "team", "Value": "edge"}, {"Key": "Stage", "Value": "test"}])
    await account.ask(f"Tag{kind}", **named, Tags=[{"Key": "Team", "Value": "core"}])
    first = await account.ask(f"List{kind}Tags", **named, MaxItems=1)
    assert first["Tags"] == [{"Key": "Stage", "Value": "test"}] and first["IsTruncated"]
    rest = await account.ask(f"List{kind}Tags", **named, MaxItems=1, Marker=first["Marker"])
    assert rest["Tags"] == [{"Key": "Team", "Value": "core"}] and not rest["IsTruncated"]
    arn = ann["Arn"] if kind == "User" else POLICY_ARN
    assert entity_conditions(account.store, arn)["iam:resourcetag/team"] == ["core"]
    await account.ask(f"Untag{kind}", **named, TagKeys=["team", "none"])
    assert (await account.ask(f"List{kind}Tags", **named))["Tags"] == [{"Key": "Stage", "Value": "test"}]


async def test_no_more_than_fifty_tags_and_none_of_awss(account: Account) -> None:
    await user(account)
    await account.ask("TagUser", UserName="ann", Tags=[{"Key": f"k{number}", "Value": ""} for number in range(50)])
    await account.ask("TagUser", UserName="ann", Tags=[{"Key": "K1", "Value": "again"}])
    await refused(LimitExceeded, account, "TagUser", UserName="ann", Tags=[{"Key": "one-more", "Value": ""}])
    await refused(InvalidInput, account, "TagUser", UserName="ann", Tags=[{"Key": "aws:x", "Value": ""}])
    await refused(InvalidInput, account, "TagPolicy", PolicyArn=ADMINISTRATOR, Tags=[{"Key": "x", "Value": ""}])
