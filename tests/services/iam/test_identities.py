"""What the gateway learns from IAM: whose key it is, which policies count, and how a refusal is said."""

from __future__ import annotations

import json

import msgspec
import pytest

from longshore.services.call import Principal
from longshore.services.iam import aws_managed
from longshore.services.iam.evaluator import decide
from longshore.services.iam.identities import (
    KeyUses,
    Policies,
    access_denied_message,
    ensure_root,
    find_credentials,
    global_context,
    root_principal,
)
from longshore.services.iam.model import ACCESS_KEY_USES, ACCESS_KEYS, Attachment, InlinePolicy
from longshore.services.iam.policy import compile_policy
from tests.services.iam.test_operations import DOCUMENT
from tests.services.iam.wire import ACCOUNT, Account

ANN = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/ann", "AIDAEXAMPLE", "AKIAEXAMPLE")


@pytest.fixture
async def account() -> Account:
    return Account()


async def test_the_roots_key_is_made_once_and_found(account: Account) -> None:
    for _ in range(2):
        await account.store.transact(lambda tx: ensure_root(tx, ACCOUNT, "AKIAROOT", "secret", 1.0))
    found = find_credentials(account.store, "AKIAROOT")
    assert found is not None
    assert found.secret.secret_access_key == "secret"
    assert found.principal == root_principal(ACCOUNT, "AKIAROOT") and found.principal.is_root
    revision = account.store.revision
    await account.store.transact(lambda tx: ensure_root(tx, ACCOUNT, "AKIAROOT", "secret", 2.0))
    assert account.store.revision == revision
    await account.store.transact(lambda tx: ensure_root(tx, ACCOUNT, "AKIAROOT", "another", 3.0))
    found = find_credentials(account.store, "AKIAROOT")
    assert found is not None and found.secret.secret_access_key == "another"


async def test_only_active_keys_are_found(account: Account) -> None:
    user = (await account.ask("CreateUser", UserName="ann"))["User"]
    key = (await account.ask("CreateAccessKey", UserName="ann"))["AccessKey"]
    found = find_credentials(account.store, key["AccessKeyId"])
    assert found is not None and found.secret.secret_access_key == key["SecretAccessKey"]
    assert found.principal == Principal(ACCOUNT, user["Arn"], user["UserId"], key["AccessKeyId"])
    await account.ask("UpdateAccessKey", UserName="ann", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert find_credentials(account.store, key["AccessKeyId"]) is None
    assert find_credentials(account.store, "AKIANOBODYNOBODYNOBO") is None
    kept = account.store.get(ACCESS_KEYS, key["AccessKeyId"])
    assert key["SecretAccessKey"] not in repr(kept) and key["SecretAccessKey"] not in repr(found)


async def test_policies_follow_every_change(account: Account) -> None:
    user = (await account.ask("CreateUser", UserName="ann"))["User"]
    principal = Principal(ACCOUNT, user["Arn"], user["UserId"], "AKIAEXAMPLE")
    policies = Policies(account.store)
    assert policies.of(principal) == ()
    await account.ask("PutUserPolicy", UserName="ann", PolicyName="run", PolicyDocument=DOCUMENT)
    (inline,) = policies.of(principal)
    assert policies.of(principal) == (inline,)
    await account.ask("AttachUserPolicy", UserName="ann", PolicyArn="arn:aws:iam::aws:policy/IAMFullAccess")
    assert len(policies.of(principal)) == 2
    await account.ask("DeleteUserPolicy", UserName="ann", PolicyName="run")
    assert len(policies.of(principal)) == 1
    assert policies.of(root_principal(ACCOUNT, "AKIAROOT")) == ()


async def test_a_keys_use_is_written_once_a_minute(account: Account) -> None:
    await account.ask("CreateUser", UserName="ann")
    key = (await account.ask("CreateAccessKey", UserName="ann"))["AccessKey"]["AccessKeyId"]
    uses = KeyUses(account.store)
    start = account.clock.now()
    assert uses.note(key, start, "ecs", "eu-west-1")
    await uses.write(start)
    last = (await account.ask("GetAccessKeyLastUsed", AccessKeyId=key))["AccessKeyLastUsed"]
    assert (last["ServiceName"], last["Region"], last["LastUsedDate"].timestamp()) == ("ecs", "eu-west-1", start)
    assert not uses.note(key, start + 59, "ecr", "eu-west-1")
    await uses.write(start + 59)
    kept = account.store.get(ACCESS_KEY_USES, key)
    assert kept is not None and kept.service == "ecs"
    assert uses.note(key, start + 60, "ecr", "eu-west-1")
    await uses.write(start + 60)
    kept = account.store.get(ACCESS_KEY_USES, key)
    assert kept is not None and kept.service == "ecr"


async def test_a_deleted_keys_use_is_not_written(account: Account) -> None:
    uses = KeyUses(account.store)
    uses.note("AKIANOBODYNOBODYNOBO", 100.0, "ecs", "eu-west-1")
    await uses.write(100.0)
    assert account.store.list(ACCESS_KEY_USES) == []


def test_a_refusal_is_said_in_awss_words() -> None:
    assert access_denied_message(ANN, "ecs:CreateCluster", "arn:aws:ecs:us-east-1:0:cluster/x", explicit=False) == (
        f"User: {ANN.arn} is not authorized to perform: ecs:CreateCluster on resource: arn:aws:ecs:us-east-1:0:cluster/x "
        "because no identity-based policy allows the ecs:CreateCluster action"
    )
    assert access_denied_message(ANN, "ecs:RunTask", "*", explicit=True).endswith("with an explicit deny in an identity-based policy")
    assert access_denied_message(ANN, "ecs:RunTask", "*", explicit=True, side="resource").endswith(
        "with an explicit deny in a resource-based policy"
    )


def test_every_request_has_the_global_condition_keys() -> None:
    context = global_context(ANN, now=1_772_323_200.0, region="eu-west-1", source_ip="127.0.0.1", secure=False, user_agent="aws-cli")
    assert context["aws:username"] == ["ann"] and context["aws:currenttime"] == ["2026-03-01T00:00:00Z"]
    root = global_context(
        root_principal(ACCOUNT, "AKIAROOT"), now=0.0, region="eu-west-1", source_ip="127.0.0.1", secure=True, user_agent=""
    )
    assert "aws:username" not in root and root["aws:principaltype"] == ["Account"]


def test_what_was_written_before_there_were_groups_and_roles_is_read() -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:user/ann"
    inline = msgspec.json.decode(json.dumps({"user_arn": arn, "name": "p", "document": "{}"}), type=InlinePolicy)
    attached = msgspec.json.decode(json.dumps({"policy_arn": "p", "user_arn": arn, "account_id": ACCOUNT}), type=Attachment)
    assert inline.owner_arn == attached.owner_arn == arn
    assert msgspec.json.decode(msgspec.json.encode(inline), type=InlinePolicy) == inline


def test_awss_policies_are_sound() -> None:
    assert len({policy.policy_id for policy in aws_managed.POLICIES.values()}) == len(aws_managed.POLICIES)
    for arn, policy in aws_managed.POLICIES.items():
        assert policy.arn == arn and len(policy.policy_id) == 21
        compile_policy(aws_managed.DOCUMENTS[arn])


def test_full_access_to_ecs_hands_roles_to_tasks_and_to_no_other_service() -> None:
    policy = compile_policy(aws_managed.DOCUMENTS["arn:aws:iam::aws:policy/AmazonECS_FullAccess"])
    for service, may in (("ecs-tasks.amazonaws.com", True), ("ec2.amazonaws.com", False), ("lambda.amazonaws.com", False)):
        role = f"arn:aws:iam::{ACCOUNT}:role/any"
        assert decide([policy], [], "iam:PassRole", role, {"iam:PassedToService": [service]}, ANN).allowed is may
    instances = f"arn:aws:iam::{ACCOUNT}:role/ecsInstanceRole"
    assert decide([policy], [], "iam:PassRole", instances, {"iam:PassedToService": ["ec2.amazonaws.com"]}, ANN).allowed
    assert decide([policy], [], "ecs:CreateService", "*", {}, ANN).allowed
