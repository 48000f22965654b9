"""Our agent beside the stock one: the same messages in, and answers of the same form out, as recorded from amazon-ecs-agent 1.105.1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from longshore.runtime.fake import FakeRuntime
from tests.agent.conftest import AgentUnderTest
from tests.agent.platform import Platform, until

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "data" / "agent-captures"

pytestmark = pytest.mark.skipif(not CAPTURES.is_dir(), reason="the recordings of the stock agent are not beside this checkout")


def captured(number: int) -> Any:
    [path] = CAPTURES.glob(f"{number:04d}-*.json")
    return json.loads(path.read_text())["data"]


def form(value: Any) -> Any:
    """Names and kinds of members, without what they say."""
    if isinstance(value, dict):
        return {name: form(member) for name, member in value.items()}
    if isinstance(value, list):
        return [form(value[0])] if value else []
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


async def replay(platform: Platform, number: int) -> str:
    """A recorded payload, made out to our instance."""
    message = captured(number)
    await platform.control[-1].say("PayloadMessage", {**message, "containerInstanceArn": platform.instance_arn})
    message_id: str = message["messageId"]
    return message_id


async def test_it_registers_in_the_same_form(platform: Platform, agent: AgentUnderTest) -> None:
    await platform.connected()
    theirs, ours = captured(1)["body"], platform.registrations[0]
    assert set(ours) == set(theirs) - {"tags"}
    resources = [resource for resource in ours["totalResources"] if resource["name"] != "ENI"]
    assert [form(resource) for resource in resources] == [form(resource) for resource in theirs["totalResources"]]
    given = {attribute["name"]: attribute.get("value") for attribute in theirs["attributes"]}
    same = [attribute for attribute in ours["attributes"] if attribute["name"] in given]
    assert len(same) > 15
    assert all(given[attribute["name"]] == attribute.get("value") or attribute["name"] == "stack" for attribute in same)


async def test_it_opens_its_sockets_with_the_same_questions(platform: Platform, agent: AgentUnderTest) -> None:
    control = await platform.connected()
    await until(lambda: platform.telemetry)
    assert set(control.query) == set(captured(3)["query"])
    assert set(platform.telemetry[0].query) == set(captured(5)["query"])
    await control.ws.close()
    assert (await platform.connected(2)).query["sendCredentials"] == captured(133)["query"]["sendCredentials"]


async def test_idle_metrics_and_status_have_the_same_form(platform: Platform, agent: AgentUnderTest) -> None:
    socket = await until(lambda: platform.telemetry and platform.telemetry[0])
    await until(lambda: socket.heard_of("PublishMetricsRequest"))
    assert form(socket.heard_of("PublishMetricsRequest")[0]) == form(captured(7)["body"]["message"])
    assert form(socket.heard_of("PublishInstanceStatusRequest")[0]) == form(captured(14)["body"]["message"])


async def test_a_task_that_ends_by_itself_is_reported_in_the_same_form(
    platform: Platform, agent: AgentUnderTest, engine: FakeRuntime
) -> None:
    await platform.connected()
    arn = captured(43)["tasks"][0]["arn"]
    message_id = await replay(platform, 43)
    ours = await platform.reported(arn, "RUNNING")
    assert _same_members(ours, captured(45)["body"])
    engine.exit(engine.all()[0].id, 3)
    assert _same_members(await platform.reported(arn, "STOPPED"), captured(53)["body"])
    await until(lambda: message_id in platform.acknowledged())


def _same_members(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Ours may say more: when the image was pulled, and its digest."""
    extra = {"pullStartedAt", "pullStoppedAt"}
    container, other = ours["containers"][0], theirs["containers"][0]
    assert set(ours) - extra == set(theirs)
    assert set(container) - {"imageDigest"} == set(other)
    assert form(container["networkBindings"]) == form(other["networkBindings"])
    assert {name: ours[name] for name in ("cluster", "status", "task", "reason")} == {
        "cluster": "default",
        **{name: theirs[name] for name in ("status", "task", "reason")},
    }
    return True


async def test_order_credentials_and_health_are_handled_alike(platform: Platform, agent: AgentUnderTest, engine: FakeRuntime) -> None:
    socket = await platform.connected()
    arn = captured(75)["tasks"][0]["arn"]
    message_id = await replay(platform, 75)
    await until(lambda: any(state.is_running and "-init-" in state.name for state in engine.all()))
    assert not any("-web-" in state.name for state in engine.all())
    engine.exit(next(state.id for state in engine.all() if "-init-" in state.name), 0)
    ours = await platform.reported(arn, "RUNNING")
    last = {entry["containerName"]: entry["status"] for entry in captured(82)["body"]["containers"]}
    assert {entry["containerName"]: entry["status"] for entry in ours["containers"]} == last
    await until(lambda: len(socket.heard_of("IAMRoleCredentialsAckRequest")) == 2)
    expected = {**captured(76)["message"], "messageId": message_id}
    assert expected in socket.heard_of("IAMRoleCredentialsAckRequest")
    web = next(state.id for state in engine.all() if "-web-" in state.name)
    engine.set_health(web, "healthy")
    healthy = await until(lambda: [told for told in platform.health() if told["containers"][0]["healthStatus"] == "HEALTHY"])
    assert form(healthy[0]) == form(captured(85)["body"]["message"]["tasks"][0])
    await socket.say("IAMRoleCredentialsMessage", captured(106))
    await until(lambda: len(socket.heard_of("IAMRoleCredentialsAckRequest")) == 3)


async def test_a_volume_nobody_knows_is_refused_in_the_same_words(platform: Platform, agent: AgentUnderTest) -> None:
    await platform.connected()
    await replay(platform, 125)
    theirs = captured(126)["body"]
    ours = await platform.reported(theirs["task"], "STOPPED")
    assert ours == {**theirs, "cluster": "default"}


async def test_what_the_stock_agent_leaves_out_is_left_out(platform: Platform, agent: AgentUnderTest) -> None:
    socket = await platform.connected()
    await socket.say("NoSuchMessage", captured(109))
    await socket.say("PayloadMessage", captured(110))
    await socket.say("ErrorMessage", captured(111))
    await socket.say("HeartbeatMessage", captured(4))
    assert (await until(lambda: socket.heard_of("HeartbeatAckRequest")))[0] == captured(6)["message"]
    assert socket.heard_of("AckRequest") == []
