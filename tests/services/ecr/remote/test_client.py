"""The client of other registries: signing in, redirects and what it refuses to send or to believe."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import RawTestServer

from longshore.kit.certificates import Authority
from longshore.kit.clock import SteppedClock, SystemClock
from longshore.services.ecr.names import digest_of
from longshore.services.ecr.remote.addresses import place_of
from longshore.services.ecr.remote.client import RemoteClient
from longshore.services.ecr.remote.connection import Credentials, Remotes
from longshore.services.ecr.remote.errors import RemoteDenied, RemoteInvalid, RemoteNotFound, RemoteUnavailable
from tests.registry.contents import LAYER, manifest
from tests.registry.upstream import PASSWORD, USER, Upstream, played

IMAGE = manifest(LAYER)
KNOWN = Credentials(USER, PASSWORD)
NO_ADDRESSES = ("http://[::1", "http://127.0.0.1:99999/", "//\udcff\udcfe/")


@pytest.fixture
async def remotes() -> AsyncIterator[Remotes]:
    made = Remotes(SystemClock(), silence_s=2)
    yield made
    await made.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    made = await played()
    made.put("app", IMAGE, "1")
    made.put_blob(LAYER)
    yield made
    await made.server.close()


def client_to(remotes: Remotes, upstream: Upstream, credentials: Credentials | None = KNOWN) -> RemoteClient:
    return RemoteClient(remotes, place_of(upstream.url), credentials)


async def read(client: RemoteClient, content: bytes = LAYER) -> bytes:
    return b"".join([piece async for piece in client.blob("app", digest_of(content), len(content))])


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
async def test_it_signs_in_as_it_is_asked_to_and_once(remotes: Remotes, upstream: Upstream, scheme: str) -> None:
    upstream.sign_in = scheme
    client = client_to(remotes, upstream)
    assert (await client.manifest("app", "1")).content == IMAGE
    assert await read(client) == LAYER
    before = len(upstream.asked)
    assert (await client.manifest("app", "1")).digest == digest_of(IMAGE)
    assert len(upstream.asked) == before + 1, "a token is used until it ends"


async def test_a_token_server_is_asked_without_credentials_where_there_are_none(remotes: Remotes, upstream: Upstream) -> None:
    upstream.sign_in = "bearer"
    assert (await client_to(remotes, upstream, None).manifest("app", "1")).content == IMAGE


@pytest.mark.parametrize(("scheme", "password"), [("basic", "wrong"), ("bearer", "wrong"), ("basic", None)])
async def test_who_is_not_let_in_is_denied(remotes: Remotes, upstream: Upstream, scheme: str, password: str | None) -> None:
    credentials = Credentials(USER, password) if password is not None else None
    upstream.sign_in = scheme
    with pytest.raises(RemoteDenied):
        await client_to(remotes, upstream, credentials).manifest("app", "1")


async def test_credentials_of_one_are_not_used_for_another(remotes: Remotes, upstream: Upstream) -> None:
    upstream.sign_in = "basic"
    await client_to(remotes, upstream).manifest("app", "1")
    with pytest.raises(RemoteDenied):
        await client_to(remotes, upstream, None).manifest("app", "1")


async def test_a_secret_access_key_is_shown_to_nobody(remotes: Remotes, upstream: Upstream) -> None:
    """It signs a request for a token. A registry that names a token server instead, which would get it as a password, is refused."""
    elsewhere = await played()
    upstream.sign_in, upstream.realm = "bearer", f"{elsewhere.url}/token"
    with pytest.raises(RemoteDenied):
        await client_to(remotes, upstream, Credentials(USER, PASSWORD, "AWS")).manifest("app", "1")
    assert elsewhere.shown == []
    await elsewhere.server.close()


async def test_a_redirect_leads_to_another_host_without_the_credentials(remotes: Remotes, upstream: Upstream) -> None:
    elsewhere = await played()
    elsewhere.put_blob(LAYER)
    upstream.sign_in, upstream.blobs_at = "basic", elsewhere.url
    assert await read(client_to(remotes, upstream)) == LAYER
    assert elsewhere.shown == [""]
    await elsewhere.server.close()


@pytest.mark.parametrize("place", ["http://169.254.169.254", "http://example.com", "ftp://127.0.0.1", *NO_ADDRESSES])
async def test_a_redirect_out_of_reach_is_not_followed(remotes: Remotes, upstream: Upstream, place: str) -> None:
    upstream.blobs_at = place
    with pytest.raises(RemoteInvalid):
        await read(client_to(remotes, upstream))


async def test_redirects_in_a_circle_end(remotes: Remotes, upstream: Upstream) -> None:
    upstream.blobs_at = upstream.url
    with pytest.raises(RemoteInvalid, match="too often"):
        await read(client_to(remotes, upstream))


@pytest.mark.parametrize("realm", ["http://169.254.169.254/token", "http://example.com/token", "not an address", *NO_ADDRESSES])
async def test_a_token_server_out_of_reach_is_not_asked(remotes: Remotes, upstream: Upstream, realm: str) -> None:
    upstream.sign_in, upstream.realm = "bearer", realm
    with pytest.raises(RemoteInvalid):
        await client_to(remotes, upstream).manifest("app", "1")


@pytest.mark.parametrize("path", ["/v2/app/manifests/1", "/token"])
async def test_an_answer_that_never_ends_is_not_waited_for(path: str) -> None:
    upstream = await played()
    upstream.sign_in = "bearer" if path == "/token" else ""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.path != path:
            return await upstream.handle(request)
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    server = RawTestServer(handle)
    await server.start_server()
    upstream.realm = f"http://127.0.0.1:{server.port}/token"
    remotes = Remotes(SystemClock(), answered_within_s=0.3)
    with pytest.raises(RemoteUnavailable):
        await RemoteClient(remotes, place_of(f"http://127.0.0.1:{server.port}"), KNOWN).manifest("app", "1")
    for each in (remotes, server, upstream.server):
        await each.close()


async def test_a_blob_that_drips_is_given_up(upstream: Upstream) -> None:
    clock = SteppedClock()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = len(LAYER)
        await response.prepare(request)
        for byte in LAYER:
            await response.write(bytes([byte]))
            await clock.step(60)
            await asyncio.sleep(0)
        return response

    server = RawTestServer(handle)
    await server.start_server()
    remotes = Remotes(clock)
    with pytest.raises(RemoteInvalid, match=r"in [0-9]+ seconds"):
        await read(RemoteClient(remotes, place_of(f"http://127.0.0.1:{server.port}")))
    await remotes.close()
    await server.close()


class _NamesOf(AbstractResolver):
    def __init__(self, address: str) -> None:
        self._address = address

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host=self._address, port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None: ...


@pytest.mark.parametrize(("url", "address"), [("https://registry.example", "169.254.169.254"), ("http://a.localhost:5000", "10.0.0.1")])
async def test_names_that_stand_for_forbidden_addresses_are_not_connected_to(url: str, address: str) -> None:
    remotes = Remotes(SystemClock(), resolver=_NamesOf(address))
    with pytest.raises(RemoteInvalid):
        await RemoteClient(remotes, place_of(url)).ping()
    await remotes.close()


async def test_nobody_at_the_address_is_unavailable_and_nothing_there_is_not_found(remotes: Remotes, upstream: Upstream) -> None:
    client = client_to(remotes, upstream)
    with pytest.raises(RemoteNotFound):
        await client.manifest("app", "2")
    await upstream.server.close()
    with pytest.raises(RemoteUnavailable):
        await client.ping()


async def test_a_transfer_that_gets_nowhere_is_given_up(remotes: Remotes, upstream: Upstream) -> None:
    upstream.breaks, upstream.breaks_after = 100, 0
    with pytest.raises(RemoteUnavailable):
        await read(client_to(remotes, upstream))
    assert upstream.count("GET /v2/app/blobs/") == 4


def test_a_password_is_not_shown() -> None:
    assert PASSWORD not in repr(Credentials(USER, PASSWORD))


async def test_a_registry_whose_certificate_nobody_trusts_is_not_spoken_to(remotes: Remotes, tmp_path: Path) -> None:
    now = SystemClock().now()
    authority = Authority.make("nobody's authority", now)
    (tmp_path / "both.pem").write_bytes(authority.issue(["127.0.0.1"], now))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "both.pem")
    asked: list[str] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        asked.append(request.path)
        return web.json_response({})

    server = RawTestServer(handle, scheme="https")
    await server.start_server(ssl=context)
    with pytest.raises(RemoteUnavailable, match="certificate"):
        await RemoteClient(remotes, place_of(f"https://127.0.0.1:{server.port}"), KNOWN).ping()
    assert asked == []
    await server.close()
