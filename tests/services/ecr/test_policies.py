"""Policies of repositories and registries: which documents stand, what is kept of them, and what they say to whom."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from longshore.services.call import Principal
from longshore.services.ecr.access.model import REPOSITORY_POLICIES
from longshore.services.ecr.access.resource_policies import resource_conditions, resource_policies
from longshore.services.ecr.settings.model import ACCOUNT_SETTINGS, AccountSetting
from longshore.services.iam.evaluator import decide
from longshore.services.iam.identities import root_principal
from longshore.services.iam.model import INLINE_POLICIES, USERS, InlinePolicy, User
from tests.services.ecr.conftest import ACCOUNT, ALICE, REGION, Ecr

OTHER = "111111111111"
ARN = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/web"
ROOT = root_principal(ACCOUNT, "AKIAROOT")
BOB = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/bob", "AIDABOBBOBBOBBOBBOBBO", "AKIABOB")
INVALID = "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid {} policy provided'"


def statement(**members: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": "ecr:BatchGetImage", **members}


def document(*statements: Mapping[str, Any], **members: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **members})


PULL = document(statement())
REGISTRY = document(statement(Action="ecr:ReplicateImage", Resource=f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/*"))


@pytest.fixture
async def ecr(ecr: Ecr) -> Ecr:
    """Asked by the root, with a repository `web` there, and a user bob."""
    asked = replace(ecr, call=replace(ecr.call, principal=ROOT))
    await asked("CreateRepository", repositoryName="web")
    await ecr.call.store.transact(lambda tx: tx.put(USERS, User(ACCOUNT, "bob", BOB.user_id, 0.0)))
    return asked


def may(ecr: Ecr, principal: Principal, action: str = "ecr:BatchGetImage", arn: str = ARN) -> bool:
    """What the resource's own policies let `principal` do, who has no others."""
    return decide((), resource_policies(ecr.call.store, arn), action, arn, {}, principal).allowed


# ── set, shown, taken away ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_repositorys_policy_is_shown_as_it_was_given(ecr: Ecr) -> None:
    there = {"registryId": ACCOUNT, "repositoryName": "web"}
    text = PULL.replace(" ", "  ")
    missing = f"Repository policy does not exist for the repository with name 'web' in the registry with id '{ACCOUNT}'"
    for operation in ("GetRepositoryPolicy", "DeleteRepositoryPolicy"):
        assert await ecr.refused(operation, repositoryName="web") == ("RepositoryPolicyNotFoundException", missing)
    assert await ecr("SetRepositoryPolicy", repositoryName="web", policyText=text) == there | {"policyText": text}
    assert await ecr("GetRepositoryPolicy", repositoryName="web", registryId=ACCOUNT) == there | {"policyText": text}
    assert await ecr("SetRepositoryPolicy", repositoryName="web", policyText=PULL) == there | {"policyText": PULL}
    assert await ecr("DeleteRepositoryPolicy", repositoryName="web") == there | {"policyText": PULL}
    assert (await ecr.refused("GetRepositoryPolicy", repositoryName="web"))[0] == "RepositoryPolicyNotFoundException"


async def test_a_registrys_policy_is_one_per_region(ecr: Ecr) -> None:
    missing = f"Registry policy does not exist in the registry with id '{ACCOUNT}'"
    for operation in ("GetRegistryPolicy", "DeleteRegistryPolicy"):
        assert await ecr.refused(operation) == ("RegistryPolicyNotFoundException", missing)
    assert await ecr("PutRegistryPolicy", policyText=REGISTRY) == {"registryId": ACCOUNT, "policyText": REGISTRY}
    assert await ecr("GetRegistryPolicy") == {"registryId": ACCOUNT, "policyText": REGISTRY}
    assert (await ecr.in_region("eu-west-1").refused("GetRegistryPolicy"))[0] == "RegistryPolicyNotFoundException"
    assert await ecr("DeleteRegistryPolicy") == {"registryId": ACCOUNT, "policyText": REGISTRY}
    assert (await ecr.refused("GetRegistryPolicy"))[0] == "RegistryPolicyNotFoundException"


async def test_a_repository_takes_its_policy_along(ecr: Ecr) -> None:
    await ecr("SetRepositoryPolicy", repositoryName="web", policyText=PULL)
    await ecr("DeleteRepository", repositoryName="web")
    assert ecr.call.store.list(REPOSITORY_POLICIES) == []
    assert (await ecr.refused("GetRepositoryPolicy", repositoryName="web"))[0] == "RepositoryNotFoundException"
    await ecr("CreateRepository", repositoryName="web")
    assert (await ecr.refused("GetRepositoryPolicy", repositoryName="web"))[0] == "RepositoryPolicyNotFoundException"


@pytest.mark.parametrize("operation", ["SetRepositoryPolicy", "GetRepositoryPolicy", "DeleteRepositoryPolicy"])
async def test_a_repository_that_is_not_there_has_none(ecr: Ecr, operation: str) -> None:
    members = {"policyText": PULL} if operation.startswith("Set") else {}
    assert await ecr.refused(operation, repositoryName="none", **members) == (
        "RepositoryNotFoundException",
        f"The repository with name 'none' does not exist in the registry with id '{ACCOUNT}'",
    )


# ── which documents stand ───────────────────────────────────────────────────────────────────────────────────────────

GOOD = (
    statement(),
    statement(Principal="*"),
    statement(Principal={"AWS": "*"}),
    statement(Principal={"AWS": [OTHER, f"arn:aws:iam::{OTHER}:root", f"arn:aws:iam::{OTHER}:role/path/to/deploy"]}),
    statement(Principal={"AWS": f"arn:aws:sts::{OTHER}:assumed-role/deploy/session"}),
    statement(Principal={"AWS": "AIDACKCEVSQ6C2EXAMPLE"}),
    statement(Principal={"Service": "codebuild.amazonaws.com"}),
    statement(Action=["ecr:*", "ECR:batchGetImage"]),
    statement(Action="*"),
    {"Effect": "Deny", "NotPrincipal": {"AWS": OTHER}, "NotAction": "ecr:GetRepositoryPolicy"},
    statement(Sid="new statement", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
)
BAD = (
    statement(Effect="allow"),
    statement(Action="s3:GetObject"),
    statement(Action=["ecr:BatchGetImage", "iam:*"]),
    statement(Action="BatchGetImage"),
    statement(Action=[]),
    statement(Principal={"AWS": "bob"}),
    statement(Principal={"AWS": f"arn:aws:iam::{OTHER}:*"}),
    statement(Principal={"AWS": f"arn:aws:iam::{OTHER}:user/*"}),
    statement(Principal={"AWS": f"arn:aws:iam::{OTHER}:policy/p"}),
    statement(Principal={"AWS": "arn:aws:iam::1:root"}),
    statement(Principal={"AWS": f"arn:gnu:iam::{OTHER}:root"}),
    statement(Principal={}),
    statement(Principal={"Person": "bob"}),
    statement(Condition={"Resembles": {"aws:SourceIp": "10.0.0.0/8"}}),
    statement(Condition={"IpAddress": {"aws:SourceIp": "here"}}),
    statement(Else=1),
    {key: value for key, value in statement().items() if key != "Principal"},
)


@pytest.mark.parametrize("good", GOOD, ids=str)
async def test_a_good_statement_stands_in_both_kinds_of_policy(ecr: Ecr, good: dict[str, Any]) -> None:
    await ecr("SetRepositoryPolicy", repositoryName="web", policyText=document(good), force=True)
    await ecr("PutRegistryPolicy", policyText=document({**good, "Resource": "*"}))


def check_invalid(refused: tuple[str, str], whose: str) -> None:
    """In ECR's words, and where the grammar of policies is broken with the place."""
    code, said = refused
    words = INVALID.format(whose)
    assert code == "InvalidParameterException" and said.startswith(words)
    assert re.fullmatch(r"(: .+ \(line 1, column [0-9]+( at [^ ].*)?\))?", said.removeprefix(words)), said


@pytest.mark.parametrize("bad", BAD, ids=str)
async def test_a_bad_statement_stands_in_neither(ecr: Ecr, bad: dict[str, Any]) -> None:
    revision = ecr.call.store.revision
    refused = await ecr.refused("SetRepositoryPolicy", repositoryName="web", policyText=document(statement(), bad), force=True)
    check_invalid(refused, "repository")
    check_invalid(await ecr.refused("PutRegistryPolicy", policyText=document({**bad, "Resource": "*"})), "registry")
    assert ecr.call.store.revision == revision


NO_POLICIES = (
    *("", "{}", "[]", "null", "1", '"x"', "{", PULL + "}", "[" * 5000, '{"Statement": ' * 500 + "1" + "}" * 500),
    *(document(), document(statement(), Extra=1), document(statement(), Version="2013-01-01"), '{"Statement": [1, null]}'),
    document(statement(Sid="a"), statement(Sid="a")),
)
SETTING: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("SetRepositoryPolicy", {"repositoryName": "web"}, "repository"),
    ("PutRegistryPolicy", {}, "registry"),
)


@pytest.mark.parametrize("text", NO_POLICIES, ids=lambda text: text[:40])
async def test_what_is_no_policy_is_refused(ecr: Ecr, text: str) -> None:
    for operation, members, whose in SETTING:
        check_invalid(await ecr.refused(operation, policyText=text, **members), whose)


async def test_a_policy_that_is_none_is_refused_with_the_place(ecr: Ecr) -> None:
    text = '{"Version": "2012-10-17",\n "Statement": [{"Effect": "Allow", "Principal": "*", "Action": ["ecr:*", "ecr"]}]}'
    code, said = await ecr.refused("SetRepositoryPolicy", repositoryName="web", policyText=text)
    assert code == "InvalidParameterException" and said.endswith("etc. (line 2, column 74 at Statement[0].Action[1])")


async def test_only_a_registrys_policy_names_resources_and_it_must(ecr: Ecr) -> None:
    for resource in ({"Resource": "*"}, {"NotResource": ARN}):
        refused = await ecr.refused("SetRepositoryPolicy", repositoryName="web", policyText=document(statement(**resource)))
        assert refused == ("InvalidParameterException", INVALID.format("repository"))
    assert await ecr.refused("PutRegistryPolicy", policyText=PULL) == ("InvalidParameterException", INVALID.format("registry"))


async def test_a_policy_has_at_most_10240_characters(ecr: Ecr) -> None:
    longest = PULL + " " * (10_240 - len(PULL))
    await ecr("SetRepositoryPolicy", repositoryName="web", policyText=longest)
    for operation, members, _ in SETTING:
        code, _ = await ecr.refused(operation, policyText=longest + " ", **members)
        assert code in ("InvalidParameterException", "ValidationException")


async def test_an_old_version_has_no_variables(ecr: Ecr) -> None:
    mine = statement(Principal="*", Condition={"StringEquals": {"aws:username": "${aws:username}"}})
    for version, allowed in (("2012-10-17", True), ("2008-10-17", False)):
        await ecr("SetRepositoryPolicy", repositoryName="web", policyText=document(mine, Version=version))
        policies = resource_policies(ecr.call.store, ARN)
        assert decide((), policies, "ecr:BatchGetImage", ARN, {"aws:username": ["bob"]}, BOB).allowed is allowed


# ── whom they speak of ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_user_is_meant_and_not_whoever_bears_the_name_next(ecr: Ecr) -> None:
    await ecr("SetRepositoryPolicy", repositoryName="web", policyText=document(statement(Principal={"AWS": [OTHER, BOB.arn]})))
    assert may(ecr, BOB)
    assert may(ecr, replace(BOB, arn=f"arn:aws:iam::{ACCOUNT}:user/robert")), "the same, renamed"
    assert not may(ecr, replace(BOB, user_id="AIDANEWNEWNEWNEWNEWNE")), "another of that name"
    assert (await ecr("GetRepositoryPolicy", repositoryName="web"))["policyText"].count(BOB.arn) == 1


async def test_who_is_not_known_here_is_meant_by_name(ecr: Ecr) -> None:
    await ecr("SetRepositoryPolicy", repositoryName="web", policyText=document(statement(Principal={"AWS": ALICE.arn})))
    assert may(ecr, ALICE)
    assert not may(ecr, BOB)


async def test_a_user_can_be_named_by_id_and_exempted(ecr: Ecr) -> None:
    await ecr("SetRepositoryPolicy", repositoryName="web", policyText=document(statement(Principal={"AWS": BOB.user_id})))
    assert (may(ecr, BOB), may(ecr, ALICE)) == (True, False)
    but = [statement(Principal="*"), {"Effect": "Deny", "NotPrincipal": {"AWS": [BOB.arn, f"arn:aws:iam::{ACCOUNT}:root"]}, "Action": "*"}]
    await ecr("SetRepositoryPolicy", repositoryName="web", policyText=document(*but))
    assert may(ecr, BOB)


async def test_both_policies_are_heard_and_each_for_what_is_its_own(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="other")
    await ecr("SetRepositoryPolicy", repositoryName="web", policyText=document(statement(Principal={"AWS": BOB.arn})))
    of_all = statement(Principal={"AWS": BOB.arn}, Action="ecr:ListImages", Resource=f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/o*")
    await ecr("PutRegistryPolicy", policyText=document(of_all))
    other = ARN.replace("web", "other")
    assert [may(ecr, BOB, f"ecr:{action}", arn) for action in ("BatchGetImage", "ListImages") for arn in (ARN, other)] == [
        *(True, False),
        *(False, True),
    ]
    elsewhere = other.replace(REGION, "eu-west-1")
    assert not may(ecr, BOB, "ecr:ListImages", elsewhere)
    assert resource_policies(ecr.call.store, elsewhere) == ()


@pytest.mark.parametrize("arn", ["*", "", "web", ARN.replace("ecr", "ecs"), ARN.replace("aws", "aws-cn"), f"{ARN}x", "arn:aws:ecr"])
async def test_what_is_no_resource_of_ecr_here_has_no_policy(ecr: Ecr, arn: str) -> None:
    await ecr("SetRepositoryPolicy", repositoryName="web", policyText=PULL)
    assert resource_policies(ecr.call.store, arn) == ()
    assert resource_conditions(ecr.call.store, arn) == {}


async def test_tags_are_what_conditions_ask_about(ecr: Ecr) -> None:
    assert resource_conditions(ecr.call.store, ARN) == {}
    await ecr("TagResource", resourceArn=ARN, tags=[{"Key": "team", "Value": "web"}])
    assert resource_conditions(ecr.call.store, ARN) == {"aws:ResourceTag/team": ["web"], "ecr:ResourceTag/team": ["web"]}


async def test_the_narrow_scope_hears_a_registrys_policy_about_three_actions_only(ecr: Ecr) -> None:
    actions = ("ecr:BatchGetImage", "ecr:ReplicateImage", "ecr:CreateRepository", "ecr:BatchImportUpstreamImage", "ecr:DeleteRepository")
    everything = statement(Principal={"AWS": BOB.arn}, Action="ecr:*", Resource="*")
    but_pulls = {**everything, "Effect": "Deny", "Action": ["ecr:Batch*"]}
    await ecr("PutRegistryPolicy", policyText=document(everything, but_pulls))
    wide = [may(ecr, BOB, action) for action in actions]
    await ecr.call.store.transact(lambda tx: tx.put(ACCOUNT_SETTINGS, AccountSetting(REGION, ACCOUNT, "REGISTRY_POLICY_SCOPE", "V1")))
    narrow = [may(ecr, BOB, action) for action in actions]
    assert wide == [False, True, True, False, True]
    assert narrow == [False, True, True, False, False]


# ── nobody locks themselves out by mistake ──────────────────────────────────────────────────────────────────────────

LOCKED = document(statement(), {"Effect": "Deny", "Principal": "*", "Action": "ecr:*"})


async def test_a_policy_that_locks_the_caller_out_needs_force(ecr: Ecr) -> None:
    await ecr("SetRepositoryPolicy", repositoryName="web", policyText=PULL)
    code, message = await ecr.refused("SetRepositoryPolicy", repositoryName="web", policyText=LOCKED)
    assert code == "InvalidParameterException"
    assert "prevent you from setting another policy" in message
    assert (await ecr("GetRepositoryPolicy", repositoryName="web"))["policyText"] == PULL
    await ecr("SetRepositoryPolicy", repositoryName="web", policyText=LOCKED, force=True)
    assert (await ecr("GetRepositoryPolicy", repositoryName="web"))["policyText"] == LOCKED


async def test_who_may_only_by_the_policy_must_keep_themselves_in_it(ecr: Ecr) -> None:
    by_bob = replace(ecr, call=replace(ecr.call, principal=BOB))
    in_it = document(statement(Principal={"AWS": BOB.arn}, Action="ecr:SetRepositoryPolicy"))
    assert (await by_bob.refused("SetRepositoryPolicy", repositoryName="web", policyText=PULL))[0] == "InvalidParameterException"
    await by_bob("SetRepositoryPolicy", repositoryName="web", policyText=in_it)
    own = InlinePolicy(BOB.arn, "own", document({"Effect": "Allow", "Action": "ecr:SetRepositoryPolicy", "Resource": ARN}))
    await ecr.call.store.transact(lambda tx: tx.put(INLINE_POLICIES, own))
    await by_bob("SetRepositoryPolicy", repositoryName="web", policyText=PULL)


@pytest.mark.parametrize(
    ("condition", "locks_out"),
    [
        ({"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, False),
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, True),
        ({"Bool": {"aws:SecureTransport": "false"}}, True),
        ({"StringEquals": {"aws:ResourceTag/team": "web"}}, True),
        ({"StringEquals": {"aws:PrincipalAccount": OTHER}}, False),
    ],
    ids=str,
)
async def test_a_lock_out_is_seen_with_the_callers_own_circumstances(ecr: Ecr, condition: dict[str, Any], locks_out: bool) -> None:
    await ecr("TagResource", resourceArn=ARN, tags=[{"Key": "team", "Value": "web"}])
    text = document({"Effect": "Deny", "Principal": "*", "Action": "ecr:Set*", "Condition": condition})
    if locks_out:
        assert (await ecr.refused("SetRepositoryPolicy", repositoryName="web", policyText=text))[0] == "InvalidParameterException"
    else:
        await ecr("SetRepositoryPolicy", repositoryName="web", policyText=text)
