"""The routes for the registry's upkeep: who may, what they answer, and what they do not put up with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from longshore.aws.sigv4 import sign
from longshore.gateway.authorise import Access
from longshore.gateway.identify import Identities
from longshore.gateway.upkeep import PREFIX, Upkeep
from longshore.kit.clock import SteppedClock, SystemClock
from longshore.registry.garbage import GarbageCollector
from longshore.services.call import Site
from longshore.services.ecr.images import record_blob
from longshore.services.ecr.model import REPOSITORIES, Repository
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.services.iam import model as iam
from longshore.services.iam.identities import ensure_root
from longshore.store.base import Tx
from longshore.store.memory_blobs import MemoryBlobStore
from tests.gateway.platform import ACCOUNT, KEY, REGION, SECRET, Platform, platform_on

LAYER = b"a layer"
WEB = RepositoryId(REGION, ACCOUNT, "app/web")
STRANGER = "210987654321"
ROUTES = [("GET", "usage"), ("POST", "verify"), ("POST", "collect")]


class Broken(MemoryBlobStore):
    """Shows other bytes than were stored."""

    async def stream(self, digest: str, first: int, last: int) -> AsyncIterator[bytes]:
        async for chunk in super().stream(digest, first, last):
            yield chunk[:-1] + b"!"


@dataclass
class Office:
    platform: Platform
    blobs: MemoryBlobStore

    async def ask(self, method: str, route: str, key: str = KEY, secret: str = SECRET, *, query: str = "") -> tuple[int, Any]:
        """Status and JSON of the answer; a list of them where it is lines."""
        path, host = f"{PREFIX}{route}", self.platform.url.removeprefix("http://")
        credentials = {"access_key_id": key, "secret_access_key": secret}
        headers = sign(
            method, path, query, [("Host", host)], b"", region=REGION, service="longshore", now=self.platform.clock.now(), **credentials
        )
        url = f"{self.platform.url}{path}{'?' if query else ''}{query}"
        async with self.platform.http.request(method, url, headers=headers) as answer:
            text = await answer.text()
            lines = answer.content_type == "application/x-ndjson"
            return answer.status, [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)


@pytest.fixture(params=[MemoryBlobStore])
async def office(request: pytest.FixtureRequest) -> AsyncIterator[Office]:
    async with platform_on(SteppedClock()) as platform:
        blobs: MemoryBlobStore = request.param(clock=platform.clock)
        site = Site(ACCOUNT, REGION, ("us-test-1a",), platform.url, 4566)
        store, clock = platform.store, platform.clock
        upkeep = Upkeep(
            store=store,
            blobs=blobs,
            collector=GarbageCollector(store=store, blobs=blobs, clock=clock),
            identities=Identities(store, clock, site),
            access=Access(store, clock),
            clock=SystemClock(),
            site=site,
        )
        platform.gateway.mount(PREFIX, upkeep.handle)
        await blobs.put(LAYER, digest_of(LAYER))

        def furnish(tx: Tx) -> None:
            now = clock.now()
            tx.create(REPOSITORIES, Repository(WEB.arn, REGION, ACCOUNT, WEB.name, now))
            record_blob(tx, WEB, digest_of(LAYER), len(LAYER), now)
            ensure_root(tx, STRANGER, "AKIASTRANGER", "strangersecret", now)
            for name in ("ann", "bob"):
                arn = f"arn:aws:iam::{ACCOUNT}:user/{name}"
                tx.put(iam.USERS, iam.User(ACCOUNT, name, f"AIDA{name.upper()}", now))
                tx.put(iam.ACCESS_KEYS, iam.AccessKey(f"AKIA{name.upper()}", ACCOUNT, arn, f"{name}secret", now))

        await store.transact(furnish)
        yield Office(platform, blobs)


async def allow(office: Office, name: str, action: str, *more: dict[str, Any]) -> None:
    """`more` are further statements."""
    allowed = {"Effect": "Allow", "Action": action, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed, *more]})
    policy = iam.InlinePolicy(f"arn:aws:iam::{ACCOUNT}:user/{name}", "upkeep", document)
    await office.platform.store.transact(lambda tx: tx.put(iam.INLINE_POLICIES, policy))


async def test_the_root_user_is_told_what_there_is(office: Office) -> None:
    status, usage = await office.ask("GET", "usage")
    assert status == 200
    assert usage["repositories"] == [
        {
            "registryId": ACCOUNT,
            "region": REGION,
            "repositoryName": "app/web",
            "encrypted": False,
            "images": 0,
            "layers": 1,
            "logicalBytes": len(LAYER),
            "sharedBytes": 0,
        }
    ]
    assert usage["accounted"] == usage["stored"] == {"blobs": 1, "bytes": len(LAYER)}
    assert usage["diskBytes"] == len(LAYER)


async def test_a_verification_is_told_line_by_line(office: Office) -> None:
    status, lines = await office.ask("POST", "verify")
    assert status == 200
    assert [line["event"] for line in lines] == ["done"]
    assert (lines[0]["blobs"], lines[0]["bytes"], lines[0]["broken"], lines[0]["missing"]) == (1, len(LAYER), 0, 0)


@pytest.mark.parametrize("office", [Broken], indirect=True)
async def test_what_is_broken_is_named_and_moved_aside(office: Office) -> None:
    query = f"rate=100&repository={quote('app/web', safe='')}"
    status, lines = await office.ask("POST", "verify", query=query)
    assert status == 200
    assert [line["event"] for line in lines] == ["broken", "done"]
    assert (lines[0]["digest"], lines[0]["repositories"]) == (digest_of(LAYER), [WEB.key])
    assert office.blobs.size(digest_of(LAYER)) is None


async def test_garbage_is_collected_when_asked_for(office: Office) -> None:
    await office.platform.clock.step(48 * 3600)
    status, collected = await office.ask("POST", "collect")
    assert (status, collected["layers"], collected["blobs"]) == (200, 1, 1)


@pytest.mark.parametrize(("method", "route"), ROUTES)
async def test_nobody_may_who_is_not_allowed_to(office: Office, method: str, route: str) -> None:
    for key, secret, expected in (
        ("AKIANOBODY", "x", 403),
        (KEY, "wrong", 403),
        ("AKIABOB", "bobsecret", 403),
        ("AKIASTRANGER", "strangersecret", 403),
    ):
        status, body = await office.ask(method, route, key, secret)
        assert status in (expected, 400), body
        assert body["error"], body
    async with office.platform.http.request(method, f"{office.platform.url}{PREFIX}{route}") as answer:
        assert answer.status in (400, 403)


@pytest.mark.parametrize(
    ("action", "route"), [("longshore:GetRegistryUsage", 0), ("longshore:VerifyRegistry", 1), ("longshore:CollectRegistryGarbage", 2)]
)
async def test_a_user_may_what_a_policy_allows_and_no_more(office: Office, action: str, route: int) -> None:
    await allow(office, "ann", action)
    for number, (method, path) in enumerate(ROUTES):
        status, body = await office.ask(method, path, "AKIAANN", "annsecret")
        assert status == (200 if number == route else 400), body
        if number != route:
            assert body["error"] == "AccessDeniedException"


@pytest.mark.parametrize(
    ("method", "route", "query", "status"),
    [
        ("GET", "nothing", "", 404),
        ("POST", "usage", "", 405),
        ("GET", "verify", "", 405),
        ("POST", "collect", "trash=burn", 400),
        ("POST", "verify", "rate=0", 400),
        ("POST", "verify", "rate=-1", 400),
        ("POST", "verify", "rate=fast", 400),
        ("POST", "verify", "rate=99999999999999999999", 400),
        ("POST", "verify", "repository=..%2F..%2Fetc", 400),
        ("POST", "verify", "repository=absent", 400),
        ("POST", "verify", "repository=", 400),
    ],
)
async def test_what_cannot_be_is_refused(office: Office, method: str, route: str, query: str, status: int) -> None:
    answered, body = await office.ask(method, route, query=query)
    assert (answered, bool(body["error"])) == (status, True), body


class Slow(MemoryBlobStore):
    """Says when it is read from, and waits until it may go on."""

    def __init__(self, *, clock: SteppedClock) -> None:
        super().__init__(clock=clock)
        self.reading, self.released = asyncio.Event(), asyncio.Event()

    async def stream(self, digest: str, first: int, last: int) -> AsyncIterator[bytes]:
        self.reading.set()
        await self.released.wait()
        async for chunk in super().stream(digest, first, last):
            yield chunk


@pytest.mark.parametrize("office", [Slow], indirect=True)
async def test_there_is_one_verification_at_a_time(office: Office) -> None:
    assert isinstance(office.blobs, Slow)
    first = asyncio.create_task(office.ask("POST", "verify"))
    await office.blobs.reading.wait()
    status, body = await office.ask("POST", "verify")
    assert (status, body["error"]) == (409, "VerificationInProgress")
    office.blobs.released.set()
    assert (await first)[0] == 200
    assert (await office.ask("POST", "verify"))[0] == 200


@pytest.mark.parametrize("condition", [{"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, {"StringLike": {"aws:UserAgent": "*aiohttp*"}}])
async def test_a_policy_may_ask_where_the_request_comes_from(office: Office, condition: dict[str, Any]) -> None:
    denied = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition}
    await allow(office, "ann", "longshore:*")
    assert (await office.ask("GET", "usage", "AKIAANN", "annsecret"))[0] == 200
    await allow(office, "ann", "longshore:*", denied)
    assert (await office.ask("GET", "usage", "AKIAANN", "annsecret"))[0] in (400, 403)
