"""Targets that are whole: an installation with something of every kind in it, asked through its gateway and its registry.

No request may be answered with a status of 500 or above, whatever stands in it.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
from base64 import b64encode
from collections.abc import Callable, Coroutine
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request

from longshore.aws.canonical import Claim, canonical_query, canonical_request, signature_of, string_to_sign
from longshore.aws.sigv4 import EMPTY_SHA256
from longshore.gateway.authorise import Access
from longshore.gateway.catalogue import SERVED, TARGET_PREFIXES, served
from longshore.gateway.identify import Identities
from longshore.gateway.request import ApiRequest, Reply
from longshore.kit.clock import SteppedClock
from longshore.registry.parts import ByTheGeneralWay
from longshore.registry.registry import Registry
from longshore.resources import RESOURCE_SIDES
from longshore.services.call import Site
from longshore.services.ecr.tokens import GOOD_FOR_S, password
from longshore.store.memory import memory_store
from tests.fuzz.engine import Target
from tests.sweeps.installation import (
    KINDS,
    OPERATIONS,
    OWNER,
    REGION,
    ROOT,
    SIGNING_SECRET,
    ZONES,
    House,
    Installation,
    furnish,
    image_manifest,
    written,
)
from tests.sweeps.samples import sample

_HOST = "127.0.0.1:4566"
_SITE = Site(OWNER, REGION, ZONES, f"http://{_HOST}", 4566)


class _World:
    """One house for all inputs, put back into order every so often."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self.house: House = self._loop.run_until_complete(furnish())
        self.there: Installation
        self.renew()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        self.run(self.there.store.close())
        self._loop.close()

    def renew(self) -> None:
        self.run(self._renewed())

    async def _renewed(self) -> None:
        if hasattr(self, "there"):
            await self.there.store.close()
        store = memory_store(KINDS, self.house.rows)
        self.there = Installation(store, deepcopy(self.house.blobs), SteppedClock())

    def answer(self, request: ApiRequest) -> Reply:
        reply: Reply = self.run(self.there.gateway.answer(request))
        assert reply.status < 500, f"{reply.status}: {reply.body[:200]!r}"
        return reply


# ── what is signed rightly, and has anything in it ──────────────────────────────────────────────────────────────────

_PREFIX_OF = {api: prefix for prefix, api in TARGET_PREFIXES.items()}


def _api_seeds(world: _World) -> list[bytes]:
    """API, newline, operation, newline, body: for every operation that is served."""
    seeds = []
    for api, operation in OPERATIONS:
        body, _ = written(api, operation, sample(world.house, api, operation))
        seeds.append(f"{api}\n{operation}\n".encode() + body)
    return seeds


def _ask(world: _World) -> Callable[[bytes], None]:
    names = {api.encode(): api for api in SERVED}

    def run(data: bytes) -> None:
        api_name, _, rest = data.partition(b"\n")
        operation, _, body = rest.partition(b"\n")
        api = names.get(api_name, "ecs")
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if served(api).model.protocol == "json":
            headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{_PREFIX_OF[api]}.{operation.decode('latin-1')}"}
        given = {"Host": _HOST, **headers} | world.there.signed(api, body, headers, ROOT, REGION)
        lowered = {name.lower(): value for name, value in given.items()}
        world.answer(ApiRequest("POST", "/", "", tuple(given.items()), lowered, body, "127.0.0.1", False))

    return run


# ── signatures ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _signed_seeds(world: _World) -> list[bytes]:
    """Request line, headers, blank line and body, as they would come over a socket."""
    seeds = []
    for api, body in (("sts", b"Action=GetCallerIdentity&Version=2011-06-15"), ("iam", b"Action=ListUsers&Version=2010-05-08")):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        given = {"Host": _HOST, **headers} | world.there.signed(api, body, headers, ROOT, REGION)
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        seeds.append(f"POST / HTTP/1.1\r\n{lines}\r\n".encode() + body)
    timestamp = datetime.fromtimestamp(world.there.clock.now(), UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{timestamp[:8]}/{REGION}/sts/aws4_request"
    asked = {
        "Action": "GetCallerIdentity",
        "Version": "2011-06-15",
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{ROOT.access_key_id}/{scope}",
        "X-Amz-Date": timestamp,
        "X-Amz-Expires": "60",
        "X-Amz-SignedHeaders": "host",
    }
    query = urlencode(asked, quote_via=quote)
    claim = Claim(ROOT.access_key_id, timestamp[:8], REGION, "sts", scope, ("host",))
    canonical = canonical_request("GET", "/", canonical_query(query), {"host": _HOST}, claim, EMPTY_SHA256)
    signature = signature_of(string_to_sign(canonical, timestamp, claim), claim, ROOT.secret)
    seeds.append(f"GET /?{query}&X-Amz-Signature={signature} HTTP/1.1\r\nHost: {_HOST}\r\n\r\n".encode())
    return seeds


def _identify(world: _World) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").split("\r\n")
        method, _, target = line.partition(" ")
        path, _, query = target.removesuffix(" HTTP/1.1").partition("?")
        pairs = tuple((name, value.strip()) for name, _, value in (header.partition(":") for header in rest))
        lowered = {name.lower(): value for name, value in pairs}
        reply = world.answer(ApiRequest(method, path, query, pairs, lowered, body, "127.0.0.1", False))
        assert reply.status == 200 or b"Arn>" not in reply.body, "a refusal tells nothing"

    return run


# ── the registry ────────────────────────────────────────────────────────────────────────────────────────────────────


def _registry_seeds(world: _World) -> list[bytes]:
    digest = b"sha256:" + b"0" * 64
    lines = (
        *(b"GET /v2/", b"GET /v2/_catalog?n=5&last=a", b"GET /v2/app/web/tags/list?n=1", b"HEAD /v2/app/web/manifests/latest"),
        *(b"GET /v2/app/web/blobs/" + digest, b"DELETE /v2/app/web/manifests/" + digest, b"POST /v2/app/web/blobs/uploads/"),
        *(b"POST /v2/app/web/blobs/uploads/?mount=" + digest + b"&from=app/other", b"GET /v2/app/web/referrers/" + digest),
        *(b"PUT /v2/app/web/manifests/v1", b"PATCH /v2/app/web/blobs/uploads/x", b"PUT /v2/app/web/blobs/uploads/x?digest=" + digest),
        b"GET /v2/210987654321.dkr.ecr.eu-west-1/app/web/manifests/latest",
    )
    headers = b"\nContent-Type: application/vnd.oci.image.manifest.v1+json\nRange: bytes=0-9\nContent-Range: 0-9\n"
    body = image_manifest("fuzzed").encode()
    return [line + headers + b"\n" + body for line in lines]


def _pull(world: _World) -> Callable[[bytes], None]:
    registry: list[tuple[Installation, Registry, str]] = []

    def at() -> tuple[Registry, str]:
        there = world.there
        if not registry or registry[0][0] is not there:
            access, identities = (
                Access(there.store, there.clock, RESOURCE_SIDES),
                Identities(there.store, there.clock, _SITE, SIGNING_SECRET),
            )
            made = Registry(
                store=there.store,
                blobs=there.blobs,
                clock=there.clock,
                site=_SITE,
                secret=SIGNING_SECRET,
                authorise=access.denial,
                owner=identities.owner,
            )
            principal = identities.owner(ROOT.access_key_id)
            assert principal is not None
            token = password(SIGNING_SECRET, principal, there.clock.now() + GOOD_FOR_S)
            registry[:] = [(there, made, "Basic " + b64encode(f"AWS:{token}".encode()).decode())]
        return registry[0][1], registry[0][2]

    async def visit(method: str, target: str, headers: dict[str, str], body: bytes) -> int:
        made, authorization = at()
        content = StreamReader(_Quiet(), 2**16)  # type: ignore[arg-type]
        content.feed_data(body)
        content.feed_eof()
        try:
            request = make_mocked_request(method, target, {"Host": _HOST, "Authorization": authorization, **headers}, payload=content)
        except ValueError:
            return 0  # no HTTP server would let it through to us
        with contextlib.suppress(ByTheGeneralWay):
            return (await made.answer(request)).status
        return 0

    def run(data: bytes) -> None:
        head, _, body = data.partition(b"\n\n")
        line, *rest = head.decode("latin-1").split("\n")
        method, _, target = line.partition(" ")
        named = (header.partition(":") for header in rest)
        headers = {name: value.strip() for name, _, value in named if name.replace("-", "").isalnum() and name.isascii()}
        if target.startswith("/"):
            status = world.run(visit(method, target, headers, body))
            assert status < 500, status

    return run


class _Quiet:
    """What a stream asks of its connection."""

    _reading_paused = False

    def pause_reading(self, **_: object) -> None: ...

    def resume_reading(self, **_: object) -> None: ...


_WORDS = (b"Action=", b"&Version=2010-05-08", b'"nextToken":"', b'"maxResults":', b"null", b"arn:aws:ecs:us-east-1:123456789012:")
_SIGNATURE_WORDS = (
    *(
        b"Credential=",
        b"SignedHeaders=host",
        b"Signature=",
        b"AWS4-HMAC-SHA256 ",
        b"X-Amz-Date: ",
        b"20231114T221320Z",
        b"/aws4_request",
        b";",
    ),
    *(b"X-Amz-Security-Token: LSt1", b"X-Amz-Expires=604801", b"X-Amz-Content-SHA256: UNSIGNED-PAYLOAD\r\n", b"Authorization: a\r\n"),
)


def doors() -> tuple[Target, ...]:
    world = _World()
    atexit.register(world.close)
    return (
        Target("api", _ask(world), _api_seeds(world), _WORDS, share=0.1, renew=world.renew, renew_every=500),
        Target("signature", _identify(world), _signed_seeds(world), _SIGNATURE_WORDS, share=0.5, renew=world.renew, renew_every=50_000),
        Target(
            "registry",
            _pull(world),
            _registry_seeds(world),
            (b"/blobs/", b"?digest=", b"%2e%2e/", b"sha256:"),
            share=0.1,
            renew=world.renew,
        ),
    )
