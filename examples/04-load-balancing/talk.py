"""Says words on a WebSocket, and prints what comes back: talk.py URL ROOT-CERTIFICATE WORD…"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult


class Here(AbstractResolver):
    """The name of a shop that is nowhere but on this machine."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        return None


async def talk(url: str, root: str, words: list[str]) -> None:
    trust = ssl.create_default_context(cafile=root)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Here())) as session,
        session.ws_connect(url, ssl=trust, timeout=aiohttp.ClientWSTimeout(ws_close=5.0)) as live,
    ):
        print(f"{urlsplit(url).path}: {(await live.receive_str())}")
        for word in words:
            await live.send_str(word)
            print(await live.receive_str())


asyncio.run(talk(sys.argv[1], sys.argv[2], sys.argv[3:]))
