"""Sessions into containers, over real sockets: the client's end as `longshore exec` has it, the gateway, and the agent's end.

Only the container engine is a fake. Whether AWS's own plugin gets along with it is tested in tests/integration.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import msgspec
import pytest
from msgspec.structs import replace

from longshore.agent.api import Api
from longshore.agent.engine import Engine
from longshore.agent.exec import Sessions
from longshore.agent.sockets import Dialer
from longshore.aws.data_channel import Closing
from longshore.cli.outcome import Failure
from longshore.cli.stream import Ends, NobodyReads, Session, Stream
from longshore.config import Credentials
from longshore.gateway.agents.exec_offers import AGENT_ROUTE, announce_sessions
from longshore.gateway.authorise import Access
from longshore.gateway.exec import CLIENT_ROUTE, ExecSessions
from longshore.gateway.exec_bridge import IDLE_S
from longshore.gateway.identify import Identities
from longshore.kit.clock import SteppedClock, SystemClock
from longshore.kit.ids import RandomIds
from longshore.runtime.fake import Behaviour, FakeExecution, FakeRuntime
from longshore.services.call import Site
from longshore.services.ecs.exec.model import EXEC_SESSIONS, ExecSession
from longshore.services.ecs.exec.rules import digest_of
from longshore.services.sts.model import REVOCATIONS, Began, Revocation
from tests.gateway.platform import ACCOUNT, INSTANCE, KEY, REGION, SECRET, Platform, platform_on, until

TASK = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/demo/{'1' * 32}"
TOKEN = "a token nobody guesses"


@dataclass
class World:
    """A platform with a session on offer, and the agent that would serve it."""

    platform: Platform
    hub: ExecSessions
    runtime: FakeRuntime
    container_id: str
    sessions: Sessions
    clock: Clock2
    #: the instance's agent is told of nothing
    mute: bool = False

    async def offer(self, session_id: str = "s-1", **more: Any) -> Session:
        now = self.clock.now()
        row = ExecSession(
            id=session_id,
            task_arn=TASK,
            cluster_arn="",
            container_instance_arn=more.pop("container_instance_arn", INSTANCE),
            container_name="main",
            requester="arn:aws:iam::123456789012:root",
            token_digest=digest_of(TOKEN),
            created_at=now,
            expires_at=more.pop("expires_at", now + 60.0),
            command=("cat",),
            interactive=more.pop("interactive", False),
            **more,
        )
        await self.platform.store.transact(lambda tx: tx.put(EXEC_SESSIONS, row))
        address = f"{self.platform.url.replace('http', 'ws', 1)}{CLIENT_ROUTE}{session_id}?role=publish_subscribe"
        return Session(session_id, address, TOKEN)

    def executes(self, program: Any) -> None:
        self.runtime.behave("bb:1", Behaviour(executes=program))

    @property
    def rows(self) -> list[ExecSession]:
        return self.platform.store.list(EXEC_SESSIONS)


class Clock2(SystemClock):
    """The time of day, with a way to wait through long times at once."""

    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead

    async def sleep(self, seconds: float) -> None:
        end = self.now() + seconds
        while self.now() < end:  # noqa: ASYNC110 - time goes on by itself, and in leaps
            await asyncio.sleep(min(0.02, max(0.0, end - self.now())))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock = Clock2()
    async with platform_on(cast(SteppedClock, clock)) as platform:
        await platform.cluster()
        await platform.instance(agent_hash="longshore", agent_connected=True)
        site = Site(ACCOUNT, REGION, (f"{REGION}a",), platform.url, 4566)
        hub = ExecSessions(platform.store, clock, RandomIds(), Identities(platform.store, clock, site), Access(platform.store, clock))
        platform.gateway.mount(CLIENT_ROUTE, hub.handle_client)
        platform.gateway.mount(AGENT_ROUTE, hub.handle_agent)
        runtime = FakeRuntime()
        container_id = await runtime.create("c", {"Image": "bb:1"})
        await runtime.start(container_id)
        job = SimpleNamespace(container_id=lambda name: container_id, seen={"main": None})
        api = Api(platform.http, platform.url, REGION, Credentials(KEY, SECRET), clock)
        dialer = Dialer(api)
        sessions = Sessions(cast(Engine, SimpleNamespace(jobs={TASK: job})), runtime, dialer, INSTANCE)

        async def send(kind: str, message: dict[str, Any]) -> None:
            assert kind == "LongshoreExecMessage"
            if not there.mute:
                sessions.begin(msgspec.json.encode(message))

        there = World(platform, hub, runtime, container_id, sessions, clock)
        telling = asyncio.create_task(announce_sessions(platform.store, INSTANCE, platform.url, send))
        yield there
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        await hub.close()
        await sessions.close()
        await dialer.close()


class Pipes:
    """Standard input, output and error of a client."""

    def __init__(self, given: bytes | None = b"", *, size: Any = None) -> None:
        self._ends: list[int] = []
        self.stdin = None
        if given is not None:
            self.stdin, self.write_end = self._pipe()
        self.out, out = self._pipe()
        self.err, err = self._pipe()
        self.given = given
        self.ends = Ends(stdin=self.stdin, stdout=out, stderr=err, size=size)

    def _pipe(self) -> tuple[int, int]:
        ends = os.pipe()
        self._ends += ends
        return ends

    async def run(self, session: Session) -> tuple[Closing, bytes, bytes]:
        reading = [asyncio.create_task(asyncio.to_thread(_all_of, end)) for end in (self.out, self.err)]
        feeding = asyncio.create_task(asyncio.to_thread(self._feed)) if self.given is not None else None
        try:
            async with asyncio.timeout(20):
                closing = await Stream(session, None, self.ends).run()
        finally:
            os.close(self.ends.stdout)
            os.close(self.ends.stderr)
            output, errors = await asyncio.gather(*reading)
            if feeding is not None:
                with suppress(OSError):
                    os.close(self.stdin or -1)
                await asyncio.gather(feeding, return_exceptions=True)
            os.close(self.out)
            os.close(self.err)
        return closing, output, errors

    def _feed(self) -> None:
        view = memoryview(self.given or b"")
        with suppress(OSError):
            while view:
                view = view[os.write(self.write_end, view) :]
        os.close(self.write_end)


def _all_of(descriptor: int) -> bytes:
    found = b""
    while piece := os.read(descriptor, 65536):
        found += piece
    return found


async def test_bytes_go_in_and_come_out_as_they_are_and_the_code_is_passed_on(world: World) -> None:
    blob = os.urandom(700_000)

    async def program(execution: FakeExecution) -> int:
        while (data := await execution.given.get()) is not None:
            await execution.say(data)
        await execution.say(b"done", is_error=True)
        return 7

    world.executes(program)
    closing, output, errors = await Pipes(blob).run(await world.offer())
    assert output == blob
    assert (errors, closing.exit_code, closing.output) == (b"done", 7, "")
    await until(lambda: not world.rows, "the session is forgotten")


async def test_a_command_that_reads_nothing_is_not_in_the_way_of_its_output(world: World) -> None:
    async def program(execution: FakeExecution) -> int:
        for _ in range(300):
            await execution.say(b"x" * 10_000)
        return 0

    world.executes(program)
    closing, output, _ = await Pipes(os.urandom(2_000_000)).run(await world.offer())
    assert (len(output), closing.exit_code, closing.output) == (3_000_000, 0, "")


@pytest.mark.parametrize("purpose", ["command", "logs"])
async def test_a_session_ends_when_nobody_reads_its_output_any_more(world: World, purpose: str) -> None:
    ended = asyncio.Event()

    async def program(execution: FakeExecution) -> int:
        try:
            while True:
                await execution.say(b"y\n" * 1_000)
        finally:
            ended.set()

    world.executes(program)
    world.runtime.write(world.container_id, b"y\n" * 1_000)
    pipes = Pipes(None)
    os.close(pipes.out)
    more = {} if purpose == "command" else {"purpose": purpose, "follow": True}
    async with asyncio.timeout(10):
        with pytest.raises(NobodyReads):
            await Stream(await world.offer(**more), None, pipes.ends).run()
        if purpose == "command":
            await ended.wait()
    await until(lambda: not world.rows, "the session is forgotten")


async def test_the_terminals_size_and_its_changes_reach_the_command(world: World) -> None:
    sizes = iter([(80, 24), (132, 50)])
    seen: list[tuple[int, int]] = []

    async def program(execution: FakeExecution) -> int:
        assert execution.tty
        await until(lambda: execution.sizes)
        await stream.tell_size()
        await until(lambda: len(execution.sizes) > 1)
        seen.extend(execution.sizes)
        return 0

    world.executes(program)
    pipes = Pipes(None, size=lambda: next(sizes))
    stream = Stream(await world.offer(interactive=True), None, pipes.ends)
    async with asyncio.timeout(10):
        await stream.run()
    assert seen == [(80, 24), (132, 50)]


async def test_the_engines_refusal_is_the_sessions_end(world: World) -> None:
    world.runtime.exit(world.container_id, 0)
    closing, _, _ = await Pipes().run(await world.offer())
    assert (closing.exit_code, closing.output) == (None, f"Unable to start command: Container {world.container_id} is not running")


async def test_logs_are_read_to_their_end_and_followed_until_the_container_ends(world: World) -> None:
    world.runtime.write(world.container_id, b"one\n")
    world.runtime.write(world.container_id, b"two\n", is_error=True)
    closing, output, errors = await Pipes(None).run(await world.offer(purpose="logs"))
    assert (output, errors, closing.exit_code) == (b"one\n", b"two\n", 0)
    following = asyncio.create_task(Pipes(None).run(await world.offer("s-2", purpose="logs", follow=True, tail=0)))
    await until(lambda: any(row.status == "OPEN" for row in world.rows))
    world.runtime.write(world.container_id, b"three\n")
    world.runtime.exit(world.container_id, 0)
    assert (await following)[0].exit_code == 0


# ── who is let in ───────────────────────────────────────────────────────────────────────────────────────────────────


async def refused(session: Session) -> str:
    with pytest.raises(Failure) as caught:
        await Pipes(None).run(session)
    return caught.value.cause


async def test_a_token_opens_its_session_once(world: World) -> None:
    session = await world.offer()
    assert (await Pipes().run(session))[0].exit_code == 0
    assert "1008" in await refused(session)
    assert len(world.runtime.executions) == 1


@pytest.mark.parametrize("token", ["", "another token", "\N{SNOWMAN}", "x" * 9000])
async def test_another_token_opens_nothing_and_spoils_nothing(world: World, token: str) -> None:
    session = await world.offer()
    assert "closed (1008)" in await refused(replace(session, token_value=token))
    assert world.runtime.executions == []
    assert (await Pipes().run(session))[0].exit_code == 0


async def test_a_token_is_good_for_its_time_and_its_session_only(world: World) -> None:
    late = await world.offer("late", expires_at=world.clock.now() - 1)
    assert "closed (1008)" in await refused(late)
    await world.offer("other", expires_at=world.clock.now() + 60)
    nowhere = replace(late, stream_url=late.stream_url.replace("late", "nobody"))
    assert "closed (1008)" in await refused(nowhere)
    assert world.runtime.executions == []


async def test_a_first_frame_that_is_no_opening_is_refused(world: World) -> None:
    session = await world.offer()
    for frame in ("", "[]", '{"TokenValue": 1}', "not json"):
        async with world.platform.http.ws_connect(session.stream_url) as socket:
            await socket.send_str(frame)
            assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
    assert [row.status for row in world.rows] == ["OFFERED"]


async def test_another_instance_cannot_take_a_session_over(world: World) -> None:
    """Its credentials let it poll; the session is not its own."""
    other = f"{INSTANCE[:-1]}e"
    await world.platform.instance(other)
    session = await world.offer()
    api = Api(world.platform.http, world.platform.url, REGION, Credentials(KEY, SECRET), world.clock)
    thief = Dialer(api)
    url = thief.url(f"{world.platform.url}{AGENT_ROUTE}", {"sessionId": session.session_id, "containerInstanceArn": other})
    own = thief.url(f"{world.platform.url}{AGENT_ROUTE}", {"sessionId": session.session_id, "containerInstanceArn": INSTANCE})
    with pytest.raises(Exception, match="not one that this container instance is to serve"):
        await thief.open(own)  # nobody has come with the token: there is nothing to serve
    world.mute = True
    client = asyncio.create_task(Pipes(None).run(session))
    await until(lambda: [row.status for row in world.rows] == ["OPEN"])
    with pytest.raises(Exception, match="not one that this container instance is to serve"):
        await thief.open(url)
    client.cancel()
    await asyncio.gather(client, return_exceptions=True)
    await thief.close()


async def test_what_comes_without_a_websocket_is_told_what_is_wanted(world: World) -> None:
    async with world.platform.http.get(f"{world.platform.url}{CLIENT_ROUTE}x") as answer:
        assert answer.status == 426


# ── nothing stays half open ─────────────────────────────────────────────────────────────────────────────────────────


async def waits(execution: FakeExecution) -> int:
    await execution.say(b"ready")
    await asyncio.Event().wait()
    return 0


async def running(world: World) -> FakeExecution:
    await until(lambda: world.runtime.executions, "the command runs")
    return world.runtime.executions[0]


async def test_a_command_whose_client_goes_is_ended(world: World) -> None:
    world.executes(waits)
    client = asyncio.create_task(Pipes(None).run(await world.offer()))
    execution = await running(world)
    client.cancel()
    await asyncio.gather(client, return_exceptions=True)
    await until(lambda: execution.was_ended, "the command is ended")
    await until(lambda: not world.rows, "the session is forgotten")


async def test_a_command_is_ended_though_it_reads_nothing_of_a_lot_of_input(world: World) -> None:
    world.executes(waits)
    client = asyncio.create_task(Pipes(os.urandom(3_000_000)).run(await world.offer()))
    execution = await running(world)
    await until(execution.given.full, "its input is full")
    client.cancel()
    await until(lambda: execution.was_ended, "the command is ended")
    await asyncio.gather(client, return_exceptions=True)


async def test_a_client_whose_agent_goes_is_told(world: World) -> None:
    world.executes(waits)
    client = asyncio.create_task(Pipes(None).run(await world.offer()))
    await running(world)
    await world.sessions.close()
    closing, output, _ = await client
    assert (output, closing.exit_code) == (b"ready", None)
    assert closing.output == "The agent of the task's container instance went away."


async def test_a_session_in_which_nobody_says_anything_ends(world: World) -> None:
    world.executes(waits)
    client = asyncio.create_task(Pipes(None).run(await world.offer()))
    execution = await running(world)
    while not client.done():  # its first output may come after a leap, and counts as something said
        world.clock.ahead += IDLE_S + 1
        await asyncio.wait({client}, timeout=1.0)
    closing, _, _ = await client
    assert "nothing was said in it for 20 minutes" in closing.output
    await until(lambda: execution.was_ended, "the command is ended")


async def revoke(world: World, subject: str) -> None:
    now = world.clock.now()
    await world.platform.store.transact(lambda tx: tx.put(REVOCATIONS, Revocation(ACCOUNT, subject, subject, now, now, "", now + 60)))


async def test_a_session_ends_when_what_it_was_begun_with_is_revoked(world: World) -> None:
    world.executes(waits)
    links = tuple(Began(ACCOUNT, who, key, world.clock.now() - 5) for who, key in (("AIDAANN", KEY), ("AROADEPLOY", "ASIADEPLOY")))
    client = asyncio.create_task(Pipes(None).run(await world.offer(asked_with=links)))
    execution = await running(world)
    await revoke(world, "AIDABOB")
    await revoke(world, "AIDAANN")
    closing, output, _ = await asyncio.wait_for(client, 10)
    assert output == b"ready" and "have been revoked" in closing.output
    await until(lambda: execution.was_ended, "the command is ended")
    await until(lambda: not world.rows, "the session is forgotten")


async def test_nobody_comes_in_with_what_was_offered_before_a_revocation(world: World) -> None:
    session = await world.offer(asked_with=(Began(ACCOUNT, "AIDAANN", KEY, world.clock.now() - 5),))
    await revoke(world, KEY)
    assert "closed (1008)" in await refused(session)
    assert world.runtime.executions == []


async def test_a_server_that_stops_ends_its_sessions(world: World) -> None:
    world.executes(waits)
    client = asyncio.create_task(Pipes(None).run(await world.offer()))
    execution = await running(world)
    await world.hub.close()
    with pytest.raises(Failure):
        await client
    await until(lambda: execution.was_ended, "the command is ended")


# ── a hostile client ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_who_knows_a_sessions_name_alone_does_not_end_it_while_its_agent_is_on_its_way(world: World) -> None:
    world.mute = True
    session = await world.offer()
    client = asyncio.create_task(Pipes().run(session))
    await until(lambda: [row.status for row in world.rows] == ["OPEN"])
    assert "closed (1008)" in await refused(replace(session, token_value="a guess"))
    assert "closed (1008)" in await refused(session)
    assert [row.status for row in world.rows] == ["OPEN"]
    order = {"sessionId": session.session_id, "endpoint": f"{world.platform.url}{AGENT_ROUTE}", "taskArn": TASK, "containerName": "main"}
    world.sessions.begin(msgspec.json.encode(order))
    assert (await client)[0].exit_code == 0


async def test_one_of_two_who_come_with_the_token_at_once_is_served(world: World) -> None:
    session = await world.offer()
    ended = await asyncio.gather(*(Pipes().run(session) for _ in range(4)), return_exceptions=True)
    served = [one for one in ended if not isinstance(one, BaseException)]
    assert [closing.exit_code for closing, *_ in served] == [0]
    assert len(world.runtime.executions) == 1


@pytest.mark.parametrize("frame", ['{"x":' + "[" * 8000, '{"TokenValue":"\\ud800"}'])
async def test_an_opening_that_no_reader_gets_to_the_end_of_is_refused_as_any_other(world: World, frame: str) -> None:
    session = await world.offer()
    async with world.platform.http.ws_connect(session.stream_url) as socket:
        await socket.send_str(frame)
        assert (await socket.receive(timeout=5)).data == aiohttp.WSCloseCode.POLICY_VIOLATION
