"""Somebody else's registry, played: with sign-in, failures, slowness and lies to order, and a record of what it was asked."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import RawTestServer

from longshore.services.ecr.manifests import OCI_MANIFEST
from longshore.services.ecr.names import digest_of

USER, PASSWORD, TOKEN = "mirror", "pass:word", "a-token"


@dataclass
class Upstream:
    server: RawTestServer
    manifests: dict[tuple[str, str], tuple[bytes, str]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    #: "METHOD path" of every request, in order
    asked: list[str] = field(default_factory=list)
    #: Authorization headers of those requests
    shown: list[str] = field(default_factory=list)
    #: "", "basic" or "bearer"
    sign_in: str = ""
    #: answered to everything below /v2/ while it is set
    status: int = 0
    #: bodies of blobs stop after their first half until this is set
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    #: the connection breaks after so many bytes of a blob, this often
    breaks_after: int = 0
    breaks: int = 0
    #: whole blobs are answered whatever part was asked for, and without saying how long they are
    simple: bool = False
    #: blobs are sent on to this address
    blobs_at: str = ""
    #: where tokens are handed out; here, unless said
    realm: str = ""

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def put(self, name: str, content: bytes, *tags: str, media_type: str = OCI_MANIFEST) -> str:
        digest = digest_of(content)
        for reference in (digest, *tags):
            self.manifests[name, reference] = (content, media_type)
        return digest

    def put_blob(self, content: bytes) -> str:
        self.blobs[digest_of(content)] = content
        return digest_of(content)

    def count(self, start: str) -> int:
        return sum(each.startswith(start) for each in self.asked)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        self.shown.append(request.headers.get("Authorization", ""))
        if request.path == "/token":
            return self._token(request)
        if self.status:
            return web.Response(status=self.status)
        refused = self._refused(request)
        if refused is not None:
            return refused
        if request.path == "/v2/":
            return web.json_response({})
        name, kind, reference = request.path.removeprefix("/v2/").rsplit("/", 2)
        return await self._blob(request, reference) if kind == "blobs" else self._manifest(request, name, reference)

    def _token(self, request: web.BaseRequest) -> web.Response:
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if request.headers.get("Authorization") not in (None, basic):
            return web.Response(status=401)
        return web.json_response({"token": TOKEN, "expires_in": 300})

    def _refused(self, request: web.BaseRequest) -> web.Response | None:
        shown = request.headers.get("Authorization", "")
        if self.sign_in == "basic" and shown != "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode():
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="upstream"'})
        if self.sign_in == "bearer" and shown != f"Bearer {TOKEN}":
            challenge = f'Bearer realm="{self.realm or self.url + "/token"}",service="upstream",scope="repository:x:pull"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        return None

    def _manifest(self, request: web.BaseRequest, name: str, reference: str) -> web.Response:
        held = self.manifests.get((name, reference))
        if held is None:
            return web.Response(status=404)
        content, media_type = held
        return web.Response(body=content, headers={"Content-Type": media_type, "Docker-Content-Digest": digest_of(content)})

    async def _blob(self, request: web.BaseRequest, digest: str) -> web.StreamResponse:
        if self.blobs_at:
            return web.Response(status=307, headers={"Location": f"{self.blobs_at}/v2/elsewhere/blobs/{digest}"})
        content = self.blobs.get(digest)
        if content is None:
            return web.Response(status=404)
        first = 0 if self.simple else int(request.headers.get("Range", "bytes=0-")[6:-1])
        response = web.StreamResponse(status=206 if first else 200)
        if first:
            response.headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        rest = content[first:]
        if self.simple:
            response.enable_chunked_encoding()
        else:
            response.content_length = len(rest)
        await response.prepare(request)
        if self.breaks:
            self.breaks -= 1
            await response.write(rest[: self.breaks_after])
            assert request.transport is not None
            request.transport.close()
            return response
        half = len(rest) // 2
        await response.write(rest[:half])
        await self.gate.wait()
        await response.write(rest[half:])
        await response.write_eof()
        return response


async def played() -> Upstream:
    made: list[Upstream] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return await made[0].handle(request)

    server = RawTestServer(handle)
    await server.start_server()
    made.append(Upstream(server))
    return made[0]
