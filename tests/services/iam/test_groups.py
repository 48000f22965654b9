"""Groups: who is in them may what they may."""

from __future__ import annotations

import json
from typing import Any

import pytest

from longshore.services.iam.errors import DeleteConflict, EntityAlreadyExists, LimitExceeded, NoSuchEntity
from tests.services.iam.test_operations import ADMINISTRATOR, DOCUMENT, POLICY, decoded, refused, user
from tests.services.iam.wire import ACCOUNT, Account


@pytest.fixture
async def account() -> Account:
    return Account()


async def group(account: Account, name: str = "staff", **parameters: Any) -> dict[str, Any]:
    made: dict[str, Any] = (await account.ask("CreateGroup", GroupName=name, **parameters))["Group"]
    return made


async def test_a_group_is_created_renamed_and_listed_under_its_path(account: Account) -> None:
    made = await group(account, Path="/team/")
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:group/team/staff"
    assert made["GroupId"].startswith("AGPA") and len(made["GroupId"]) == 21
    await group(account, "others")
    assert await refused(EntityAlreadyExists, account, "CreateGroup", GroupName="Staff") == "Group with name Staff already exists."
    assert [one["GroupName"] for one in (await account.ask("ListGroups", PathPrefix="/team/"))["Groups"]] == ["staff"]
    assert account.resources("UpdateGroup", GroupName="staff", NewGroupName="crew") == [made["Arn"], made["Arn"][:-5] + "crew"]
    await account.ask("UpdateGroup", GroupName="staff", NewGroupName="crew", NewPath="/")
    assert (await account.ask("GetGroup", GroupName="crew"))["Group"]["GroupId"] == made["GroupId"]
    await refused(EntityAlreadyExists, account, "UpdateGroup", GroupName="crew", NewGroupName="others")
    said = "The group with name staff cannot be found."
    for operation in ("GetGroup", "DeleteGroup", "ListGroupPolicies", "ListAttachedGroupPolicies"):
        assert await refused(NoSuchEntity, account, operation, GroupName="staff") == said


async def test_who_is_in_a_group_may_what_it_may_and_only_as_long(account: Account) -> None:
    ann = await user(account)
    await group(account)
    await account.ask("PutGroupPolicy", GroupName="staff", PolicyName="run", PolicyDocument=DOCUMENT)
    assert not account.may(ann, "ecs:RunTask")
    for _ in range(2):
        await account.ask("AddUserToGroup", GroupName="staff", UserName="ann")
    assert account.may(ann, "ecs:RunTask") and not account.may(ann, "ecr:PutImage")
    await account.ask("AttachGroupPolicy", GroupName="staff", PolicyArn=ADMINISTRATOR)
    assert account.may(ann, "ecr:PutImage")
    assert [one["UserName"] for one in (await account.ask("GetGroup", GroupName="staff"))["Users"]] == ["ann"]
    assert [one["GroupName"] for one in (await account.ask("ListGroupsForUser", UserName="ann"))["Groups"]] == ["staff"]
    await account.ask("RemoveUserFromGroup", GroupName="staff", UserName="ann")
    assert not account.may(ann, "ecs:RunTask") and not account.may(ann, "ecr:PutImage")


async def test_a_deny_of_a_group_binds_who_may_by_themselves(account: Account) -> None:
    ann = await user(account)
    await account.ask("AttachUserPolicy", UserName="ann", PolicyArn=ADMINISTRATOR)
    await group(account)
    deny = {**POLICY, "Statement": [{**POLICY["Statement"][0], "Effect": "Deny"}]}
    await account.ask("PutGroupPolicy", GroupName="staff", PolicyName="no", PolicyDocument=json.dumps(deny))
    await account.ask("AddUserToGroup", GroupName="staff", UserName="ann")
    assert not account.may(ann, "ecs:RunTask") and account.may(ann, "ecr:PutImage")


async def test_members_stay_when_they_or_the_group_are_renamed(account: Account) -> None:
    await user(account)
    await group(account)
    await account.ask("PutGroupPolicy", GroupName="staff", PolicyName="run", PolicyDocument=DOCUMENT)
    await account.ask("AddUserToGroup", GroupName="staff", UserName="ann")
    await account.ask("UpdateUser", UserName="ann", NewUserName="anna")
    await account.ask("UpdateGroup", GroupName="staff", NewGroupName="crew")
    assert [one["UserName"] for one in (await account.ask("GetGroup", GroupName="crew"))["Users"]] == ["anna"]
    anna = (await account.ask("GetUser", UserName="anna"))["User"]
    assert account.may(anna, "ecs:RunTask")
    got = await account.ask("GetGroupPolicy", GroupName="crew", PolicyName="run")
    assert (got["GroupName"], decoded(got["PolicyDocument"])) == ("crew", POLICY)


async def test_neither_a_member_nor_a_group_with_belongings_is_deleted(account: Account) -> None:
    await user(account)
    await group(account)
    await account.ask("AddUserToGroup", GroupName="staff", UserName="ann")
    said = "Cannot delete entity, must remove users from group first."
    assert await refused(DeleteConflict, account, "DeleteUser", UserName="ann") == said
    assert await refused(DeleteConflict, account, "DeleteGroup", GroupName="staff") == said
    await account.ask("RemoveUserFromGroup", GroupName="staff", UserName="ann")
    await account.ask("AttachGroupPolicy", GroupName="staff", PolicyArn=ADMINISTRATOR)
    entities = await account.ask("ListEntitiesForPolicy", PolicyArn=ADMINISTRATOR, EntityFilter="Group")
    assert [one["GroupName"] for one in entities["PolicyGroups"]] == ["staff"] and not entities["PolicyUsers"]
    await refused(DeleteConflict, account, "DeleteGroup", GroupName="staff")
    await account.ask("DetachGroupPolicy", GroupName="staff", PolicyArn=ADMINISTRATOR)
    await account.ask("DeleteGroup", GroupName="staff")
    await account.ask("DeleteUser", UserName="ann")


async def test_a_user_is_in_ten_groups_at_most(account: Account) -> None:
    await user(account)
    for number in range(11):
        await group(account, f"g{number}")
    for number in range(10):
        await account.ask("AddUserToGroup", GroupName=f"g{number}", UserName="ann")
    said = await refused(LimitExceeded, account, "AddUserToGroup", GroupName="g10", UserName="ann")
    assert said == "Cannot exceed quota for GroupsPerUser: 10"
    first = await account.ask("ListGroupsForUser", UserName="ann", MaxItems=6)
    rest = await account.ask("ListGroupsForUser", UserName="ann", MaxItems=6, Marker=first["Marker"])
    assert len(first["Groups"]) == 6 and len(rest["Groups"]) == 4 and not rest["IsTruncated"]
