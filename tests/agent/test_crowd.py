"""How many connections containers may keep open to their agent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from longshore.agent.metadata.limits import Crowd
from longshore.agent.metadata.server import _Guarded


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_law_nobody_has_more_than_his_share_and_whoever_leaves_makes_room(moves: list[tuple[str, bool]]) -> None:
    crowd, here = Crowd(most_of_address=3, most=5), dict.fromkeys("abc", 0)
    for address, comes in moves:
        if comes:
            has_room = here[address] < 3 and sum(here.values()) < 5
            assert crowd.enter(address) is has_room
            here[address] += has_room
        elif here[address]:
            crowd.leave(address)
            here[address] -= 1


async def test_connections_that_say_nothing_do_not_take_the_place_of_others_for_ever() -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="here")

    handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]] = answer
    runner = web.ServerRunner(_Guarded(handle, Crowd(most_of_address=4)))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    quiet = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        assert await reader.read(1) == b""
    except ConnectionResetError:
        pass
    writer.close()
    for _, open_end in quiet:
        open_end.close()
        await open_end.wait_closed()

    async def asked() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async with asyncio.timeout(5):
        while b"here" not in await asked():
            continue
    await runner.cleanup()
