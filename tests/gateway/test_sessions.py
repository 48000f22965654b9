"""Sessions at the gateway and at the registry's door: what their credentials open, what limits them, and what ends them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hashlib import sha512
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import boto3
import pytest
from yarl import URL

from longshore.aws.canonical import Claim, canonical_query, canonical_request, signature_of, string_to_sign
from longshore.aws.sigv4 import EMPTY_SHA256
from longshore.gateway.identify import Identities
from longshore.gateway.request import MOST_BODY, MOST_LAYER_PART, ApiRequest, most_body
from longshore.registry.access import Origin
from longshore.registry.errors import Denied, Unauthorized
from longshore.services.call import Site
from longshore.services.iam.model import ACCESS_KEY_USES
from tests.gateway.place import EVERYTHING, ROLE, Place, allow, document, furnished, keys_of, login, trust
from tests.sweeps.installation import OWNER, REGION, ROOT, STRANGER, STRANGERS_ROOT, Answer, Installation, Keys, read


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with furnished() as place:
        yield place


# ── roles ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_session_has_the_roles_rights_and_not_those_of_who_took_it_on(place: Place) -> None:
    await place.done("iam", "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=document({**EVERYTHING, "Action": "ec2:*"}))
    session = await place.assume()
    assert await place.may(session) and not await place.may(session, "ec2", "DescribeVpcs")
    assert await place.may(place.ann, "ec2", "DescribeVpcs") and not await place.may(place.ann)
    me = await place.done("sts", "GetCallerIdentity", session)
    role_id = (await place.done("iam", "GetRole", RoleName="deploy"))["Role"]["RoleId"]
    assert me["Arn"] == f"arn:aws:sts::{OWNER}:assumed-role/deploy/work"
    assert (me["UserId"], me["Account"]) == (f"{role_id}:work", OWNER)
    refused = await place.ask("ec2", "DescribeVpcs", session)
    assert f"User: {me['Arn']} is not authorized to perform: ec2:DescribeVpcs" in refused.message


async def test_only_whom_the_trust_policy_names_takes_a_role_on(place: Place) -> None:
    await place.done("iam", "CreateUser", UserName="bob")
    made = (await place.done("iam", "CreateAccessKey", UserName="bob"))["AccessKey"]
    bob = Keys(made["AccessKeyId"], made["SecretAccessKey"])
    await place.done("iam", "PutUserPolicy", UserName="bob", PolicyName="p", PolicyDocument=document(EVERYTHING))
    asked = {"RoleArn": ROLE, "RoleSessionName": "work"}
    said = f"is not authorized to perform: sts:AssumeRole on resource: {ROLE} because no role trust policy allows the sts:AssumeRole action"
    assert said in await place.refusal("AssumeRole", bob, **asked)
    assert said in await place.refusal("AssumeRole", ROOT, **asked), "not the account's root either"
    await place.done("iam", "UpdateAssumeRolePolicy", RoleName="deploy", PolicyDocument=trust({"AWS": OWNER}))
    assert await place.may(await place.assume(bob))
    assert "no identity-based policy" in await place.refusal("AssumeRole", place.ann, **asked), "the account decides for its users"
    for role in (f"{ROLE}x", ROLE.replace(OWNER, STRANGER), f"arn:aws:iam::{OWNER}:user/ann"):
        assert "AccessDenied" in await place.refusal("AssumeRole", bob, **asked | {"RoleArn": role})
    assert "is invalid" in await place.refusal("AssumeRole", bob, **asked | {"RoleArn": "not-an-arn-but-long-enough"})


async def test_who_is_made_again_under_a_trusted_name_is_not_trusted(place: Place) -> None:
    await place.done("iam", "UpdateUser", UserName="ann", NewUserName="anna")
    assert await place.may(await place.assume()), "who is renamed is the same"
    await place.done("iam", "UpdateUser", UserName="anna", NewUserName="ann")
    await place.done("iam", "DeleteAccessKey", UserName="ann", AccessKeyId=place.ann.access_key_id)
    await place.done("iam", "DeleteUser", UserName="ann")
    await place.done("iam", "CreateUser", UserName="ann")
    made = (await place.done("iam", "CreateAccessKey", UserName="ann"))["AccessKey"]
    place.ann = Keys(made["AccessKeyId"], made["SecretAccessKey"])
    assert "no role trust policy" in await place.refusal("AssumeRole", RoleArn=ROLE, RoleSessionName="work")
    nobody = trust({"AWS": f"arn:aws:iam::{OWNER}:role/none"})
    answer = await place.ask("iam", "UpdateAssumeRolePolicy", RoleName="deploy", PolicyDocument=nobody)
    assert answer.message == f'Invalid principal in policy: "AWS":"arn:aws:iam::{OWNER}:role/none"'


async def test_another_account_takes_a_role_on_when_both_sides_allow_it(place: Place) -> None:
    asked = {"RoleArn": ROLE, "RoleSessionName": "work", "ExternalId": "42"}
    before = await place.refusal("AssumeRole", STRANGERS_ROOT, **asked)
    only_42 = {"Condition": {"StringEquals": {"sts:ExternalId": "42"}}}
    await place.done("iam", "UpdateAssumeRolePolicy", RoleName="deploy", PolicyDocument=trust({"AWS": STRANGER}, **only_42))
    session = await place.assume(STRANGERS_ROOT, ExternalId="42")
    assert (await place.done("sts", "GetCallerIdentity", session))["Account"] == OWNER
    assert await place.may(session)
    assert await place.refusal("AssumeRole", STRANGERS_ROOT, **asked | {"ExternalId": "43"}) == before, "as if there were no such role"
    del asked["ExternalId"]
    assert await place.refusal("AssumeRole", STRANGERS_ROOT, **asked) == before
    missing = await place.refusal("AssumeRole", STRANGERS_ROOT, **asked | {"RoleArn": f"{ROLE}x"})
    assert missing == before.replace(ROLE, f"{ROLE}x")


async def test_a_session_policy_takes_away_and_gives_nothing(place: Place) -> None:
    listing = document({"Effect": "Allow", "Action": ["ecs:List*", "ec2:*"], "Resource": "*"})
    session = await place.assume(Policy=listing)
    assert await place.may(session) and not await place.may(session, operation="CreateCluster", clusterName="x")
    assert not await place.may(session, "ec2", "DescribeVpcs")
    assert await place.may(await place.assume(), operation="CreateCluster", clusterName="x"), "other sessions of the name are not limited"
    refused = await place.ask("ecs", "CreateCluster", session, clusterName="y")
    assert "because no session policy allows the ecs:CreateCluster action" in refused.message
    by_arn = await place.assume(PolicyArns=[{"arn": "arn:aws:iam::aws:policy/AmazonEC2FullAccess"}])
    assert not await place.may(by_arn)
    both = await place.assume(Policy=listing, PolicyArns=[{"arn": "arn:aws:iam::aws:policy/AmazonEC2FullAccess"}])
    assert await place.may(both), "together they allow what one of them does"


async def test_a_boundary_bounds_a_roles_sessions_from_the_moment_it_is_put(place: Place) -> None:
    session = await place.assume()
    made = await place.done("iam", "CreatePolicy", PolicyName="b", PolicyDocument=document({**EVERYTHING, "Action": "ec2:*"}))
    await place.done("iam", "PutRolePermissionsBoundary", RoleName="deploy", PermissionsBoundary=made["Policy"]["Arn"])
    refused = await place.ask("ecs", "ListClusters", session)
    assert "because no permissions boundary allows the ecs:ListClusters action" in refused.message
    await place.done("iam", "DeleteRolePermissionsBoundary", RoleName="deploy")
    assert await place.may(session)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"Policy": "{}"}, "MalformedPolicyDocument: Syntax errors in policy."),
        ({"Policy": document(EVERYTHING) + " " * 2048}, "ValidationError: Member must have length less than or equal to 2048: policy"),
        ({"PolicyArns": [{"arn": f"arn:aws:iam::{OWNER}:policy/none"}]}, "NoSuchEntity"),
        ({"DurationSeconds": 7201}, "ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role."),
        ({"SerialNumber": f"arn:aws:iam::{OWNER}:mfa/ann", "TokenCode": "123456"}, "AccessDenied: MultiFactorAuthentication failed"),
        ({"Tags": [{"Key": "a", "Value": ""}, {"Key": "A", "Value": ""}]}, "InvalidInput: Duplicate tag keys found."),
        ({"TransitiveTagKeys": ["a"]}, "ValidationError: The transitive tag key a is not among"),
        ({"Tags": [{"Key": f"{n}" * 60, "Value": sha512(bytes([n])).hexdigest()} for n in range(10, 60)]}, "PackedPolicyTooLarge: "),
    ],
)
async def test_what_no_session_can_have_is_refused(place: Place, more: dict[str, Any], words: str) -> None:
    assert (await place.refusal("AssumeRole", RoleArn=ROLE, RoleSessionName="work", **more)).startswith(words)


async def test_roles_taken_on_from_roles_last_an_hour_and_keep_tags_and_identity(place: Place) -> None:
    next_role = ROLE.replace("deploy", "next")
    trusted = trust({"AWS": ROLE}, "sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
    await place.done("iam", "CreateRole", RoleName="next", AssumeRolePolicyDocument=trusted, MaxSessionDuration=7200)
    on_team = {"Condition": {"StringEquals": {"aws:PrincipalTag/team": "core", "aws:SourceIdentity": "ann"}}}
    await allow(place, {"Effect": "Allow", "Action": "ecs:*", "Resource": "*", **on_team}, role="next")
    first = await place.assume(
        Tags=[{"Key": "Team", "Value": "core"}], TransitiveTagKeys=["Team"], SourceIdentity="ann", DurationSeconds=7200
    )
    asked = {"RoleArn": next_role, "RoleSessionName": "work"}
    said = "ValidationError: The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
    assert await place.refusal("AssumeRole", first, **asked, DurationSeconds=3601) == said
    assert "is transitive" in await place.refusal("AssumeRole", first, **asked, Tags=[{"Key": "team", "Value": "other"}])
    assert "cannot be changed" in await place.refusal("AssumeRole", first, **asked, SourceIdentity="bob")
    assert await place.may(await place.assume(first, next_role))
    plain = await place.assume()
    assert not await place.may(await place.assume(plain, next_role)), "without the tag"


async def test_a_sessions_tags_stand_above_the_roles_and_policies_see_them(place: Place) -> None:
    own = {"Effect": "Allow", "Action": "ecs:CreateCluster", "Resource": "arn:aws:ecs:*:*:cluster/${aws:PrincipalTag/team}-*"}
    staged = {
        "Effect": "Allow",
        "Action": "ecs:ListClusters",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:PrincipalTag/stage": "test"}},
    }
    await allow(place, own, staged)
    session = await place.assume(Tags=[{"Key": "Team", "Value": "core"}])
    assert await place.may(session, operation="CreateCluster", clusterName="core-1")
    assert not await place.may(session, operation="CreateCluster", clusterName="none-1")
    assert await place.may(session), "the role's own tags count, too"
    untrusted = trust({"AWS": f"arn:aws:iam::{OWNER}:user/ann"})
    await place.done("iam", "UpdateAssumeRolePolicy", RoleName="deploy", PolicyDocument=untrusted)
    asked = {"RoleArn": ROLE, "RoleSessionName": "work"}
    assert "sts:TagSession" in await place.refusal("AssumeRole", **asked, Tags=[{"Key": "a", "Value": "b"}])
    assert "sts:SetSourceIdentity" in await place.refusal("AssumeRole", **asked, SourceIdentity="ann")


async def test_resource_policies_name_roles_and_sessions(place: Place) -> None:
    await place.done("ecr", "CreateRepository", repositoryName="web")
    session = await place.assume()
    asked = {"api": "ecr", "operation": "ListImages", "repositoryName": "web"}
    assert not await place.may(session, **asked)
    for principal in (ROLE, f"arn:aws:sts::{OWNER}:assumed-role/deploy/work"):
        policy = document({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "ecr:ListImages"})
        await place.done("ecr", "SetRepositoryPolicy", repositoryName="web", policyText=policy)
        assert await place.may(session, **asked)
    other = keys_of(await place.done("sts", "AssumeRole", place.ann, RoleArn=ROLE, RoleSessionName="another"))
    assert not await place.may(other, **asked)
    policy = document({"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "ecr:ListImages"})
    await place.done("ecr", "SetRepositoryPolicy", repositoryName="web", policyText=policy)
    assert await place.may(other, **asked)
    await place.done("iam", "DeleteRolePolicy", RoleName="deploy", PolicyName="own")
    await place.done("iam", "DeleteRole", RoleName="deploy")
    again = trust({"AWS": f"arn:aws:iam::{OWNER}:user/ann"})
    await place.done("iam", "CreateRole", RoleName="deploy", AssumeRolePolicyDocument=again)
    assert not await place.may(await place.assume(), **asked), "another role of the same name"


# ── users' own sessions ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_users_session_is_the_user_and_ends_with_the_key_it_was_begun_with(place: Place) -> None:
    await place.done("iam", "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=document({**EVERYTHING, "Action": "ecs:*"}))
    given = await place.done("sts", "GetSessionToken", place.ann)
    session = keys_of(given)
    assert given["Credentials"]["Expiration"].timestamp() == place.there.clock.now() + 12 * 3600
    assert await place.may(session)
    assert await place.done("sts", "GetCallerIdentity", session) | {"ResponseMetadata": None} == await place.done(
        "sts", "GetCallerIdentity", place.ann
    ) | {"ResponseMetadata": None}
    assert "session credentials" in await place.refusal("GetSessionToken", session)
    inactive = {"UserName": "ann", "AccessKeyId": place.ann.access_key_id}
    await place.done("iam", "UpdateAccessKey", **inactive, Status="Inactive")
    assert (await place.ask("ecs", "ListClusters", session)).code == "UnrecognizedClientException"
    await place.done("iam", "UpdateAccessKey", **inactive, Status="Active")
    assert await place.may(session)
    await place.done("iam", "DeleteAccessKey", **inactive)
    assert (await place.ask("ecs", "ListClusters", session)).code == "UnrecognizedClientException"


async def test_the_roots_session_lasts_an_hour_at_most(place: Place) -> None:
    given = await place.done("sts", "GetSessionToken", ROOT, DurationSeconds=7200)
    assert given["Credentials"]["Expiration"].timestamp() == place.there.clock.now() + 3600
    assert await place.may(keys_of(given))


async def test_the_account_of_a_key_is_no_secret(place: Place) -> None:
    session = await place.assume()
    await allow(place, EVERYTHING)
    for keys in (session, ROOT, STRANGERS_ROOT):
        for key in (session.access_key_id, place.ann.access_key_id):
            assert (await place.done("sts", "GetAccessKeyInfo", keys, AccessKeyId=key))["Account"] == OWNER
    for key in ("AKIANOBODYNOBODYNOBO", "ASIAQNOT01BASENOT89B", "ASIAAAAAAAAAAAAAAAAA"):
        assert (await place.refusal("GetAccessKeyInfo", STRANGERS_ROOT, AccessKeyId=key)).startswith("ValidationError")


# ── what ends a session ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_session_expires(place: Place) -> None:
    session = await place.assume(DurationSeconds=900)
    await place.there.clock.step(899)
    assert await place.may(session)
    await place.there.clock.step(1)
    assert (await place.ask("ecs", "ListClusters", session)).code == "ExpiredTokenException"
    assert (await place.ask("sts", "GetCallerIdentity", session)).code == "ExpiredToken"


async def test_a_role_deleted_and_made_again_leaves_its_sessions_behind(place: Place) -> None:
    session = await place.assume()
    await place.done("iam", "DeleteRolePolicy", RoleName="deploy", PolicyName="own")
    await place.done("iam", "DeleteRole", RoleName="deploy")
    assert (await place.ask("ecs", "ListClusters", session)).code == "UnrecognizedClientException"
    await place.done("iam", "CreateRole", RoleName="deploy", AssumeRolePolicyDocument=trust({"AWS": OWNER}))
    await allow(place, EVERYTHING)
    assert (await place.ask("ecs", "ListClusters", session)).code == "UnrecognizedClientException"


async def test_sessions_older_than_a_moment_are_revoked_by_their_age(place: Place) -> None:
    old = await place.assume()
    await place.there.clock.step(10)
    moment = place.there.clock.now()
    older = {"DateLessThan": {"aws:TokenIssueTime": str(int(moment))}}
    await place.done(
        "iam",
        "PutRolePolicy",
        RoleName="deploy",
        PolicyName="AWSRevokeOlderSessions",
        PolicyDocument=document({"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": older}),
    )
    assert not await place.may(old)
    await place.there.clock.step(1)
    assert await place.may(await place.assume())


# ── what comes with a request ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_token_opens_only_with_its_own_key_and_whole(place: Place) -> None:
    session, other = await place.assume(), await place.assume()
    assert session.token is not None
    middle = len(session.token) // 2
    changed = session.token[:middle] + ("A" if session.token[middle] != "A" else "B") + session.token[middle + 1 :]
    for keys in (
        Keys(session.access_key_id, session.secret),
        Keys(session.access_key_id, session.secret, other.token),
        Keys(session.access_key_id, session.secret, changed),
        Keys(session.access_key_id, session.secret, "LSt1"),
        Keys(session.access_key_id, session.secret, "x" * 5000),
        Keys(place.ann.access_key_id, place.ann.secret, session.token),
    ):
        assert (await place.ask("sts", "GetCallerIdentity", keys)).code == "InvalidClientTokenId"
    wrong = Keys(session.access_key_id, place.ann.secret, session.token)
    assert (await place.ask("sts", "GetCallerIdentity", wrong)).code == "SignatureDoesNotMatch"
    assert session.secret not in session.token and OWNER not in session.token


def presigned(keys: Keys, host: str, timestamp: str, token: str | None) -> str:
    """The query of a presigned GetCallerIdentity."""
    scope = f"{timestamp[:8]}/{REGION}/sts/aws4_request"
    given = {
        "Action": "GetCallerIdentity",
        "Version": "2011-06-15",
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{keys.access_key_id}/{scope}",
        "X-Amz-Date": timestamp,
        "X-Amz-Expires": "60",
        "X-Amz-SignedHeaders": "host",
    }
    if token is not None:
        given["X-Amz-Security-Token"] = token
    query = urlencode(given, quote_via=quote)
    claim = Claim(keys.access_key_id, timestamp[:8], REGION, "sts", scope, ("host",))
    canonical = canonical_request("GET", "/", canonical_query(query), {"host": host}, claim, EMPTY_SHA256)
    return f"{query}&X-Amz-Signature={signature_of(string_to_sign(canonical, timestamp, claim), claim, keys.secret)}"


async def test_a_presigned_request_brings_its_token_along(place: Place) -> None:
    session, host = await place.assume(), "127.0.0.1:4566"
    timestamp = datetime.fromtimestamp(place.there.clock.now(), UTC).strftime("%Y%m%dT%H%M%SZ")

    async def ask(token: str | None) -> Answer:
        query = presigned(session, host, timestamp, token)
        request = ApiRequest("GET", "/", query, (("Host", host),), {"host": host}, b"", "127.0.0.1", False)
        reply = await place.there.gateway.answer(request)
        return read("sts", "GetCallerIdentity", reply.status, dict(reply.headers), reply.body)

    answer = await ask(session.token)
    assert answer.status == 200 and answer.parsed["Arn"].endswith(":assumed-role/deploy/work")
    assert (await ask(None)).code == "InvalidClientTokenId"


async def test_the_use_of_a_role_is_noted_and_no_sessions_key_is(place: Place) -> None:
    session = await place.assume()
    await place.done("ecs", "ListClusters", session)
    used = (await place.done("iam", "GetRole", RoleName="deploy"))["Role"]["RoleLastUsed"]
    assert used["Region"] == REGION and used["LastUsedDate"].timestamp() == place.there.clock.now()
    assert not any(use.access_key_id.startswith("ASIA") for use in place.there.store.list(ACCESS_KEY_USES))


async def test_a_session_may_send_large_parts_of_layers(place: Place) -> None:
    session = await place.assume()
    owner = place.there.gateway._is_key
    headers = {"X-Amz-Target": "X.UploadLayerPart", "Authorization": f"AWS4-HMAC-SHA256 Credential={session.access_key_id}/x"}
    assert most_body(headers, owner) == MOST_BODY
    assert most_body({**headers, "X-Amz-Security-Token": session.token or ""}, owner) == MOST_LAYER_PART


# ── docker ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_docker_logs_in_as_a_session_and_is_out_when_it_ends(place: Place) -> None:
    await allow(place, {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"})
    session = await place.assume()
    header, ends = await login(place, session)
    assert ends == place.there.clock.now() + 3600
    door = place.door()
    principal = door.identify(header, "http", "127.0.0.1:4566")
    assert principal.arn == f"arn:aws:sts::{OWNER}:assumed-role/deploy/work" and principal.role_arn == ROLE
    assert door.remembered == 1
    repository = door.repository("127.0.0.1:4566", "web")
    origin = Origin("127.0.0.1", False)
    assert door.refusal(principal, repository, "BatchGetImage", origin) is None
    limited = await place.assume(Policy=document({"Effect": "Allow", "Action": "ecr:Get*", "Resource": "*"}))
    limited_header, _ = await login(place, limited)
    within = door.identify(limited_header, "http", "127.0.0.1:4566")
    assert "because no session policy allows" in (door.refusal(within, repository, "BatchGetImage", origin) or "")
    await place.done("iam", "DeleteRolePolicy", RoleName="deploy", PolicyName="own")
    assert door.refusal(principal, repository, "BatchGetImage", origin) is not None, "at once"
    await place.done("iam", "DeleteRole", RoleName="deploy")
    with pytest.raises(Unauthorized):
        door.identify(header, "http", "127.0.0.1:4566")


async def test_dockers_password_does_not_outlive_the_session_it_was_made_in(place: Place) -> None:
    await allow(place, {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"})
    header, _ = await login(place, await place.assume(DurationSeconds=900))
    door = place.door()
    door.identify(header, "http", "127.0.0.1:4566")
    await place.there.clock.step(900)
    with pytest.raises(Denied):
        door.identify(header, "http", "127.0.0.1:4566")


# ── conditions that come with roles ──────────────────────────────────────────────────────────────────────────────────


async def test_a_role_is_handed_over_only_to_the_service_that_a_policy_names(place: Place) -> None:
    task = {"family": "web", "taskRoleArn": ROLE, "containerDefinitions": [{"name": "app", "image": "busybox", "memory": 64}]}
    register = {"Effect": "Allow", "Action": "ecs:RegisterTaskDefinition", "Resource": "*"}
    for service, may in (("ec2.amazonaws.com", False), ("ecs-tasks.amazonaws.com", True)):
        passing = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": ROLE}
        passing["Condition"] = {"StringEquals": {"iam:PassedToService": service}}
        await place.done("iam", "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=document(register, passing))
        assert await place.may(place.ann, "ecs", "RegisterTaskDefinition", **task) is may
    await place.done("iam", "CreateInstanceProfile", InstanceProfileName="machines")
    passing["Condition"] = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    adding = {"Effect": "Allow", "Action": "iam:AddRoleToInstanceProfile", "Resource": "*"}
    await place.done("iam", "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=document(adding, passing))
    assert await place.may(place.ann, "iam", "AddRoleToInstanceProfile", InstanceProfileName="machines", RoleName="deploy")


async def test_tags_and_accounts_of_what_is_asked_for_can_be_compared(place: Place) -> None:
    own = {"StringEquals": {"aws:ResourceAccount": OWNER, "iam:ResourceTag/Stage": "test"}}
    await allow(place, {"Effect": "Allow", "Action": "iam:GetRole", "Resource": "*", "Condition": own})
    session = await place.assume()
    assert await place.may(session, "iam", "GetRole", RoleName="deploy")
    await place.done("iam", "UntagRole", RoleName="deploy", TagKeys=["stage"])
    assert not await place.may(session, "iam", "GetRole", RoleName="deploy")


async def test_a_session_goes_on_after_a_restart_and_nowhere_else(place: Place) -> None:
    session = await place.assume()
    again = Installation(place.there.store, place.there.blobs, place.there.clock)
    assert (await again.ask("sts", "GetCallerIdentity", {}, session)).status == 200
    site = Site(OWNER, REGION, (), "http://127.0.0.1:4566", 4566)
    assert session.token is not None
    for secret in (b"another".ljust(32), None):
        assert Identities(place.there.store, place.there.clock, site, secret).owner(session.token) is None


# ── with the SDK ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_boto3_works_with_a_session_in_headers_and_presigned(place: Place) -> None:
    def client(service: str, keys: Keys, port: int) -> Any:
        return boto3.client(
            service,
            REGION,
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret,
            aws_session_token=keys.token,
        )

    def work(port: int) -> tuple[str, str]:
        given = client("sts", place.ann, port).assume_role(RoleArn=ROLE, RoleSessionName="boto3")
        session = keys_of(given)
        assert client("ecs", session, port).list_clusters()["clusterArns"] == []
        sts = client("sts", session, port)
        return sts.get_caller_identity()["Arn"], sts.generate_presigned_url("get_caller_identity", HttpMethod="GET")

    # the SDK signs by the machine's clock
    await place.there.clock.step(max(0.0, time.time() - place.there.clock.now()))
    async with place.there.over_http():
        arn, url = await asyncio.to_thread(work, place.there.port)
        assert arn == f"arn:aws:sts::{OWNER}:assumed-role/deploy/boto3"
        assert "X-Amz-Security-Token=" in url
        async with aiohttp.ClientSession() as http, http.get(URL(url, encoded=True)) as answer:
            assert answer.status == 200 and arn in await answer.text()


async def test_a_token_is_as_long_as_is_asked_for_at_least(place: Place) -> None:
    plain = await place.done("sts", "GetSessionToken", place.ann)
    for wanted in (0, 1, plain["SessionTokenSize"] + 1, 1000, 4096):
        for operation, more in (
            ("GetSessionToken", {}),
            ("AssumeRole", {"RoleArn": ROLE, "RoleSessionName": "work"}),
        ):
            given = await place.done("sts", operation, place.ann, MinimumSessionTokenSize=wanted, **more)
            size = len(given["Credentials"]["SessionToken"])
            assert wanted <= size == given["SessionTokenSize"] <= max(1.1 * wanted, 3 * plain["SessionTokenSize"])
            assert 0 < given["SessionTokenUtilization"] <= 100
            assert (await place.ask("sts", "GetCallerIdentity", keys_of(given))).status == 200
