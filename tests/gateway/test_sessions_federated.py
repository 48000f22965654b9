"""Federated users: what both the user who let them in and the policies passed allow, under another name, and little of IAM and STS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.gateway.place import EVERYTHING, Place, document, furnished, keys_of
from tests.sweeps.installation import OWNER, ROOT, Keys

GUEST = f"arn:aws:sts::{OWNER}:federated-user/guest"
#: what ann may
ANNS = ({"Effect": "Allow", "Action": ["ecs:*", "ecr:*", "sts:*"], "Resource": "*"},)
LISTING = document({"Effect": "Allow", "Action": ["ecs:List*", "ec2:*"], "Resource": "*"})


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with furnished() as place:
        await place.done("iam", "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=document(*ANNS))
        yield place


async def guest(place: Place, keys: Keys | None = None, **more: Any) -> Keys:
    return keys_of(await place.done("sts", "GetFederationToken", keys or place.ann, Name="guest", **more))


async def test_a_federated_user_has_a_name_of_its_own(place: Place) -> None:
    given = await place.done("sts", "GetFederationToken", place.ann, Name="guest", Policy=LISTING)
    assert given["FederatedUser"] == {"FederatedUserId": f"{OWNER}:guest", "Arn": GUEST}
    assert given["Credentials"]["Expiration"].timestamp() == place.there.clock.now() + 12 * 3600
    assert given["PackedPolicySize"] > 0
    me = await place.done("sts", "GetCallerIdentity", keys_of(given))
    assert (me["Arn"], me["UserId"], me["Account"]) == (GUEST, f"{OWNER}:guest", OWNER)


async def test_only_what_the_user_and_the_policies_passed_both_allow_is_allowed(place: Place) -> None:
    session = await guest(place, Policy=LISTING)
    assert await place.may(session)
    assert not await place.may(session, operation="CreateCluster", clusterName="x"), "the policy does not allow it"
    assert not await place.may(session, "ec2", "DescribeVpcs"), "ann may not"
    by_arn = await guest(place, PolicyArns=[{"arn": "arn:aws:iam::aws:policy/AmazonECS_FullAccess"}])
    assert await place.may(by_arn, operation="CreateCluster", clusterName="x")
    await place.done("iam", "DeleteUserPolicy", UserName="ann", PolicyName="p")
    assert not await place.may(session), "at once"


async def test_without_policies_it_may_what_resources_open_to_its_name(place: Place) -> None:
    await place.done("ecr", "CreateRepository", repositoryName="web")
    session, asked = await guest(place), {"api": "ecr", "operation": "ListImages", "repositoryName": "web"}
    assert not await place.may(session) and not await place.may(session, **asked)
    for principal, may in ((f"arn:aws:iam::{OWNER}:user/ann", False), ("*", False), (GUEST, True)):
        policy = document({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "ecr:ListImages"})
        await place.done("ecr", "SetRepositoryPolicy", repositoryName="web", policyText=policy)
        assert await place.may(session, **asked) is may, principal


async def test_it_calls_no_iam_and_of_sts_only_who_it_is(place: Place) -> None:
    await place.done("iam", "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=document(EVERYTHING))
    session = await guest(place, Policy=document(EVERYTHING))
    assert (await place.ask("iam", "ListUsers", session)).code == "InvalidClientTokenId"
    asked = {"RoleArn": f"arn:aws:iam::{OWNER}:role/deploy", "RoleSessionName": "work"}
    for operation, more in (("AssumeRole", asked), ("GetSessionToken", {}), ("GetFederationToken", {"Name": "x2"})):
        assert f"Cannot call {operation} with federation credentials" in await place.refusal(operation, session, **more)


async def test_the_user_needs_leave_for_the_name_and_for_tags(place: Place) -> None:
    own = {"Effect": "Allow", "Action": "sts:GetFederationToken", "Resource": f"arn:aws:sts::{OWNER}:federated-user/guest*"}
    await place.done("iam", "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=document(own))
    await guest(place)
    assert "sts:GetFederationToken" in await place.refusal("GetFederationToken", Name="boss")
    tags = [{"Key": "team", "Value": "core"}]
    assert "sts:TagSession" in await place.refusal("GetFederationToken", Name="guest", Tags=tags)


async def test_its_tags_stand_above_the_users(place: Place) -> None:
    own = {"Effect": "Allow", "Action": "ecs:CreateCluster", "Resource": "arn:aws:ecs:*:*:cluster/${aws:PrincipalTag/team}-*"}
    await place.done(
        "iam", "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=document(own, {**EVERYTHING, "Action": "sts:*"})
    )
    for tags, may, may_not in ((None, "edge-1", "core-1"), ([{"Key": "Team", "Value": "core"}], "core-2", "edge-2")):
        session = await guest(place, Policy=document(EVERYTHING), **({"Tags": tags} if tags else {}))
        assert await place.may(session, operation="CreateCluster", clusterName=may)
        assert not await place.may(session, operation="CreateCluster", clusterName=may_not)


async def test_a_boundary_of_the_user_bounds_it(place: Place) -> None:
    session = await guest(place, Policy=LISTING)
    made = await place.done("iam", "CreatePolicy", PolicyName="b", PolicyDocument=document({**EVERYTHING, "Action": "ec2:*"}))
    await place.done("iam", "PutUserPermissionsBoundary", UserName="ann", PermissionsBoundary=made["Policy"]["Arn"])
    refused = await place.ask("ecs", "ListClusters", session)
    assert f"User: {GUEST} is not authorized" in refused.message and "permissions boundary" in refused.message


async def test_whom_the_root_lets_in_may_what_was_passed_for_an_hour(place: Place) -> None:
    given = await place.done("sts", "GetFederationToken", ROOT, Name="guest", Policy=LISTING, DurationSeconds=7200)
    assert given["Credentials"]["Expiration"].timestamp() == place.there.clock.now() + 3600
    session = keys_of(given)
    assert await place.may(session) and await place.may(session, "ec2", "DescribeVpcs")
    assert not await place.may(session, operation="CreateCluster", clusterName="x")
    assert not await place.may(await guest(place, ROOT)), "nothing was passed"


async def test_conditions_know_what_it_is(place: Place) -> None:
    for key, value in (
        ("aws:PrincipalType", "FederatedUser"),
        ("aws:PrincipalArn", GUEST),
        ("aws:userid", f"{OWNER}:guest"),
    ):
        own = {"Effect": "Allow", "Action": "ecs:ListClusters", "Resource": "*", "Condition": {"StringEquals": {key: value}}}
        await place.done(
            "iam", "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=document(own, {**EVERYTHING, "Action": "sts:*"})
        )
        assert await place.may(await guest(place, Policy=LISTING)), key
        assert not await place.may(place.ann), key


async def test_it_ends_with_the_key_that_let_it_in_and_with_the_user(place: Place) -> None:
    session = await guest(place, Policy=LISTING)
    key = {"UserName": "ann", "AccessKeyId": place.ann.access_key_id}
    await place.done("iam", "UpdateAccessKey", **key, Status="Inactive")
    assert (await place.ask("sts", "GetCallerIdentity", session)).code == "InvalidClientTokenId"
    await place.done("iam", "UpdateAccessKey", **key, Status="Active")
    assert await place.may(session)
    await place.done("iam", "DeleteAccessKey", **key)
    assert (await place.ask("sts", "GetCallerIdentity", session)).code == "InvalidClientTokenId"
