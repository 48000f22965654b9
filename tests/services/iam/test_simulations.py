"""Simulations decide as the gateway does, and say why."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.aws.errors import Validation
from longshore.services.call import Principal
from longshore.services.iam.errors import InvalidInput, NoSuchEntity
from longshore.services.iam.operations.simulations import MOST_CHARACTERS
from longshore.services.iam.simulation import Question, Source, context_keys, simulate
from tests.services.iam import reference
from tests.services.iam.test_evaluator import ACTIONS, CONTEXTS, RESOURCES, allow, deny, document, statements
from tests.services.iam.test_operations import ADMINISTRATOR, refused, user
from tests.services.iam.wire import ACCOUNT, Account

CLUSTER = f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/edge"


@pytest.fixture
async def account() -> Account:
    return Account()


async def results(account: Account, operation: str, **parameters: Any) -> list[dict[str, Any]]:
    answer = await account.ask(operation, **parameters)
    assert not answer["IsTruncated"]
    return list(answer["EvaluationResults"])


async def custom(account: Account, *own: dict[str, Any], action: str = "ecs:RunTask", **more: Any) -> dict[str, Any]:
    given = {"PolicyInputList": [document(one) for one in own], "ActionNames": [action], "ResourceArns": [CLUSTER], **more}
    (result,) = await results(account, "SimulateCustomPolicy", **given)
    return result


async def test_given_policies_are_asked_and_the_deciding_ones_named(account: Account) -> None:
    result = await custom(account, allow("ecr:*"), allow("ecs:*"))
    assert (result["EvalActionName"], result["EvalResourceName"], result["EvalDecision"]) == ("ecs:RunTask", CLUSTER, "allowed")
    assert [one["SourcePolicyId"] for one in result["MatchedStatements"]] == ["PolicyInputList.2"]
    result = await custom(account, deny("ecs:Run*"), allow("ecs:*"))
    assert result["EvalDecision"] == "explicitDeny"
    assert [one["SourcePolicyId"] for one in result["MatchedStatements"]] == ["PolicyInputList.1"]
    result = await custom(account, allow("ecr:*"))
    assert (result["EvalDecision"], result["MatchedStatements"]) == ("implicitDeny", [])


async def test_statements_are_named_by_line_and_column(account: Account) -> None:
    text = json.dumps(json.loads(document(allow("ecr:*"), allow("ecs:*"), allow("ecs:Run*"))), indent=2)
    given = {"PolicyInputList": [document(allow("s3:*")), text], "ActionNames": ["ecs:RunTask"]}
    (result,) = await results(account, "SimulateCustomPolicy", **given)
    lines = text.split("\n")
    for matched, action in zip(result["MatchedStatements"], ("ecs:*", "ecs:Run*"), strict=True):
        assert matched["SourcePolicyId"] == "PolicyInputList.2"
        first, last = matched["StartPosition"]["Line"], matched["EndPosition"]["Line"]
        assert (
            lines[first - 1][matched["StartPosition"]["Column"] - 1] == "{" and lines[last - 1][matched["EndPosition"]["Column"] - 1] == "}"
        )
        assert json.loads("\n".join(lines[first - 1 : last]).rstrip(","))["Action"] == action


async def test_a_boundary_is_heard_and_said(account: Account) -> None:
    bounded = {"PermissionsBoundaryPolicyInputList": [document(allow("ecr:*"))]}
    result = await custom(account, allow(), **bounded)
    assert result["EvalDecision"] == "implicitDeny"
    assert result["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}
    result = await custom(account, allow(), action="ecr:PutImage", **bounded)
    assert result["EvalDecision"] == "allowed" and result["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"]


async def test_context_is_given_and_what_is_missing_is_named(account: Account) -> None:
    when = allow(resource="arn:aws:ecs:*:*:cluster/${aws:username}", Condition={"StringEquals": {"aws:PrincipalTag/Team": "edge"}})
    result = await custom(account, when)
    assert (result["EvalDecision"], result["MissingContextValues"]) == ("implicitDeny", ["aws:PrincipalTag/Team", "aws:username"])
    entries = [
        {"ContextKeyName": "aws:principaltag/team", "ContextKeyType": "string", "ContextKeyValues": ["edge"]},
        {"ContextKeyName": "AWS:UserName", "ContextKeyType": "string", "ContextKeyValues": ["edge"]},
    ]
    result = await custom(account, when, ContextEntries=entries)
    assert (result["EvalDecision"], result["MissingContextValues"]) == ("allowed", [])
    keys = await account.ask("GetContextKeysForCustomPolicy", PolicyInputList=[document(when)])
    assert keys["ContextKeyNames"] == ["aws:PrincipalTag/Team", "aws:username"]


async def test_a_resources_policy_and_its_owner_count(account: Account) -> None:
    ann = await user(account)
    gives = document({"Effect": "Allow", "Principal": {"AWS": ann["Arn"]}, "Action": "ecs:*"})
    question = {"ResourcePolicy": gives, "CallerArn": ann["Arn"]}
    result = await custom(account, allow("ecr:*"), **question)
    assert result["EvalDecision"] == "allowed"
    assert [one["SourcePolicyType"] for one in result["MatchedStatements"]] == ["resource"]
    elsewhere = {**question, "ResourceOwner": "arn:aws:iam::111111111111:root"}
    assert (await custom(account, allow("ecr:*"), **elsewhere))["EvalDecision"] == "implicitDeny"
    assert (await custom(account, allow("ecs:*"), **elsewhere))["EvalDecision"] == "allowed"


async def test_the_policies_of_a_user_its_groups_and_its_boundary_are_asked(account: Account) -> None:
    ann = await user(account)
    await account.ask("CreateGroup", GroupName="staff")
    await account.ask("AddUserToGroup", GroupName="staff", UserName="ann")
    await account.ask("AttachGroupPolicy", GroupName="staff", PolicyArn=ADMINISTRATOR)
    await account.ask("PutUserPolicy", UserName="ann", PolicyName="no", PolicyDocument=document(deny("ecs:StopTask")))
    asked = {"PolicySourceArn": ann["Arn"], "ActionNames": ["ecs:RunTask", "ecs:StopTask"], "ResourceArns": [CLUSTER, "*"]}
    found = await results(account, "SimulatePrincipalPolicy", **asked)
    said = [(one["EvalActionName"], one["EvalResourceName"], one["EvalDecision"]) for one in found]
    assert said == [
        ("ecs:RunTask", CLUSTER, "allowed"),
        ("ecs:RunTask", "*", "allowed"),
        ("ecs:StopTask", CLUSTER, "explicitDeny"),
        ("ecs:StopTask", "*", "explicitDeny"),
    ]
    named = [[(one["SourcePolicyId"], one["SourcePolicyType"]) for one in found[number]["MatchedStatements"]] for number in (0, 2)]
    assert named == [[("AdministratorAccess", "aws-managed")], [("no", "user")]]
    (matched,) = found[2]["MatchedStatements"]
    text = document(deny("ecs:StopTask"))
    begin, end = text.index('{"Effect"') + 1, text.rindex("}") - 1
    assert (matched["StartPosition"], matched["EndPosition"]) == ({"Line": 1, "Column": begin}, {"Line": 1, "Column": end})
    await account.ask("PutUserPermissionsBoundary", UserName="ann", PermissionsBoundary="arn:aws:iam::aws:policy/AmazonEC2FullAccess")
    found = await results(account, "SimulatePrincipalPolicy", **asked)
    assert [one["EvalDecision"] for one in found] == ["implicitDeny", "implicitDeny", "explicitDeny", "explicitDeny"]
    first = await account.ask("SimulatePrincipalPolicy", **asked, MaxItems=3)
    rest = await account.ask("SimulatePrincipalPolicy", **asked, MaxItems=3, Marker=first["Marker"])
    assert first["EvaluationResults"] + rest["EvaluationResults"] == found and not rest["IsTruncated"]


async def test_what_cannot_be_asked_is_refused(account: Account) -> None:
    ann = await user(account)
    asked = {"PolicyInputList": [document(allow())], "ActionNames": ["ecs:RunTask"]}
    await refused(InvalidInput, account, "SimulateCustomPolicy", **asked | {"PolicyInputList": ["{}"]})
    await refused(InvalidInput, account, "GetContextKeysForCustomPolicy", PolicyInputList=["{"])
    for action in ("RunTask", "ecs:*", "a:b:c"):
        await refused(InvalidInput, account, "SimulateCustomPolicy", **asked | {"ActionNames": [action]})
    stranger = Account(account.store, "111111111111")
    await refused(NoSuchEntity, stranger, "SimulatePrincipalPolicy", PolicySourceArn=ann["Arn"], ActionNames=["ecs:RunTask"])
    await refused(Validation, account, "SimulateCustomPolicy", **asked, Marker="none of ours")


def test_every_spelling_of_a_key_is_found_once() -> None:
    text = document(
        allow(Condition={"StringEquals": {"aws:A": "${aws:b, 'x'}"}, "Null": {"AWS:a": "true"}}),
        allow(resource=["*", "arn:aws:s3:::${*}${c:D}"]),
    )
    assert context_keys([text]) == ["aws:A", "aws:b", "c:D"]


@settings(max_examples=60)
@given(st.lists(statements(principals=False), min_size=1, max_size=3), ACTIONS, RESOURCES, CONTEXTS)
def test_a_simulation_agrees_with_the_plain_evaluator(
    own: list[dict[str, Any]], action: str, resource: str, context: dict[str, list[str]]
) -> None:
    principal = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/ann", "AIDAANNANNANNANNANNAN", "")
    lowered = {key.lower(): values for key, values in context.items()}
    account = resource.split(":")[4] if resource.startswith("arn:") else ""
    result = simulate(Question((Source("p", "none", document(*own)),), None, None, principal, account, lowered), action, resource)
    allowed, denied = reference.allowed([document(*own)], [], action, resource, context, principal)
    assert result.decision == ("allowed" if allowed else "explicitDeny" if denied else "implicitDeny")
    assert bool(result.matched) is (allowed or denied)


async def test_a_page_ends_early_where_very_much_is_to_be_said(account: Account) -> None:
    long_winded = document(*[allow("*")] * 2000)
    asked: dict[str, Any] = {"PolicyInputList": [long_winded] * 3, "ActionNames": [f"ecs:Run{number}" for number in range(5)]}
    pages = [await account.ask("SimulateCustomPolicy", **asked)]
    while pages[-1]["IsTruncated"]:
        pages.append(await account.ask("SimulateCustomPolicy", **asked, Marker=pages[-1]["Marker"]))
    assert [[one["EvalActionName"][-1] for one in page["EvaluationResults"]] for page in pages] == [["0", "1"], ["2", "3"], ["4"]]
    assert all(len(one["MatchedStatements"]) == 6000 for page in pages for one in page["EvaluationResults"])


async def test_policies_are_taken_up_to_a_size_together_and_others_have_their_turn(account: Account) -> None:
    much = document(*[allow("ecs:*", resource=f"arn:aws:ecs:*:*:*{number}*") for number in range(1000)])
    too_much = [much] * (MOST_CHARACTERS // len(much) + 1)
    for operation, more in (("SimulateCustomPolicy", {"ActionNames": ["ecs:RunTask"]}), ("GetContextKeysForCustomPolicy", {})):
        await refused(InvalidInput, account, operation, PolicyInputList=too_much, **more)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    waiting = asyncio.create_task(others())
    await account.ask("SimulateCustomPolicy", PolicyInputList=too_much[1:], ActionNames=[f"ecs:Run{number}" for number in range(100)])
    waiting.cancel()
    assert turns >= 100


# ── the whole account ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_account_is_summed_up_and_told_whole(account: Account) -> None:
    await user(account, PermissionsBoundary=ADMINISTRATOR)
    await account.ask("CreateGroup", GroupName="staff")
    await account.ask("AddUserToGroup", GroupName="staff", UserName="ann")
    made = await account.ask("CreatePolicy", PolicyName="Run", PolicyDocument=document(allow("ecs:*")))
    await account.ask("CreatePolicyVersion", PolicyArn=made["Policy"]["Arn"], PolicyDocument=document(allow("ecr:*")))
    trusted = document({"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"})
    await account.ask("CreateRole", RoleName="deploy", AssumeRolePolicyDocument=trusted)
    await account.ask("AttachRolePolicy", RoleName="deploy", PolicyArn=made["Policy"]["Arn"])
    summed = (await account.ask("GetAccountSummary"))["SummaryMap"]
    assert {name: summed[name] for name in ("Users", "Groups", "Roles", "Policies", "PolicyVersionsInUse", "UsersQuota")} == {
        "Users": 1,
        "Groups": 1,
        "Roles": 1,
        "Policies": 1,
        "PolicyVersionsInUse": 2,
        "UsersQuota": 5000,
    }
    told = await account.ask("GetAccountAuthorizationDetails")
    (ann,), (staff,), (deploy,) = told["UserDetailList"], told["GroupDetailList"], told["RoleDetailList"]
    assert (ann["GroupList"], ann["PermissionsBoundary"]["PermissionsBoundaryArn"], staff["GroupName"]) == (
        ["staff"],
        ADMINISTRATOR,
        "staff",
    )
    assert [one["PolicyName"] for one in deploy["AttachedManagedPolicies"]] == ["Run"]
    assert {one["PolicyName"]: len(one["PolicyVersionList"]) for one in told["Policies"]} == {"AdministratorAccess": 1, "Run": 2}
    only = await account.ask("GetAccountAuthorizationDetails", Filter=["Role"], MaxItems=1)
    assert [one["RoleName"] for one in only["RoleDetailList"]] == ["deploy"] and not only["UserDetailList"] and not only["IsTruncated"]
    assert json.dumps(told, default=str).count("SecretAccessKey") == 0
