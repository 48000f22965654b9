"""Asking servers that somebody else names: one request, no redirects, so many seconds, so many bytes.

Who asks says what the answer may weigh. Cookies are neither kept nor sent, and nothing is decompressed: what has come is what was sent.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import aiohttp
from yarl import URL

_PIECE = 16 * 1024
_MOST_URL = 2048


class FetchFailed(Exception):
    """No answer; says why. `timed_out`: because it took too long. `untrusted`: because its certificate is nobody's that is known."""

    def __init__(self, text: str, *, timed_out: bool = False, untrusted: bool = False) -> None:
        super().__init__(text)
        self.timed_out = timed_out
        self.untrusted = untrusted


class Fetched(NamedTuple):
    status: int
    #: one byte more than was allowed, where there is more
    body: bytes


class Fetcher:
    """`authority` is a PEM file of what servers may prove themselves with, beside what the system trusts."""

    def __init__(self, authority: Path | None = None, *, timeout_s: float = 5.0) -> None:
        self._authority = authority
        self.timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _opened(self) -> aiohttp.ClientSession:
        async with self._opening:
            if self._session is None or self._session.closed:
                self._session = aiohttp.ClientSession(
                    cookie_jar=aiohttp.DummyCookieJar(),
                    connector=aiohttp.TCPConnector(ssl=await asyncio.to_thread(trust, self._authority), limit_per_host=16),
                    timeout=aiohttp.ClientTimeout(total=self.timeout_s),
                    auto_decompress=False,
                )
            return self._session

    async def ask(
        self,
        method: str,
        url: str,
        *,
        most: int,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        context: ssl.SSLContext | None = None,
    ) -> Fetched:
        """`most` bytes of body are taken; `context` stands in for what is trusted otherwise. Raises FetchFailed."""
        session = await self._opened()
        sent = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "Longshore", **(headers or {})}
        try:
            async with session.request(
                method, url, headers=sent, data=form, allow_redirects=False, ssl=True if context is None else context
            ) as answer:
                content = bytearray()
                async for piece in answer.content.iter_chunked(_PIECE):
                    content += piece
                    if len(content) > most:
                        break
                return Fetched(answer.status, bytes(content[: most + 1]))
        except TimeoutError:
            raise FetchFailed(f"no answer from {url} in {self.timeout_s:.0f} s", timed_out=True) from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise FetchFailed(f"{url}: {error}", untrusted=True) from None
        except (aiohttp.ClientError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            raise FetchFailed(f"{url}: {error}") from None


def trust(authority: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authority is not None and authority.exists():
        context.load_verify_locations(authority)
    return context


def is_private_way(url: str) -> bool:
    """Whether nobody between here and there can change what is said: HTTPS, or this machine itself."""
    if len(url) > _MOST_URL:
        return False
    try:
        parts = URL(url)
        host, port = parts.host, parts.port
    except ValueError:
        return False
    if host is None or port is None or parts.user is not None or parts.password is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_this_machine(host))


def is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
