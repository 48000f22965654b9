"""The credentials of tasks' roles: whom they are sent to, when anew, what they open and what ends them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace
from yarl import URL

from longshore.aws.errors import AwsError
from longshore.aws.shapes import ecs as shapes
from longshore.aws.sigv4 import sign
from longshore.gateway.agents.roles import LOOK_S, RoleCredentials
from longshore.gateway.identify import Identities
from longshore.gateway.request import ApiRequest
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import RandomIds
from longshore.services.call import Principal, Site
from longshore.services.ecs.task_roles import LASTING_S, RENEWED_WITH_S, credentials_id
from longshore.services.iam import model as iam
from tests.gateway.platform import ACCOUNT, INSTANCE, REGION, SIGNING_SECRET, Platform, platform_on, until
from tests.gateway.stock_agent import StockAgent, control_url, open_socket

SITE = Site(ACCOUNT, REGION, (), "http://127.0.0.1:4566", 4566)
OTHER = INSTANCE[:-1] + "e"


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    async with platform_on(SteppedClock()) as made:
        await made.cluster()
        await made.instance()
        await made.definition(task_role_arn=await made.role("app"), execution_role_arn=await made.role("exec"))
        yield made


def told(agent: StockAgent, arn: str) -> dict[str, Any]:
    return next(task for payload in agent.of_type("PayloadMessage") for task in payload["tasks"] if task["arn"] == arn)


def bearer(platform: Platform, given: dict[str, Any]) -> Principal:
    """Who signs with credentials. Raises AwsError where they are refused."""
    identities = Identities(platform.store, platform.clock, SITE, SIGNING_SECRET)
    signed = sign(
        "POST",
        "/",
        "",
        [("host", "h")],
        b"",
        access_key_id=given["accessKeyId"],
        secret_access_key=given["secretAccessKey"],
        session_token=given["sessionToken"],
        region=REGION,
        service="ecs",
        now=platform.clock.now(),
    )
    pairs = [("host", "h"), *((name.lower(), value) for name, value in signed.items())]
    return identities.identify(ApiRequest("POST", "/", "", pairs, dict(pairs), b"", "127.0.0.1", False)).principal


async def test_a_task_with_roles_comes_with_sessions_of_both_named_after_it(platform: Platform) -> None:
    arn = await platform.task(1)
    async with StockAgent(platform) as agent:
        await agent.until_told(arn, "RUNNING")
        task = told(agent, arn)
        for member, role in (("roleCredentials", "app"), ("executionRoleCredentials", "exec")):
            principal = bearer(platform, task[member])
            assert principal.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{'1' * 32}"
        assert task["roleCredentials"]["credentialsId"] != task["executionRoleCredentials"]["credentialsId"]
        assert agent.misread == []


async def test_overrides_name_other_roles(platform: Platform) -> None:
    other, arn = await platform.role("other"), await platform.task(1)
    override = shapes.TaskOverride(task_role_arn=other)
    await platform.change(arn, lambda task: replace(task, spec=replace(task.spec, overrides=override)))
    async with StockAgent(platform) as agent:
        await agent.until_told(arn, "RUNNING")
        assert told(agent, arn)["roleCredentials"]["roleArn"] == other


async def renewing(platform: Platform, instance: str = INSTANCE) -> tuple[list[dict[str, Any]], RoleCredentials, asyncio.Task[None]]:
    """What is sent of credentials as time goes by, on a connection that lasts."""
    sent: list[dict[str, Any]] = []

    async def send(kind: str, message: dict[str, Any]) -> None:
        assert kind == "IAMRoleCredentialsMessage"
        sent.append(message)

    made = RoleCredentials(platform.store, SIGNING_SECRET, platform.clock, RandomIds(), instance, send)
    await made.send_all()
    for message in sent:
        made.acknowledged(message["messageId"])
    job = asyncio.create_task(made.renew())
    await asyncio.sleep(0)
    return sent, made, job


async def test_they_are_renewed_under_the_same_id_with_half_of_their_life_left(platform: Platform) -> None:
    arn = await platform.task(1)
    sent, _, job = await renewing(platform)
    first = next(one for one in sent if one["roleType"] == "TaskApplication")["roleCredentials"]
    for _ in range(int((LASTING_S - RENEWED_WITH_S) / LOOK_S)):
        await platform.clock.step(LOOK_S)
    assert len(sent) == 2
    await platform.clock.step(LOOK_S)
    await until(lambda: len(sent) == 4, "both renewed")
    renewed = [one for one in sent if one["roleType"] == "TaskApplication"][-1]
    assert renewed["taskArn"] == arn and renewed["roleCredentials"]["credentialsId"] == first["credentialsId"]
    assert renewed["roleCredentials"]["accessKeyId"] != first["accessKeyId"]
    assert renewed["roleCredentials"]["expiration"] > first["expiration"]
    job.cancel()


async def test_what_is_not_acknowledged_is_sent_again(platform: Platform) -> None:
    arn = await platform.task(1)
    await platform.advance(arn, "RUNNING")
    async with StockAgent(platform, acknowledges=False) as agent:
        await until(lambda: len(agent.of_type("IAMRoleCredentialsMessage")) == 2)
        await agent.settled()
        await platform.clock.step(LOOK_S)
        await until(lambda: len(agent.of_type("IAMRoleCredentialsMessage")) == 4)


async def test_an_agent_that_starts_anew_gets_those_of_a_task_that_is_stopping_too(platform: Platform) -> None:
    arn = await platform.task(1)
    await platform.advance(arn, "RUNNING")
    await platform.ask_to_stop(arn)
    async with StockAgent(platform) as agent:
        await until(lambda: agent.of_type("IAMRoleCredentialsMessage"))
        assert agent.of_type("IAMRoleCredentialsMessage")[0]["taskArn"] == arn


async def test_nothing_of_a_task_goes_to_another_instance(platform: Platform) -> None:
    await platform.instance(OTHER)
    arn = await platform.task(1)
    async with StockAgent(platform) as own, StockAgent(platform, OTHER) as other:
        await own.until_told(arn, "RUNNING")
        await other.settled()
        assert other.of_type("PayloadMessage") == [] and other.of_type("IAMRoleCredentialsMessage") == []
    sent, _, job = await renewing(platform, OTHER)
    for _ in range(4):
        await platform.clock.step(LASTING_S)
    assert sent == []
    job.cancel()


async def test_a_stopping_task_keeps_its_rights_and_a_stopped_one_has_none(platform: Platform) -> None:
    arn = await platform.task(1)
    async with StockAgent(platform) as agent:
        await agent.until_told(arn, "RUNNING")
        given = told(agent, arn)["roleCredentials"]
        await platform.ask_to_stop(arn)
        assert bearer(platform, given).role_arn.endswith(":role/app")
        await platform.advance(arn, "STOPPED")
        with pytest.raises(AwsError, match=r"security token|not valid|invalid"):
            bearer(platform, given)


@pytest.mark.parametrize("trusted", ["ec2.amazonaws.com", "ecs.amazonaws.com"])
async def test_a_task_whose_role_does_not_trust_ecs_is_not_started_and_says_why(platform: Platform, trusted: str) -> None:
    await platform.role("app", trusted)
    arn = await platform.task(1)
    async with StockAgent(platform) as agent:
        await agent.until_told(arn, "STOPPED")
        task = platform.seen_task(arn)
        assert task.stop is not None and task.stop.code == "TaskFailedToStart"
        assert f"ECS was unable to assume the role 'arn:aws:iam::{ACCOUNT}:role/app'" in task.stop.reason
        assert (arn, "RUNNING") not in agent.told


async def test_a_trust_policy_may_ask_for_whom_the_role_is_taken_on(platform: Platform) -> None:
    of_ours = {"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnLike": {"aws:SourceArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:*"}}
    await platform.role("app", Condition=of_ours)
    fine = await platform.task(1)
    await platform.role("exec", Condition={"StringEquals": {"aws:SourceAccount": "999999999999"}})
    async with StockAgent(platform) as agent:
        await until(lambda: platform.seen_task(fine).stop is not None)
        assert ":role/exec'" in (platform.seen_task(fine).stop or pytest.fail()).reason
        await platform.role("exec")
        other = await platform.task(2)
        await agent.until_told(other, "RUNNING")


async def test_a_running_task_whose_role_is_gone_runs_on_without(platform: Platform) -> None:
    arn = await platform.task(1)
    await platform.advance(arn, "RUNNING")
    await platform.store.transact(lambda tx: tx.delete(iam.ROLES, iam.user_key(ACCOUNT, "app")))
    async with StockAgent(platform) as agent:
        await agent.until_told(arn, "RUNNING")
        await agent.settled()
        assert "roleCredentials" not in told(agent, arn) and platform.seen_task(arn).stop is None


@pytest.mark.parametrize("how", ["at renewal", "in the payload"])
async def test_a_role_that_can_be_taken_on_again_gives_its_credentials_again_and_the_other_had_them_all_along(
    platform: Platform, how: str
) -> None:
    arn = await platform.task(1)
    await platform.advance(arn, "RUNNING")
    if how == "in the payload":
        await platform.role("app", "ec2.amazonaws.com")
    sent, made, job = await renewing(platform)
    if how == "at renewal":
        await platform.role("app", "ec2.amazonaws.com")
        for _ in range(int((LASTING_S - RENEWED_WITH_S) / LOOK_S) + 1):
            await platform.clock.step(LOOK_S)
        await until(lambda: len(sent) == 3, "the other role's are renewed")
    assert sent[-1]["roleType"] == "TaskExecution"
    made.acknowledged(sent[-1]["messageId"])
    before = len(sent)
    for _ in range(5):
        await platform.clock.step(LOOK_S)
    assert len(sent) == before
    await platform.role("app")
    await platform.clock.step(LOOK_S)
    await until(lambda: len(sent) == before + 1, "the mended role's come")
    assert sent[-1]["roleType"] == "TaskApplication"
    job.cancel()


async def test_an_agent_that_only_reconnects_is_not_sent_them_once_more(platform: Platform) -> None:
    arn = await platform.task(1)
    await platform.advance(arn, "RUNNING")
    url = URL(str(control_url(platform)).replace("sendCredentials=true", "sendCredentials=false"), encoded=True)
    socket = await open_socket(platform, url)
    kinds = [(await socket.receive_json())["type"] for _ in range(3)]
    await socket.close()
    assert "IAMRoleCredentialsMessage" not in kinds and "TaskManifestMessage" in kinds


def test_ids_are_the_same_again_and_tell_nothing_of_the_task() -> None:
    arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/demo/{'1' * 32}"
    one = credentials_id(SIGNING_SECRET, arn, "TaskApplication")
    assert one == credentials_id(SIGNING_SECRET, arn, "TaskApplication")
    assert len({one, credentials_id(SIGNING_SECRET, arn, "TaskExecution"), credentials_id(b"t" * 32, arn, "TaskApplication")}) == 3
    assert "1" * 32 not in one
