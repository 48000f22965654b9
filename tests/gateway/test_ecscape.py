"""The attack known as ECScape, from end to end over the agents' own sockets.

Somebody has the credentials of one container instance: by taking the machine over, or from a container on it that got at them. With
those they try whatever the protocol of agents has, to read what another instance's tasks are, to acknowledge it in its place, to report
for it, and to be handed the credentials of roles whose tasks do not run where they are. The role of machines is as careless as can be.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import WSServerHandshakeError
from yarl import URL

from longshore.config import local_code
from longshore.gateway.agents.control import REPEAT_S
from longshore.gateway.machines import ROUTE, Machines
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import RandomIds
from tests.gateway.platform import CLUSTER, SECRET, SIGNING_SECRET, Platform, platform_on, until
from tests.gateway.stock_agent import StockAgent, control_url, refusal, signed_headers, telemetry_url
from tests.gateway.test_machines import HERE, SITE, THERE, Keys, ecs, everything_allowed, instance_of, let_in, machine, posted, registered


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    async with platform_on(SteppedClock()) as made:
        await made.cluster()
        machines = Machines(made.store, made.gateway._identities, made.clock, RandomIds(), SITE, SIGNING_SECRET, SECRET)
        made.gateway.mount(ROUTE, machines.handle)
        yield made


class Scene:
    """An attacker with one instance, a victim on another with a task that has a role."""

    def __init__(self, platform: Platform, attacker: Keys, own: str, victim: Keys, target: str, task: str, role: str) -> None:
        self.platform, self.attacker, self.own = platform, attacker, own
        self.victim, self.target, self.task, self.role = victim, target, task, role

    async def refused(self, url: URL, keys: Keys) -> str:
        """What the handshake is refused with."""
        status, body = await refusal(
            self.platform, url, signed_headers(self.platform, url, key=keys.key, secret=keys.secret, token=keys.token)
        )
        assert status in (400, 403), (status, body)
        return str(body)


@pytest.fixture
async def scene(platform: Platform) -> Scene:
    attacker, victim = await machine(platform, HERE), await machine(platform, THERE)
    await everything_allowed(platform)
    own, target = await instance_of(platform, attacker, HERE), await instance_of(platform, victim, THERE)
    role = await platform.role("app")
    await platform.definition(task_role_arn=role)
    return Scene(platform, attacker, own, victim, target, await platform.task(1, instance=target), role)


async def test_ecscape(scene: Scene) -> None:
    """What an open session of one's own is worth: nothing of another's is told, and nothing said there reaches it."""
    platform = scene.platform
    async with (
        StockAgent(platform, scene.target, keys=scene.victim, acknowledges=False) as victim,
        StockAgent(platform, scene.own, keys=scene.attacker) as attacker,
    ):
        await victim.until_told(scene.task, "RUNNING")
        payload = victim.of_type("PayloadMessage")[0]
        given = payload["tasks"][0]["roleCredentials"]
        await attacker.settled()
        # everything that the victim would say, with the very ids it was told, by the attacker's session
        for cluster, instance in ((CLUSTER, scene.target), (CLUSTER, scene.own), ("demo", scene.target.rpartition("/")[2])):
            about = {"cluster": cluster, "containerInstance": instance, "messageId": payload["messageId"]}
            await attacker.say("AckRequest", about)
            answer = {name: given[name] for name in ("credentialsId", "expiration")}
            await attacker.say("IAMRoleCredentialsAckRequest", {"messageId": payload["messageId"], **answer})
            await attacker.say("HeartbeatAckRequest", {"messageId": payload["messageId"]})
        candidate = {"taskArn": scene.task, "taskClusterArn": CLUSTER, "desiredStatus": "STOPPED"}
        manifest = attacker.of_type("TaskManifestMessage")[-1]["messageId"]
        await attacker.say("TaskStopVerificationMessage", {"messageId": manifest, "stopCandidates": [candidate]})
        await attacker.settled()
        await platform.clock.step(REPEAT_S + 1)
        await victim.until_told(scene.task, "RUNNING", times=2)  # nobody has acknowledged it in its place
        await attacker.settled()
        assert not victim.of_type("TaskStopVerificationAck")
        assert ("STOPPED" not in {status for _, status in victim.told}) and platform.seen_task(scene.task).stop is None
        heard = json.dumps(attacker.heard)
        for secret in (given["accessKeyId"], given["secretAccessKey"], given["sessionToken"], scene.role):
            assert secret not in heard
        assert attacker.told == [] and scene.task not in json.dumps(attacker.of_type("PayloadMessage"))


async def test_no_mixture_of_ones_own_credentials_with_anothers_opens_its_sockets(scene: Scene) -> None:
    mine, its = scene.attacker, scene.victim
    for keys in (
        Keys(mine.key, mine.secret, its.token),
        Keys(its.key, mine.secret, its.token),
        Keys(its.key, mine.secret, mine.token),
        Keys(mine.key, its.secret, mine.token),
        Keys(its.key, its.secret, mine.token),
        Keys(its.key, its.secret, None),
    ):
        for url_of in (control_url, telemetry_url):
            assert "AccessDenied" in await scene.refused(url_of(scene.platform, scene.target), keys)


async def test_an_instance_named_twice_is_no_way_to_the_other(scene: Scene) -> None:
    for first, second in ((scene.own, scene.target), (scene.target, scene.own)):
        for path, name in (("/acs/ws", "containerInstanceArn"), ("/tcs/ws", "containerInstance")):
            query = urlencode([("cluster", "demo"), (name, first), (name, second), ("sendCredentials", "true"), ("seqNum", "1")])
            url = URL(f"{scene.platform.url}{path}?{query}", encoded=True)
            headers = signed_headers(scene.platform, url, key=scene.attacker.key, secret=scene.attacker.secret, token=scene.attacker.token)
            try:
                async with scene.platform.http.ws_connect(url, headers=headers):
                    pass
            except WSServerHandshakeError as refused:
                assert refused.status == 403
                continue
            assert first == scene.own, "the one that is checked is the one that is served"
            assert not scene.platform.seen(scene.target).agent_connected


async def test_a_role_whose_tasks_run_elsewhere_is_not_to_be_had_by_asking(scene: Scene) -> None:
    """Neither by taking it on nor by having it run here under one's own name."""
    answer = await sts(scene.platform, scene.attacker, "AssumeRole", RoleArn=scene.role, RoleSessionName="mine")
    assert answer[0] == 403 and "AccessDenied" in answer[1]
    async with StockAgent(scene.platform, scene.own, keys=scene.attacker) as agent:
        await agent.settled()
        assert agent.of_type("IAMRoleCredentialsMessage") == []


async def sts(platform: Platform, keys: Keys, action: str, **asked: str) -> tuple[int, str]:
    body = urlencode({"Action": action, "Version": "2011-06-15", **asked}).encode()
    status, answer = await posted(platform, keys, "sts", body, {"Content-Type": "application/x-www-form-urlencoded"})
    return status, answer.decode()


@pytest.mark.parametrize("again", [False, True], ids=["gone", "registered anew"])
async def test_ecscape_after_ones_own_instance_was_deregistered(scene: Scene, again: bool) -> None:
    platform, attacker = scene.platform, scene.attacker
    gone = await ecs(platform, "DeregisterContainerInstance", attacker, cluster="demo", containerInstance=scene.own)
    assert gone.status == 200, gone
    if again:
        assert (await registered(platform, attacker, HERE)).status == 200
    assert "InactiveInstanceException" in await scene.refused(control_url(platform, scene.own), attacker)
    for url_of in (control_url, telemetry_url):
        assert "AccessDenied" in await scene.refused(url_of(platform, scene.target), attacker)
    before = platform.store.revision
    about = {"cluster": "demo", "task": scene.task}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("DiscoverPollEndpoint", {"cluster": "demo", "containerInstance": scene.target}),
        ("SubmitTaskStateChange", {**about, "status": "STOPPED", "reason": ""}),
        ("SubmitContainerStateChange", {**about, "containerName": "main", "status": "STOPPED"}),
        ("LongshoreSubmitTaskRecord", {**about, "containers": []}),
        ("DeregisterContainerInstance", {"cluster": "demo", "containerInstance": scene.target, "force": True}),
    ]
    for operation, request in asked:
        assert (await ecs(platform, operation, attacker, **request)).denied, operation
    assert (await let_in(platform, local_code("not the root's", THERE), THERE)).status == 400
    assert platform.store.revision == before
    async with StockAgent(platform, scene.target, keys=scene.victim) as victim:
        await victim.until_told(scene.task, "RUNNING")
        await until(lambda: platform.seen(scene.target).agent_connected)
