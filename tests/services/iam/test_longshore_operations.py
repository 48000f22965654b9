"""Longshore's own operations on IAM: explanations show each account its own side, recordings go from start to end, policies can be put."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from longshore.aws.errors import AwsError, Validation
from longshore.gateway.authorise import Access
from longshore.resources import KINDS, RESOURCE_SIDES
from longshore.services.call import Call, Principal, Session
from longshore.services.ecr.access.model import REPOSITORY_POLICIES, RepositoryPolicy
from longshore.services.ecr.model import repository_key
from longshore.services.iam import explaining_shapes as explaining
from longshore.services.iam import recording_shapes as shapes
from longshore.services.iam.api import api as iam
from longshore.services.iam.errors import EntityAlreadyExists, LimitExceeded, MalformedPolicyDocument, NoSuchEntity
from longshore.services.iam.identities import root_principal
from longshore.services.iam.model import ROLES, USERS
from longshore.services.iam.operations.longshore_recordings import MOST_RECORDINGS
from longshore.services.iam.recording import Recorder
from longshore.services.iam.recording_model import RECORDED_CALLS
from longshore.store.base import Store
from longshore.store.memory import memory_store
from tests.services.iam.test_evaluator import allow, deny, document
from tests.services.iam.wire import ACCOUNT, Account

HOME, GUEST, THIRD = ACCOUNT, "111111111111", "222222222222"
APP = f"arn:aws:ecr:us-east-1:{HOME}:repository/app"
TRUST = document({"Effect": "Allow", "Principal": {"AWS": HOME}, "Action": "sts:AssumeRole"})


class House:
    """Three accounts of one installation, the first of which it belongs to; asked as the root of any."""

    def __init__(self) -> None:
        self.store: Store = memory_store(KINDS)
        self.accounts = {account: Account(self.store, account) for account in (HOME, GUEST, THIRD)}
        clock = self.accounts[HOME].clock
        self.recorder = Recorder(self.store, clock)
        self.access = Access(self.store, clock, RESOURCE_SIDES, self.recorder)
        site = self.accounts[HOME].call.site
        for account in self.accounts.values():
            account.call = replace(account.call, clock=clock, site=site, deciding=self.access, recorder=self.recorder)

    def call(self, account_id: str = HOME, principal: Principal | None = None) -> Call:
        call = self.accounts[account_id].call
        return replace(call, principal=principal) if principal is not None else call

    async def explain(self, who: str, action: str, resource: str, account_id: str = HOME, **more: Any) -> explaining.ExplainResponse:
        request = explaining.ExplainRequest(principal=who, action_name=action, resource=resource, **more)
        answer = await iam.operations["LongshoreExplainDecision"].handle(self.call(account_id), request)
        assert isinstance(answer, explaining.ExplainResponse)
        return answer

    async def ask(self, operation: str, request: Any, account_id: str = HOME) -> Any:
        return await iam.operations[f"Longshore{operation}"].handle(self.call(account_id), request)


@pytest.fixture
async def house() -> House:
    made = House()
    home, guest = made.accounts[HOME], made.accounts[GUEST]
    await home.ask("CreateRole", RoleName="ci", Path="/team/", AssumeRolePolicyDocument=TRUST, Tags=[{"Key": "a", "Value": "b"}])
    await home.ask("PutRolePolicy", RoleName="ci", PolicyName="own", PolicyDocument=document(allow("ecs:*"), deny("ecs:Delete*")))
    await guest.ask("CreateUser", UserName="gus")
    await guest.ask("PutUserPolicy", UserName="gus", PolicyName="pulls", PolicyDocument=document(allow("ecr:*")))
    opened = document({"Effect": "Allow", "Principal": {"AWS": GUEST}, "Action": "ecr:BatchGetImage"})
    policy = RepositoryPolicy(repository_key("us-east-1", HOME, "app"), opened, opened)
    await made.store.transact(lambda tx: tx.put(REPOSITORY_POLICIES, policy))
    return made


GUS = f"arn:aws:iam::{GUEST}:user/gus"


# ── explanations ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("who", ["role/ci", f"arn:aws:iam::{HOME}:role/team/ci", f"arn:aws:sts::{HOME}:assumed-role/ci/build-7"])
async def test_a_role_is_found_by_each_of_its_names(house: House, who: str) -> None:
    found = await house.explain(who, "ecs:RunTask", "task-definition/app:1")
    assert (found.decision, found.identity) == ("allowed", f"arn:aws:iam::{HOME}:role/team/ci")
    assert found.resource == f"arn:aws:ecs:us-east-1:{HOME}:task-definition/app:1"
    refused = await house.explain(who, "ecs:DeleteCluster", "cluster/web")
    (policy,) = refused.policies
    assert [(one.number, one.applied, one.decides) for one in policy.statements] == [(1, True, False), (2, True, True)]


async def test_an_action_that_is_misspelt_is_told(house: House) -> None:
    for action, said in (("ecs:RunTasks", True), ("ecs:runtask", False), ("iam:PassRole", False), ("s3:GetObject", False)):
        found = await house.explain("role/ci", action, "*")
        assert any(f"No request here asks for {action}" in note for note in found.notes) is said


async def test_what_the_gateway_decides_is_what_is_explained(house: House) -> None:
    gus = Principal(GUEST, GUS, house.accounts[GUEST].store.list(USERS, "arn", GUS)[0].user_id, "AKIAGUS")
    for action in ("ecr:BatchGetImage", "ecr:PutImage"):
        denial = house.access.denial(gus, action, APP)
        found = await house.explain(GUS, action, APP)
        assert (found.decision == "allowed") is (denial is None)
        assert denial is None or found.message


async def test_the_account_of_the_installation_sees_both_sides(house: House) -> None:
    found = await house.explain(GUS, "ecr:BatchGetImage", APP)
    assert found.decision == "allowed"
    assert [(one.side, one.name) for one in found.policies] == [("identity", "pulls"), ("resource", "repository policy")]
    assert [one.reach for one in found.policies[1].statements] == ["account"]
    refused = await house.explain(GUS, "ecr:PutImage", APP)
    assert [(one.side, one.account_id) for one in refused.remedies] == [("resource", HOME)]


async def test_another_account_sees_its_own_side_only(house: House) -> None:
    found = await house.explain("user/gus", "ecr:BatchGetImage", APP, GUEST)
    assert (found.decision, [one.side for one in found.policies]) == ("undetermined", ["identity"])
    assert "repository policy" not in repr(found)
    for action in ("ecr:BatchGetImage", "ecr:PutImage"):
        there = await house.explain("user/gus", action, APP, GUEST)
        nowhere = await house.explain("user/gus", action, f"{APP}x", GUEST)
        assert (there.decision, there.notes) == (nowhere.decision, nowhere.notes)


async def test_whether_another_account_has_somebody_is_not_told(house: House) -> None:
    mine = f"arn:aws:ecr:us-east-1:{GUEST}:repository/mine"
    for who in (f"arn:aws:iam::{HOME}:role/team/ci", f"arn:aws:iam::{HOME}:role/team/nobody"):
        with pytest.raises(NoSuchEntity):
            await house.explain(who, "ecr:PutImage", APP, THIRD)
    answers = [await house.explain(f"arn:aws:iam::{HOME}:role/{name}", "ecr:PutImage", mine, GUEST) for name in ("team/ci", "team/nobody")]
    told = [repr(one).replace("nobody", "ci") for one in answers]
    assert told[0] == told[1]
    assert answers[0].decision == "implicitDeny" and not answers[0].policies


async def test_who_asks_is_me_with_what_limits_the_session(house: House) -> None:
    found = await house.explain("me", "ecs:DeleteCluster", "*")
    assert (found.identity, found.decision) == (f"arn:aws:iam::{HOME}:root", "allowed")


@pytest.mark.parametrize("who", ["user/nobody", "AKIANOBODYNOBODYNOBO", "ASIANOBODYNOBODYNOBO", f"arn:aws:iam::{HOME}:role/nobody"])
async def test_who_is_not_there_is_not_explained(house: House, who: str) -> None:
    with pytest.raises(NoSuchEntity):
        await house.explain(who, "ecs:RunTask", "*")


@pytest.mark.parametrize("who", ["group/team", "arn:aws:iam::000000000000:policy/x", "somebody"])
async def test_what_asks_for_nothing_is_refused(house: House, who: str) -> None:
    with pytest.raises(AwsError):
        await house.explain(who, "ecs:RunTask", "*")


async def test_context_that_is_given_counts_and_that_of_the_resource_is_filled_in(house: House) -> None:
    when = document(allow("ecs:*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
    await house.accounts[HOME].ask("PutRolePolicy", RoleName="ci", PolicyName="own", PolicyDocument=when)
    found = await house.explain("role/ci", "ecs:StopTask", "task/web/6f2c0a4bd8e04f6e8d7f0a1b2c3d4e5f")
    assert (found.decision, found.missing_context_keys) == ("implicitDeny", ("aws:SourceIp",))
    assert ("ecs:cluster", (f"arn:aws:ecs:us-east-1:{HOME}:cluster/web",)) in [(one.key, one.values) for one in found.context]
    given = (explaining.ContextEntry(key="aws:sourceIP", values=("10.1.2.3",)),)
    assert (await house.explain("role/ci", "ecs:StopTask", "*", context=given)).decision == "allowed"


# ── recordings ──────────────────────────────────────────────────────────────────────────────────────────────────────


def start(name: str = "r", **more: Any) -> shapes.StartRequest:
    return shapes.StartRequest(recording_name=name, **more)


async def test_a_recording_goes_from_start_to_end(house: House) -> None:
    made = (await house.ask("StartRecording", start(principals=("role/ci",), seconds=600))).recording
    assert (made.status, made.principals, made.calls) == ("RUNNING", (f"arn:aws:iam::{HOME}:role/team/ci",), 0)
    with pytest.raises(EntityAlreadyExists):
        await house.ask("StartRecording", start())
    ci = Principal(HOME, f"arn:aws:sts::{HOME}:assumed-role/ci/one", "AROA:one", "ASIA", session=_session(house))
    assert house.access.denial(ci, "ecs:ListTasks", "*") is None
    named = shapes.NamedRequest(recording_name="r")
    stopped = (await house.ask("StopRecording", named)).recording
    assert (stopped.status, stopped.requests) == ("STOPPED", 1)
    assert house.access.denial(ci, "ecs:ListTasks", "*") is None
    shown = await house.ask("GetRecording", shapes.GetRequest(recording_name="r"))
    assert [(one.action, one.allowed) for one in shown.calls] == [("ecs:ListTasks", 1)]
    await house.ask("DeleteRecording", named)
    assert not house.store.list(RECORDED_CALLS)
    with pytest.raises(NoSuchEntity):
        await house.ask("StopRecording", named)


def _session(house: House) -> Session:
    role = house.store.list(ROLES)[0]
    return Session(role.arn, role.role_id, 0.0, 1e12, "")


async def test_recordings_are_pages_and_each_accounts_own(house: House) -> None:
    await house.ask("StartRecording", start())
    for number in range(5):
        house.access.denial(root_principal(HOME, "AKIA"), "ecs:DescribeClusters", f"arn:aws:ecs:us-east-1:{HOME}:cluster/{number}")
    first = await house.ask("GetRecording", shapes.GetRequest(recording_name="r", max_items=3))
    rest = await house.ask("GetRecording", shapes.GetRequest(recording_name="r", max_items=3, marker=first.marker))
    assert (len(first.calls), first.is_truncated, len(rest.calls), rest.is_truncated) == (3, True, 2, False)
    assert not (await house.ask("ListRecordings", shapes.ListRequest(), GUEST)).recordings
    with pytest.raises(NoSuchEntity):
        await house.ask("GetRecording", shapes.GetRequest(recording_name="r"), GUEST)


async def test_so_many_recordings_and_no_more_and_of_nobody_from_elsewhere(house: House) -> None:
    for number in range(MOST_RECORDINGS):
        await house.ask("StartRecording", start(f"r{number}"))
    with pytest.raises(LimitExceeded):
        await house.ask("StartRecording", start("more"))
    for who in (GUS, "user/nobody", "*"):
        with pytest.raises(NoSuchEntity):
            await house.ask("StartRecording", start("theirs", principals=(who,)), THIRD)


# ── policies ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_policy_that_was_written_takes_the_place_of_the_wide_one(house: House) -> None:
    await house.ask("StartRecording", start(principals=("role/ci",)))
    ci = Principal(HOME, f"arn:aws:sts::{HOME}:assumed-role/ci/one", "AROA:one", "ASIA", session=_session(house))
    cluster = f"arn:aws:ecs:us-east-1:{HOME}:cluster/web"
    assert house.access.denial(ci, "ecs:ListTasks", cluster) is None
    assert house.access.denial(ci, "ecr:PutImage", APP) is not None
    made = await house.ask("GeneratePolicy", shapes.GenerateRequest(recording_name="r", principal="role/ci"))
    (text,) = made.policy_documents
    assert json.loads(text)["Statement"] == [{"Effect": "Allow", "Action": "ecs:ListTasks", "Resource": cluster}]
    assert (made.calls, made.refused) == (1, 1)
    change = shapes.Change(action="put", role_name="ci", policy_name="own", policy_document=text)
    tried = await house.ask("ReplayRecording", shapes.ReplayRequest(recording_name="r", changes=(change,)))
    assert not tried.breaks and tried.principals == (f"arn:aws:iam::{HOME}:role/team/ci",)
    await house.accounts[HOME].ask("PutRolePolicy", RoleName="ci", PolicyName="own", PolicyDocument=text)
    assert house.access.denial(ci, "ecs:ListTasks", cluster) is None
    assert house.access.denial(ci, "ecs:ListTasks", f"{cluster}x") is not None


async def test_what_would_break_comes_with_the_statement_that_decides(house: House) -> None:
    await house.ask("StartRecording", start())
    ci = Principal(HOME, f"arn:aws:sts::{HOME}:assumed-role/ci/one", "AROA:one", "ASIA", session=_session(house))
    house.access.denial(ci, "ecs:ListTasks", "*")
    change = shapes.Change(
        action="put", role_name="ci", policy_name="own", policy_document=document(allow("*"), deny("ecs:List*", Sid="No"))
    )
    (broken,) = (await house.ask("ReplayRecording", shapes.ReplayRequest(changes=(change,)))).breaks
    assert (broken.requests, broken.explicit, broken.policy_name, broken.statement) == (1, True, "own", 2)
    assert json.loads(broken.statement_text)["Sid"] == "No"


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"action": "put", "role_name": "ci", "policy_name": "p"}, Validation),
        ({"action": "put", "role_name": "ci", "policy_name": "p", "policy_document": "{}"}, MalformedPolicyDocument),
        ({"action": "delete", "policy_name": "p"}, Validation),
        ({"action": "delete", "role_name": "ci", "user_name": "x", "policy_name": "p"}, Validation),
        ({"action": "delete", "role_name": "nobody", "policy_name": "p"}, NoSuchEntity),
        ({"action": "delete", "role_name": "ci", "policy_name": "owm"}, NoSuchEntity),
        ({"action": "detach", "role_name": "ci", "policy_arn": "arn:aws:iam::aws:policy/IAMReadOnlyAccess"}, NoSuchEntity),
        ({"action": "attach", "role_name": "ci", "policy_arn": f"arn:aws:iam::{HOME}:policy/none"}, NoSuchEntity),
        ({"action": "detach", "role_name": "ci", "policy_arn": f"arn:aws:iam::{HOME}:policy/none", "policy_name": "p"}, Validation),
        ({"action": "version", "policy_arn": "arn:aws:iam::aws:policy/IAMReadOnlyAccess", "policy_document": document(allow())}, AwsError),
        ({"action": "boundary", "group_name": "g"}, Validation),
        ({"action": "put", "role_name": "ci", "policy_name": "p", "policy_document": document(*[allow()] * 400)}, LimitExceeded),
        ({"action": "boundary", "role_name": "ci", "policy_document": document(*[allow()] * 400)}, LimitExceeded),
    ],
)
async def test_a_change_that_does_not_add_up_is_refused(house: House, change: dict[str, Any], refusal: type[AwsError]) -> None:
    with pytest.raises(refusal):
        await house.ask("ReplayRecording", shapes.ReplayRequest(changes=(shapes.Change(**change),)))


async def test_what_a_change_adds_the_next_may_take_away(house: House) -> None:
    readers = "arn:aws:iam::aws:policy/IAMReadOnlyAccess"
    both = (
        shapes.Change(action="put", role_name="ci", policy_name="p", policy_document=document(allow())),
        shapes.Change(action="delete", role_name="ci", policy_name="p"),
        shapes.Change(action="attach", role_name="ci", policy_arn=readers),
        shapes.Change(action="detach", role_name="ci", policy_arn=readers),
        shapes.Change(action="delete", role_name="ci", policy_name="own"),
    )
    assert not (await house.ask("ReplayRecording", shapes.ReplayRequest(changes=both))).breaks


@pytest.mark.parametrize("name", ["\N{FULLWIDTH LATIN SMALL LETTER A}", "a\n", "", "a/b", "a*", "a" * 65])
def test_recordings_are_named_as_iam_names_what_it_keeps(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"RecordingName": name}, shapes.NamedRequest)
