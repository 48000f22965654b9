"""Servers that others name are asked once, for so many bytes and so many seconds, and believed when they prove who they are."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha1
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from longshore.kit.certificates import Authority
from longshore.kit.fetching import Fetcher, FetchFailed, is_private_way
from longshore.services.sts.web_identity.thumbprints import pinned

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


async def hello(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=b"hello")


@asynccontextmanager
async def serving(answer: Answer, secure: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=secure).start()
    try:
        yield f"{'https' if secure else 'http'}://localhost:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    made = Fetcher(timeout_s=0.5)
    yield made
    await made.close()


async def test_a_body_is_taken_up_to_so_many_bytes(fetcher: Fetcher) -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 4096)

    async with serving(endless) as url:
        assert await fetcher.ask("GET", url, most=10_000) == (200, b"x" * 10_001)
    async with serving(hello) as url:
        assert await fetcher.ask("GET", url, most=5) == (200, b"hello")


async def test_nobody_is_waited_for_longer_than_was_said(fetcher: Fetcher) -> None:
    async def trickling(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        await asyncio.Event().wait()
        return response

    async with serving(trickling) as url:
        with pytest.raises(FetchFailed) as failed:
            await fetcher.ask("GET", url, most=1000)
    assert failed.value.timed_out


async def test_redirects_cookies_and_compression_are_left_alone(fetcher: Fetcher) -> None:
    seen: list[web.BaseRequest] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request)
        headers = {"Location": "http://127.0.0.1:1/", "Set-Cookie": "a=b", "Content-Encoding": "gzip"}
        return web.Response(status=302, headers=headers, body=b"not gzip at all")

    async with serving(answer) as url:
        for _ in range(2):
            assert await fetcher.ask("GET", url, most=100) == (302, b"not gzip at all")
    assert "Cookie" not in seen[1].headers and seen[0].headers["Accept-Encoding"] == "identity"


async def test_who_is_not_there_is_said_to_be_so(fetcher: Fetcher) -> None:
    for url in ("http://127.0.0.1:1/", "http://no-such-host.invalid/", "http://[::1", "gopher://127.0.0.1/"):
        with pytest.raises(FetchFailed):
            await fetcher.ask("GET", url, most=10)


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("https://idp.example.com/keys", True),
        ("https://10.0.0.1:8443/", True),
        ("http://127.0.0.1:8080/x", True),
        ("http://127.5.5.5/x", True),
        ("http://[::1]:8080/x", True),
        ("http://localhost/x", True),
        ("http://idp.example.com/", False),
        ("http://localhost.example.com/", False),
        ("http://127.0.0.1.example.com/", False),
        ("http://0.0.0.0/", False),
        ("http://2130706433.example/", False),
        ("https://user@idp.example.com/", False),
        ("https://user:secret@127.0.0.1/", False),
        ("https://idp.example.com/#x", False),
        ("ftp://127.0.0.1/", False),
        ("file:///etc/passwd", False),
        ("https:///x", False),
        ("//127.0.0.1/", False),
        ("", False),
        ("https://idp.example.com/" + "x" * 2048, False),
    ],
)
def test_only_ways_that_nobody_can_listen_in_on_are_gone(url: str, private: bool) -> None:
    assert is_private_way(url) is private


# ── certificates ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Secured:
    """A server's certificate of an authority that nobody knows, for `localhost` unless another name is given."""

    def __init__(self, directory: Path, name: str = "localhost") -> None:
        authority = Authority.make("Nobody's", time.time() - 86_400)
        file = directory / "server.pem"
        file.write_bytes(authority.issue((name,), time.time()) + authority.root_pem)
        self.root = directory / "root.pem"
        self.root.write_bytes(authority.root_pem)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(file)
        self.thumbprints = [
            sha1(certificate.public_bytes(Encoding.DER)).hexdigest() for certificate in x509.load_pem_x509_certificates(file.read_bytes())
        ]


async def test_a_certificate_of_nobodys_is_not_believed_and_one_of_the_installations_is(fetcher: Fetcher, tmp_path: Path) -> None:
    secured = Secured(tmp_path)
    knowing = Fetcher(secured.root, timeout_s=2)
    async with serving(hello, secured.context) as url:
        with pytest.raises(FetchFailed) as failed:
            await fetcher.ask("GET", url, most=10)
        assert failed.value.untrusted
        assert (await knowing.ask("GET", url, most=10)).body == b"hello"
    await knowing.close()


async def test_a_thumbprint_of_any_certificate_of_the_chain_is_enough(fetcher: Fetcher, tmp_path: Path) -> None:
    secured = Secured(tmp_path)
    assert len(secured.thumbprints) >= 2
    async with serving(hello, secured.context) as url:
        for thumbprint in secured.thumbprints:
            context = await pinned(url, ["ab" * 20, thumbprint])
            assert (await fetcher.ask("GET", url, most=10, context=context)).body == b"hello"
        with pytest.raises(FetchFailed) as failed:
            await pinned(url, ["ab" * 20])
        assert failed.value.untrusted


async def test_a_thumbprint_does_not_make_up_for_another_name_or_another_key(fetcher: Fetcher, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    secured, named = Secured(tmp_path), Secured(tmp_path / "other", "idp.example.com")
    async with serving(hello, named.context) as url:
        with pytest.raises(FetchFailed):
            await fetcher.ask("GET", url, most=10, context=await pinned(url, named.thumbprints))
    async with serving(hello, secured.context) as url:
        context = await pinned(url, secured.thumbprints)
    async with serving(hello, named.context) as url:
        with pytest.raises(FetchFailed):
            await fetcher.ask("GET", url, most=10, context=context)


async def test_a_server_that_shows_its_certificate_a_byte_at_a_time_is_left_in_time() -> None:
    left = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x16\x03\x03\x40\x00\x02")  # a handshake record of 16 KiB begins
        with contextlib.suppress(OSError):
            while not writer.is_closing():
                await asyncio.sleep(0.02)
                writer.write(b"\0")
                await writer.drain()
        writer.close()
        left.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}/"
    with pytest.raises(FetchFailed) as failed:
        await asyncio.wait_for(pinned(url, ["ab" * 20], timeout_s=0.2), 3)
    assert failed.value.timed_out
    await asyncio.wait_for(left.wait(), 3)
    server.close()
    await server.wait_closed()
