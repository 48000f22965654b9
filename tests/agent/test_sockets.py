"""When a socket is opened again, when it is closed for silence or age, and what a refusal says."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from longshore.agent.api import Api, PlatformUnreachable
from longshore.agent.sockets import LIFE_S, LIFE_SPREAD_S, QUIET_S, QUIET_SPREAD_S, Backoff, Dialer, HandshakeRefused, Watch, stay_connected
from longshore.config import Credentials
from longshore.kit.clock import SteppedClock, SystemClock
from longshore.kit.ids import SeededIds
from tests.agent.platform import KEY, REGION, SECRET, Platform, running_platform


class ClosableSocket:
    """As much of a socket as its watch touches."""

    def __init__(self) -> None:
        self.closed_with: tuple[int, bytes] | None = None

    async def close(self, *, code: int, message: bytes = b"") -> bool:
        self.closed_with = (code, message)
        return True


class Watched:
    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.socket = ClosableSocket()
        self.watch = Watch(self.socket, self.clock, SeededIds())  # type: ignore[arg-type]
        self.job = asyncio.create_task(self.watch.run())

    async def pass_by(self, seconds: float, *, hearing: bool) -> None:
        for _ in range(int(seconds)):
            if hearing:
                self.watch.heard()
            await asyncio.sleep(0)
            await self.clock.step(1)
        await asyncio.sleep(0)


async def test_a_socket_on_which_nothing_is_heard_is_closed() -> None:
    watched = Watched()
    await watched.pass_by(QUIET_S - 1, hearing=False)
    assert watched.socket.closed_with is None
    await watched.pass_by(QUIET_SPREAD_S + 2, hearing=False)
    assert watched.socket.closed_with == (1001, b"")
    await watched.job


async def test_a_socket_is_renewed_after_half_an_hour_however_lively_it_is() -> None:
    watched = Watched()
    await watched.pass_by(LIFE_S - 1, hearing=True)
    assert watched.socket.closed_with is None
    await watched.pass_by(LIFE_SPREAD_S + 2, hearing=True)
    assert watched.socket.closed_with == (1000, b"ConnectionExpired: Reconnect to continue")
    await watched.job


def _backoff() -> Backoff:
    return Backoff(SteppedClock(), SeededIds(), first_s=0.25, most_s=5.0, factor=1.5)


def test_pauses_grow_up_to_a_limit_and_start_over_after_a_good_connection() -> None:
    backoff = _backoff()
    waits = [backoff.after(0.0, clean=False) for _ in range(15)]
    assert 0.2 <= waits[0] <= 0.3 and waits[5] > waits[0] and max(waits) <= 6.0
    assert backoff.after(120.0, clean=False) <= 0.3


def test_a_clean_close_has_no_pause_but_a_revolving_door_has() -> None:
    backoff = _backoff()
    assert backoff.after(30.0, clean=True) == 0.0
    assert [backoff.after(0.01, clean=True) > 0 for _ in range(3)] == [False, True, True]
    assert backoff.after(30.0, clean=True) == 0.0


async def test_whatever_goes_wrong_it_is_tried_again() -> None:
    clock = SteppedClock()
    troubles = [
        PlatformUnreachable("gone"),
        HandshakeRefused(403, "AccessDeniedException", "no"),
        ConnectionResetError(),
        aiohttp.ClientError(),
    ]
    attempts = 0

    async def once() -> int | None:
        nonlocal attempts
        attempts += 1
        if troubles:
            raise troubles.pop(0)
        await asyncio.Event().wait()
        return None

    job = asyncio.create_task(stay_connected("test", once, lambda refusal: None, clock, _backoff()))
    while attempts < 5:
        await asyncio.sleep(0)
        await clock.step(1)
    job.cancel()


@pytest.mark.parametrize(
    "body",
    [{"InactiveInstanceException": "gone"}, {"type": "InactiveInstanceException", "message": {"message": "gone"}}],
)
async def test_a_refused_handshake_names_its_exception(body: dict[str, object]) -> None:
    async with running_platform() as platform:
        platform.handshake_refusals.append((400, body))
        with pytest.raises(HandshakeRefused) as refused:
            await _open(platform, {"a": "b"})
        assert refused.value.name == "InactiveInstanceException" and "gone" in str(refused.value)


async def test_queries_are_signed_as_they_are_sent() -> None:
    async with running_platform() as platform:
        query = {"dockerVersion": "DockerVersion: 20.10.24+dfsg1", "containerInstanceArn": "arn:aws:ecs:x:1:container-instance/a/b"}
        await _open(platform, query)
        assert (await platform.connected()).query == query


async def test_only_http_bases_are_served() -> None:
    async with aiohttp.ClientSession() as http:
        dialer = Dialer(Api(http, "http://127.0.0.1:1", REGION, Credentials(KEY, SECRET), SystemClock()))
        with pytest.raises(PlatformUnreachable):
            dialer.url("ws://127.0.0.1/acs", {})
        with pytest.raises(PlatformUnreachable):
            await dialer.open(dialer.url("http://127.0.0.1:1/acs", {}))
        await dialer.close()


async def _open(platform: Platform, query: dict[str, str]) -> None:
    async with aiohttp.ClientSession() as http:
        dialer = Dialer(Api(http, platform.endpoint, REGION, Credentials(KEY, SECRET), SystemClock()))
        try:
            socket = await dialer.open(dialer.url(f"{platform.endpoint}/acs", query))
            await socket.close()
        finally:
            await dialer.close()
