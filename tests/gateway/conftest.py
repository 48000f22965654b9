"""A gateway on a real socket over an in-memory store, and a client that signs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web

from longshore.aws.sigv4 import sign
from longshore.gateway.app import Gateway
from longshore.gateway.authorise import Access
from longshore.gateway.identify import Identities
from longshore.kit.clock import SystemClock
from longshore.kit.ids import RandomIds
from longshore.resources import KINDS, RESOURCE_SIDES
from longshore.services.call import Site
from longshore.services.iam.identities import ensure_root
from longshore.store.base import Store
from longshore.store.memory import memory_store
from longshore.store.memory_blobs import MemoryBlobStore

KEY, SECRET, ACCOUNT = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "123456789012"


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Client:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session

    async def send(
        self,
        body: bytes,
        headers: dict[str, str],
        *,
        service: str,
        key: str = KEY,
        secret: str = SECRET,
        region: str = "us-east-1",
        skew_s: float = 0.0,
        path: str = "/",
        tamper: dict[str, str] | None = None,
        sent_body: bytes | None = None,
    ) -> Answered:
        given = {"Host": self.url.removeprefix("http://"), **headers}
        signed = sign(
            "POST",
            path,
            "",
            given.items(),
            body,
            access_key_id=key,
            secret_access_key=secret,
            region=region,
            service=service,
            now=SystemClock().now() + skew_s,
        )
        merged = {**given, **signed, **(tamper or {})}
        async with self.session.post(
            self.url + path, data=body if sent_body is None else sent_body, headers=merged, skip_auto_headers=["Content-Type"]
        ) as answer:
            return Answered(answer.status, dict(answer.headers), await answer.read())

    async def json(self, operation: str, body: bytes = b"{}", **more: object) -> Answered:
        headers = {"X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        return await self.send(body, headers, service="ecs", **more)  # type: ignore[arg-type]

    async def query(self, body: str, *, service: str = "sts", **more: object) -> Answered:
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        return await self.send(body.encode(), headers, service=service, **more)  # type: ignore[arg-type]


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    made = memory_store(KINDS)
    await made.transact(lambda tx: ensure_root(tx, ACCOUNT, KEY, SECRET, 0.0))
    yield made
    await made.close()


@pytest.fixture
def site() -> Site:
    return Site(ACCOUNT, "us-east-1", ("us-east-1a", "us-east-1b"), "http://127.0.0.1:4566", 4566)


@pytest.fixture
async def gateway(store: Store, site: Site) -> Gateway:
    clock, ids = SystemClock(), RandomIds()
    identities, access = Identities(store, clock, site), Access(store, clock, RESOURCE_SIDES)
    return Gateway(
        store=store,
        blobs=MemoryBlobStore(),
        clock=clock,
        ids=ids,
        site=site,
        identities=identities,
        access=access,
        signing_secret=b"s" * 32,
    )


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[Client]:
    server = web.Server(gateway.handle, access_log=None, auto_decompress=False)
    runner = web.ServerRunner(server)
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield Client(f"http://127.0.0.1:{port}", session)
    await runner.cleanup()
