"""Reports: on the credentials of an account, line by line, and on the services that people used of those they may."""

from __future__ import annotations

import base64
import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.aws.errors import AwsError
from longshore.control.reports.controller import Reports
from longshore.services.call import Principal
from longshore.services.iam.access_advisor import SERVICES, Held, granted, granted_by
from longshore.services.iam.credential_report import COLUMNS
from longshore.services.iam.devices import code_at, step_of
from longshore.services.iam.evaluator import decide
from longshore.services.iam.identities import KeyUses, ensure_root, used_identity
from longshore.services.iam.policy import compile_policy
from longshore.services.iam.reports import ACCESS_JOBS, CREDENTIAL_REPORT_S, CREDENTIAL_REPORTS, JOB_S
from longshore.services.iam.service_uses import SERVICE_USES
from tests.services.iam.wire import ACCOUNT, Account

ANN = f"arn:aws:iam::{ACCOUNT}:user/ann"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*"}


@pytest.fixture
async def account() -> Account:
    there = Account()
    await there.store.transact(lambda tx: ensure_root(tx, ACCOUNT, "AKIAROOTROOTROOTROOT", "secret", there.clock.now()))
    await there.ask("CreateUser", UserName="ann")
    return there


async def refused(account: Account, operation: str, **parameters: Any) -> tuple[str, int]:
    with pytest.raises(AwsError) as raised:
        await account.ask(operation, **parameters)
    return raised.value.wire("query")


async def make_reports(account: Account) -> None:
    """What the controller does when it is its turn."""
    reports = Reports(account.store, account.clock)
    for key in list(reports.keys()):
        await reports.reconcile(key)


def date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")


# ── credentials ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_report_is_begun_made_and_too_old_in_the_end(account: Account) -> None:
    assert await refused(account, "GetCredentialReport") == ("ReportNotPresent", 410)
    assert (await account.ask("GenerateCredentialReport"))["State"] == "STARTED"
    assert (await account.ask("GenerateCredentialReport"))["State"] == "INPROGRESS"
    assert await refused(account, "GetCredentialReport") == ("ReportInProgress", 404)
    await make_reports(account)
    assert (await account.ask("GenerateCredentialReport"))["State"] == "COMPLETE"
    got = await account.ask("GetCredentialReport")
    assert (got["ReportFormat"], got["GeneratedTime"].timestamp()) == ("text/csv", account.clock.now())
    await account.clock.step(CREDENTIAL_REPORT_S)
    assert await refused(account, "GetCredentialReport") == ("ReportExpired", 410)
    assert (await account.ask("GenerateCredentialReport"))["State"] == "STARTED"
    assert await refused(Account(account.store, "111111111111"), "GetCredentialReport") == ("ReportNotPresent", 410)


async def lines(account: Account) -> dict[str, dict[str, str]]:
    await account.store.transact(lambda tx: tx.delete(CREDENTIAL_REPORTS, ACCOUNT) if tx.get(CREDENTIAL_REPORTS, ACCOUNT) else None)
    await account.ask("GenerateCredentialReport")
    await make_reports(account)
    content = (await account.ask("GetCredentialReport"))["Content"].decode()
    read = csv.DictReader(io.StringIO(content))
    assert tuple(read.fieldnames or ()) == COLUMNS
    return {line["user"]: line for line in read}


async def test_a_report_says_what_there_is_of_everybody(account: Account) -> None:
    begun = account.clock.now()
    bare = (await lines(account))["ann"]
    assert (bare["arn"], bare["user_creation_time"]) == (ANN, date(begun))
    assert [bare[name] for name in COLUMNS[3:]] == [
        *("false", "N/A", "N/A", "N/A", "false"),
        *(("false", "N/A", "N/A", "N/A", "N/A") * 2),
        *("false", "N/A", "false", "N/A"),
    ]
    await account.ask("UpdateAccountPasswordPolicy", MaxPasswordAge=10)
    await account.ask("CreateLoginProfile", UserName="ann", Password="Harbour-at-dawn-1")
    key = (await account.ask("CreateAccessKey", UserName="ann"))["AccessKey"]["AccessKeyId"]
    uses = KeyUses(account.store)
    uses.note(key, begun + 5, "ecs", "us-east-1")
    await uses.write(begun + 5)
    await account.clock.step(60)
    await account.ask("UpdateAccessKey", UserName="ann", AccessKeyId=key, Status="Inactive")
    made = (await account.ask("CreateVirtualMFADevice", VirtualMFADeviceName="phone"))["VirtualMFADevice"]
    seed, step = base64.b32decode(made["Base32StringSeed"]), step_of(account.clock.now())
    codes = {"AuthenticationCode1": code_at(seed, step), "AuthenticationCode2": code_at(seed, step + 1)}
    await account.ask("EnableMFADevice", UserName="ann", SerialNumber=made["SerialNumber"], **codes)
    everybody = await lines(account)
    full, root = everybody["ann"], everybody["<root_account>"]
    assert [full[name] for name in COLUMNS[3:13]] == [
        *("true", "no_information", date(begun), date(begun + 10 * 86_400), "true"),
        *("false", date(begun + 60), date(begun + 5), "us-east-1", "ecs"),
    ]
    assert [root[name] for name in COLUMNS[:9]] == [
        *("<root_account>", f"arn:aws:iam::{ACCOUNT}:root", date(begun)),
        *("not_supported", "no_information", "not_supported", "not_supported", "false", "true"),
    ]
    summary = (await account.ask("GetAccountSummary"))["SummaryMap"]
    assert (summary["MFADevices"], summary["MFADevicesInUse"], summary["AccountMFAEnabled"]) == (1, 1, 0)


# ── services ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("statements", "services"),
    [
        ([allow("ecs:RunTask")], {"ecs"}),
        ([allow("EC?:Describe*", "s3:*")], {"ecs", "ecr", "ec2"}),
        ([{"Effect": "Allow", "Action": "e*:*", "Resource": "arn:aws:ecs:*:*:*"}], {"ecs", "ecr", "ec2", "elasticloadbalancing"}),
        ([{"Effect": "Allow", "NotAction": ["ecs:*", "ecr:Get*", "*:*"], "Resource": "*"}], set()),
        ([allow("ecs:*", "ecr:*"), {"Effect": "Deny", "Action": "ecs:*", "Resource": "*"}], {"ecr"}),
        ([allow("ecs:*"), {"Effect": "Deny", "Action": "ecs:Run*", "Resource": "*"}], {"ecs"}),
        (
            [allow("ecs:*"), {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}],
            {"ecs"},
        ),
    ],
)
def test_a_policy_grants_services(statements: list[dict[str, Any]], services: set[str]) -> None:
    assert granted(document(*statements)) == services


def test_whoever_may_everything_may_every_service_but_those_left_out() -> None:
    every = granted(document(allow("*")))
    assert {"ecs", "iam", "sts", "cloudtrail"} <= every
    assert granted(document({"Effect": "Allow", "NotAction": ["iam:*", "ecr:Get*"], "Resource": "*"})) == every - {"iam"}


_PATTERNS = ("*", "*:*", "ecs:*", "ecs:Run*", "EC?:*", "ec2:Describe*", "iam:*", "*:Describe*", "s*:*", "elasticload*:?escribe*")
_STATEMENTS = st.builds(
    lambda effect, member, actions: {"Effect": effect, member: actions, "Resource": "*"},
    st.sampled_from(("Allow", "Deny")),
    st.sampled_from(("Action", "NotAction")),
    st.lists(st.sampled_from(_PATTERNS), min_size=1, max_size=3),
)


@given(documents=st.lists(st.lists(_STATEMENTS, min_size=1, max_size=3), min_size=1, max_size=3))
def test_no_service_is_left_out_of_which_something_is_allowed(documents: list[list[dict[str, Any]]]) -> None:
    texts = [document(*statements) for statements in documents]
    policies, ann = [compile_policy(text) for text in texts], Principal(ACCOUNT, ANN, "AIDA", "AKIA")
    listed = granted_by(Held("p", text, "", ANN) for text in texts)
    for service in SERVICES:
        for action in (f"{service}:DescribeThings", f"{service}:RunThings"):
            if decide(policies, [], action, "*", {}, ann).allowed:
                assert service in listed


async def job(account: Account, arn: str) -> str:
    return str((await account.ask("GenerateServiceLastAccessedDetails", Arn=arn))["JobId"])


async def used(account: Account, user: dict[str, Any], service: str, at: float) -> None:
    uses = KeyUses(account.store)
    uses.note("AKIA", at, service, "us-east-1", used_identity(account.as_user(user).call.principal))
    await uses.write(at)


async def test_what_was_used_of_what_may_be_used_is_told_to_who_asked(account: Account) -> None:
    bob = (await account.ask("CreateUser", UserName="bob"))["User"]
    await account.ask("CreateGroup", GroupName="crew")
    for user in ("ann", "bob"):
        await account.ask("AddUserToGroup", GroupName="crew", UserName=user)
    await account.ask("PutGroupPolicy", GroupName="crew", PolicyName="run", PolicyDocument=document(allow("ecs:*", "ecr:Get*")))
    await used(account, bob, "ecs", 1000.0)
    await used(account, bob, "iam", 1000.0)
    group = f"arn:aws:iam::{ACCOUNT}:group/crew"
    identifier = await job(account, group)
    assert (await account.ask("GetServiceLastAccessedDetails", JobId=identifier))["JobStatus"] == "IN_PROGRESS"
    await make_reports(account)
    told = await account.ask("GetServiceLastAccessedDetails", JobId=identifier)
    assert told["JobStatus"] == "COMPLETED"
    ecr, ecs = told["ServicesLastAccessed"]
    assert (ecr["ServiceNamespace"], ecr["TotalAuthenticatedEntities"], "LastAuthenticated" in ecr) == ("ecr", 0, False)
    assert (ecs["ServiceName"], ecs["TotalAuthenticatedEntities"]) == ("Amazon Elastic Container Service", 1)
    assert (ecs["LastAuthenticated"].timestamp(), ecs["LastAuthenticatedEntity"]) == (1000.0, bob["Arn"])
    first = await account.ask("GetServiceLastAccessedDetails", JobId=identifier, MaxItems=1)
    rest = await account.ask("GetServiceLastAccessedDetails", JobId=identifier, Marker=first["Marker"])
    assert [each["ServiceNamespace"] for page in (first, rest) for each in page["ServicesLastAccessed"]] == ["ecr", "ecs"]
    asked = {"JobId": identifier, "ServiceNamespace": "ecs"}
    who = (await account.ask("GetServiceLastAccessedDetailsWithEntities", **asked))["EntityDetailsList"]
    assert [(each["EntityInfo"]["Name"], "LastAuthenticated" in each) for each in who] == [("bob", True), ("ann", False)]
    assert await refused(account.as_user(bob), "GetServiceLastAccessedDetails", JobId=identifier) == ("NoSuchEntity", 404)
    await account.clock.step(JOB_S)
    await make_reports(account)
    assert account.store.count(ACCESS_JOBS) == 0


async def test_uses_are_written_once_a_minute_and_go_with_the_user(account: Account) -> None:
    ann = (await account.ask("GetUser", UserName="ann"))["User"]
    uses, identity = KeyUses(account.store), ann["UserId"]
    assert uses.note("AKIA", 100.0, "ecs", "us-east-1", identity)
    await uses.write(100.0)
    assert not uses.note("AKIA", 101.0, "ecs", "us-east-1", identity)
    assert uses.note("AKIA", 102.0, "ecr", "us-east-1", identity), "another service is news"
    await uses.write(102.0)
    assert {(use.service, use.used_at) for use in account.store.list(SERVICE_USES)} == {("ecs", 100.0), ("ecr", 102.0)}
    await account.ask("DeleteUser", UserName="ann")
    assert account.store.count(SERVICE_USES) == 0
    uses.note("AKIA", 200.0, "ecs", "us-east-1", identity)
    await uses.write(200.0)
    assert account.store.count(SERVICE_USES) == 0


async def test_the_holders_of_a_policy_are_found_through_their_groups(account: Account) -> None:
    arn = (await account.ask("CreatePolicy", PolicyName="run", PolicyDocument=document(allow("ecs:*"))))["Policy"]["Arn"]
    await account.ask("CreateGroup", GroupName="crew")
    await account.ask("AddUserToGroup", GroupName="crew", UserName="ann")
    await account.ask("AttachGroupPolicy", GroupName="crew", PolicyArn=arn)
    identifier = await job(account, arn)
    await make_reports(account)
    asked = {"JobId": identifier, "ServiceNamespace": "ecs"}
    (who,) = (await account.ask("GetServiceLastAccessedDetailsWithEntities", **asked))["EntityDetailsList"]
    assert who["EntityInfo"]["Arn"] == ANN
    assert await refused(account, "GenerateServiceLastAccessedDetails", Arn=f"{arn}x") == ("NoSuchEntity", 404)
    action = {"Arn": arn, "Granularity": "ACTION_LEVEL"}
    assert await refused(account, "GenerateServiceLastAccessedDetails", **action) == ("InvalidInput", 400)


async def test_policies_are_listed_by_the_services_that_they_grant(account: Account) -> None:
    await account.ask("CreateGroup", GroupName="crew")
    await account.ask("AddUserToGroup", GroupName="crew", UserName="ann")
    await account.ask("PutGroupPolicy", GroupName="crew", PolicyName="run", PolicyDocument=document(allow("ecs:*")))
    await account.ask("AttachUserPolicy", UserName="ann", PolicyArn="arn:aws:iam::aws:policy/AmazonECS_FullAccess")
    listed = await account.ask("ListPoliciesGrantingServiceAccess", Arn=ANN, ServiceNamespaces=["ecs", "secretsmanager", "codedeploy"])
    ecs, secrets, elsewhere = listed["PoliciesGrantingServiceAccess"]
    assert [(each["PolicyName"], each["PolicyType"], each.get("EntityName")) for each in ecs["Policies"]] == [
        ("AmazonECS_FullAccess", "MANAGED", None),
        ("run", "INLINE", "crew"),
    ]
    assert (secrets["ServiceNamespace"], secrets["Policies"]) == ("secretsmanager", [])
    assert [each["PolicyName"] for each in elsewhere["Policies"]] == ["AmazonECS_FullAccess"], "of a service that is not here, too"
    asked = {"Arn": ANN.replace("ann", "nobody"), "ServiceNamespaces": ["ecs"]}
    assert await refused(account, "ListPoliciesGrantingServiceAccess", **asked) == ("NoSuchEntity", 404)
