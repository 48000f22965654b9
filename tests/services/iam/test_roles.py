"""Roles, instance profiles, boundaries, and the roles that services make for themselves."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from longshore.services.iam.entities import entity_conditions, trust_policies
from longshore.services.iam.errors import (
    DeleteConflict,
    EntityAlreadyExists,
    InvalidInput,
    LimitExceeded,
    MalformedPolicyDocument,
    NoSuchEntity,
    UnmodifiableEntity,
)
from tests.services.iam.test_operations import ADMINISTRATOR, DOCUMENT, POLICY, POLICY_ARN, decoded, refused, user
from tests.services.iam.wire import ACCOUNT, Account

TRUST: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture
async def account() -> Account:
    return Account()


async def role(account: Account, name: str = "deploy", **parameters: Any) -> dict[str, Any]:
    given = {"AssumeRolePolicyDocument": json.dumps(TRUST), **parameters}
    made: dict[str, Any] = (await account.ask("CreateRole", RoleName=name, **given))["Role"]
    return made


def trusting(**more: Any) -> str:
    return json.dumps({**TRUST, "Statement": [{**TRUST["Statement"][0], **more}]})


async def test_a_role_is_created_shown_changed_and_listed(account: Account) -> None:
    made = await role(account, Path="/ops/", Description="d", MaxSessionDuration=7200, Tags=[{"Key": "team", "Value": "edge"}])
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/ops/deploy"
    assert made["RoleId"].startswith("AROA") and len(made["RoleId"]) == 21
    assert decoded(made["AssumeRolePolicyDocument"]) == TRUST
    got = (await account.ask("GetRole", RoleName="DEPLOY"))["Role"]
    assert (got["Description"], got["MaxSessionDuration"], got["Tags"]) == ("d", 7200, [{"Key": "team", "Value": "edge"}])
    assert got["RoleLastUsed"] == {}
    await account.ask("UpdateRole", RoleName="deploy", MaxSessionDuration=3600)
    got = (await account.ask("GetRole", RoleName="deploy"))["Role"]
    assert (got["Description"], got["MaxSessionDuration"]) == ("d", 3600)
    assert (await account.ask("UpdateRoleDescription", RoleName="deploy", Description="e"))["Role"]["Description"] == "e"
    await role(account, "other")
    assert [one["RoleName"] for one in (await account.ask("ListRoles", PathPrefix="/ops/"))["Roles"]] == ["deploy"]
    said = await refused(EntityAlreadyExists, account, "CreateRole", RoleName="Deploy", AssumeRolePolicyDocument=json.dumps(TRUST))
    assert said == "Role with name Deploy already exists."
    assert await refused(NoSuchEntity, account, "GetRole", RoleName="none") == "The role with name none cannot be found."


async def test_a_trust_policy_is_replaced_and_found_by_the_roles_arn(account: Account) -> None:
    made = await role(account)
    await account.ask("UpdateAssumeRolePolicy", RoleName="deploy", PolicyDocument=trusting(Principal={"AWS": ACCOUNT}))
    (trust,) = trust_policies(account.store, made["Arn"])
    principals = trust.statements[0].principals
    assert principals is not None and principals.accounts == {ACCOUNT}
    assert trust_policies(account.store, made["Arn"] + "x") == ()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{", "This policy contains invalid Json"),
        (DOCUMENT, "Missing required field Principal"),
        (trusting(Resource="*"), "Has prohibited field Resource"),
        (trusting(NotResource="*"), "Has prohibited field NotResource"),
        (trusting(Action="ecs:RunTask"), "AssumeRole policy may only specify STS AssumeRole actions."),
        (trusting(Action="*"), "AssumeRole policy may only specify STS AssumeRole actions."),
        (trusting(Action=["sts:AssumeRole", "sts:GetSessionToken"]), "AssumeRole policy may only specify STS AssumeRole actions."),
        (
            json.dumps({**TRUST, "Statement": {"Effect": "Allow", "Principal": "*", "NotAction": "sts:TagSession"}}),
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
        (
            json.dumps({**TRUST, "Statement": {"Effect": "Allow", "NotPrincipal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}}),
            "Allow with NotPrincipal is not supported in the trust policy of a role.",
        ),
        (trusting(Principal={"AWS": "ann"}), "Invalid principal in policy"),
    ],
)
async def test_what_is_no_trust_policy_is_refused(account: Account, document: str, words: str) -> None:
    said = await refused(MalformedPolicyDocument, account, "CreateRole", RoleName="r", AssumeRolePolicyDocument=document)
    assert re.fullmatch(re.escape(words) + r" \(line 1, column [0-9]+( at Statement.*)?\)", said)
    await role(account)
    assert await refused(MalformedPolicyDocument, account, "UpdateAssumeRolePolicy", RoleName="deploy", PolicyDocument=document) == said


async def test_a_trust_policy_has_its_quota(account: Account) -> None:
    long = json.dumps({**TRUST, "Id": "x" * 2048})
    said = await refused(LimitExceeded, account, "CreateRole", RoleName="r", AssumeRolePolicyDocument=long)
    assert said == "Cannot exceed quota for ACLSizePerRole: 2048"


async def test_a_role_holds_policies_as_users_do_and_is_deleted_without_them(account: Account) -> None:
    made = await role(account)
    await account.ask("PutRolePolicy", RoleName="deploy", PolicyName="run", PolicyDocument=DOCUMENT)
    await account.ask("AttachRolePolicy", RoleName="deploy", PolicyArn=ADMINISTRATOR)
    assert decoded((await account.ask("GetRolePolicy", RoleName="deploy", PolicyName="run"))["PolicyDocument"]) == POLICY
    assert (await account.ask("ListRolePolicies", RoleName="deploy"))["PolicyNames"] == ["run"]
    entities = await account.ask("ListEntitiesForPolicy", PolicyArn=ADMINISTRATOR)
    assert entities["PolicyRoles"] == [{"RoleName": "deploy", "RoleId": made["RoleId"]}]
    said = "Cannot delete entity, must "
    assert await refused(DeleteConflict, account, "DeleteRole", RoleName="deploy") == said + "detach all policies first."
    await account.ask("DetachRolePolicy", RoleName="deploy", PolicyArn=ADMINISTRATOR)
    assert await refused(DeleteConflict, account, "DeleteRole", RoleName="deploy") == said + "delete policies first."
    await account.ask("DeleteRolePolicy", RoleName="deploy", PolicyName="run")
    await account.ask("DeleteRole", RoleName="deploy")
    assert (await account.ask("ListRoles"))["Roles"] == []


async def test_paths_of_services_are_theirs(account: Account) -> None:
    path = "/aws-service-role/ecs.amazonaws.com/"
    await refused(InvalidInput, account, "CreateRole", RoleName="r", Path=path, AssumeRolePolicyDocument=json.dumps(TRUST))


async def test_roles_of_another_account_are_not_there(account: Account) -> None:
    await role(account)
    other = Account(account.store, "111111111111")
    assert (await other.ask("ListRoles"))["Roles"] == []
    for operation in ("GetRole", "DeleteRole", "ListRolePolicies"):
        await refused(NoSuchEntity, other, operation, RoleName="deploy")


# ── instance profiles ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_instance_profile_holds_one_role_and_keeps_it_from_being_deleted(account: Account) -> None:
    await role(account)
    made = (await account.ask("CreateInstanceProfile", InstanceProfileName="machines"))["InstanceProfile"]
    assert made["InstanceProfileId"].startswith("AIPA") and made["Roles"] == []
    await account.ask("AddRoleToInstanceProfile", InstanceProfileName="machines", RoleName="deploy")
    said = await refused(LimitExceeded, account, "AddRoleToInstanceProfile", InstanceProfileName="machines", RoleName="deploy")
    assert said == "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"
    (of_role,) = (await account.ask("ListInstanceProfilesForRole", RoleName="deploy"))["InstanceProfiles"]
    assert [one["RoleName"] for one in of_role["Roles"]] == ["deploy"]
    said = "Cannot delete entity, must remove roles from instance profile first."
    assert await refused(DeleteConflict, account, "DeleteRole", RoleName="deploy") == said
    assert await refused(DeleteConflict, account, "DeleteInstanceProfile", InstanceProfileName="machines") == said
    await account.ask("RemoveRoleFromInstanceProfile", InstanceProfileName="machines", RoleName="deploy")
    await refused(NoSuchEntity, account, "RemoveRoleFromInstanceProfile", InstanceProfileName="machines", RoleName="deploy")
    await account.ask("DeleteInstanceProfile", InstanceProfileName="machines")
    assert (await account.ask("ListInstanceProfiles"))["InstanceProfiles"] == []
    said = "Instance Profile machines cannot be found."
    assert await refused(NoSuchEntity, account, "GetInstanceProfile", InstanceProfileName="machines") == said


# ── boundaries ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_boundary_bounds_what_a_user_may(account: Account) -> None:
    ann = await user(account)
    await account.ask("AttachUserPolicy", UserName="ann", PolicyArn=ADMINISTRATOR)
    await account.ask("CreatePolicy", PolicyName="Run", Path="/ops/", PolicyDocument=DOCUMENT)
    await account.ask("PutUserPermissionsBoundary", UserName="ann", PermissionsBoundary=POLICY_ARN)
    assert account.may(ann, "ecs:RunTask") and not account.may(ann, "ecr:PutImage")
    boundary = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": POLICY_ARN}
    assert (await account.ask("GetUser", UserName="ann"))["User"]["PermissionsBoundary"] == boundary
    assert entity_conditions(account.store, ann["Arn"])["iam:permissionsboundary"] == [POLICY_ARN]
    shown = (await account.ask("GetPolicy", PolicyArn=POLICY_ARN))["Policy"]
    assert (shown["AttachmentCount"], shown["PermissionsBoundaryUsageCount"]) == (0, 1)
    usage = {"PolicyArn": POLICY_ARN, "PolicyUsageFilter": "PermissionsBoundary"}
    assert [one["UserName"] for one in (await account.ask("ListEntitiesForPolicy", **usage))["PolicyUsers"]] == ["ann"]
    assert [one["Arn"] for one in (await account.ask("ListPolicies", PolicyUsageFilter="PermissionsBoundary"))["Policies"]] == [POLICY_ARN]
    said = "Cannot delete a policy that is used as a permissions boundary."
    assert await refused(DeleteConflict, account, "DeletePolicy", PolicyArn=POLICY_ARN) == said
    await account.ask("DeleteUserPermissionsBoundary", UserName="ann")
    assert account.may(ann, "ecr:PutImage")
    await refused(NoSuchEntity, account, "DeleteUserPermissionsBoundary", UserName="ann")


async def test_who_is_created_within_a_boundary_has_it_from_the_start(account: Account) -> None:
    missing = f"arn:aws:iam::{ACCOUNT}:policy/none"
    said = f"Policy {missing} does not exist or is not attachable."
    assert await refused(NoSuchEntity, account, "CreateUser", UserName="ann", PermissionsBoundary=missing) == said
    made = await user(account, PermissionsBoundary=ADMINISTRATOR)
    assert made["PermissionsBoundary"]["PermissionsBoundaryArn"] == ADMINISTRATOR
    made = await role(account, PermissionsBoundary=ADMINISTRATOR)
    assert made["PermissionsBoundary"]["PermissionsBoundaryArn"] == ADMINISTRATOR
    await account.ask("DeleteRolePermissionsBoundary", RoleName="deploy")
    await account.ask("PutRolePermissionsBoundary", RoleName="deploy", PermissionsBoundary=ADMINISTRATOR)
    assert (await account.ask("GetPolicy", PolicyArn=ADMINISTRATOR))["Policy"]["PermissionsBoundaryUsageCount"] == 2
    declared = account.conditions("CreateUser", UserName="bob", PermissionsBoundary=ADMINISTRATOR, Tags=[{"Key": "Team", "Value": "x"}])
    assert declared == {"iam:permissionsboundary": [ADMINISTRATOR], "aws:requesttag/team": ["x"], "aws:tagkeys": ["Team"]}


# ── roles of services ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_service_linked_role_is_the_services_own(account: Account) -> None:
    made = (await account.ask("CreateServiceLinkedRole", AWSServiceName="ecs.amazonaws.com"))["Role"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"
    (attached,) = (await account.ask("ListAttachedRolePolicies", RoleName="AWSServiceRoleForECS"))["AttachedPolicies"]
    assert attached["PolicyArn"] == "arn:aws:iam::aws:policy/aws-service-role/AmazonECSServiceRolePolicy"
    taken = "Service role name AWSServiceRoleForECS has been taken in this account, please try a different suffix."
    assert await refused(InvalidInput, account, "CreateServiceLinkedRole", AWSServiceName="ecs.amazonaws.com") == taken
    named = {"RoleName": "AWSServiceRoleForECS"}
    for operation, more in (
        ("DeleteRole", {}),
        ("UpdateRole", {}),
        ("UpdateAssumeRolePolicy", {"PolicyDocument": json.dumps(TRUST)}),
        ("PutRolePolicy", {"PolicyName": "p", "PolicyDocument": DOCUMENT}),
        ("AttachRolePolicy", {"PolicyArn": ADMINISTRATOR}),
        ("DetachRolePolicy", {"PolicyArn": attached["PolicyArn"]}),
    ):
        await refused(UnmodifiableEntity, account, operation, **named, **more)
    task = (await account.ask("DeleteServiceLinkedRole", **named))["DeletionTaskId"]
    assert task.startswith("task/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS/")
    assert (await account.ask("GetServiceLinkedRoleDeletionStatus", DeletionTaskId=task))["Status"] == "SUCCEEDED"
    assert account.resources("GetServiceLinkedRoleDeletionStatus", DeletionTaskId=task) == [made["Arn"]]
    await refused(NoSuchEntity, account, "GetRole", **named)
    await refused(NoSuchEntity, Account(account.store, "111111111111"), "GetServiceLinkedRoleDeletionStatus", DeletionTaskId=task)


async def test_suffixes_and_services_that_are_not_known_are_refused(account: Account) -> None:
    await refused(InvalidInput, account, "CreateServiceLinkedRole", AWSServiceName="mars.amazonaws.com")
    await refused(InvalidInput, account, "CreateServiceLinkedRole", AWSServiceName="ecs.amazonaws.com", CustomSuffix="x")
    made = await account.ask("CreateServiceLinkedRole", AWSServiceName="autoscaling.amazonaws.com", CustomSuffix="x")
    assert made["Role"]["RoleName"] == "AWSServiceRoleForAutoScaling_x"
    await role(account)
    await refused(InvalidInput, account, "DeleteServiceLinkedRole", RoleName="deploy")
