"""How many connections containers may keep open to their agent."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from longshore.agent.metadata.limits import Crowd
from longshore.agent.metadata.server import _Guarded, _splice
from longshore.kit.certificates import Authority


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


async def test_who_has_said_all_still_hears_the_answer_of_a_platform_that_speaks_tls(tmp_path: Path) -> None:
    authority = Authority.make("test", time.time())
    (tmp_path / "server.pem").write_bytes(authority.issue(["127.0.0.1"], time.time()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    trust = ssl.create_default_context(cadata=authority.root_pem.decode())

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readexactly(5)
        await asyncio.sleep(0)  # whoever asked has closed his side by now
        writer.write(asked.upper())
        writer.close()

    platform = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    port = platform.sockets[0].getsockname()[1]

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _splice(reader, writer, *await asyncio.open_connection("127.0.0.1", port, ssl=trust))
        writer.close()

    door = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", door.sockets[0].getsockname()[1])
    writer.write(b"hello")
    writer.write_eof()
    async with asyncio.timeout(5):
        assert await reader.read() == b"HELLO"
    writer.close()
    for server in (door, platform):
        server.close()
