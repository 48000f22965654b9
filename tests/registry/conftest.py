"""A registry behind the gateway's lanes and a real HTTP server on a free port, with one repository in it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession, web
from yarl import URL

from longshore.gateway.lane import Lanes
from longshore.gateway.request import ApiRequest, Reply
from longshore.kit.clock import SteppedClock
from longshore.kit.sending import Senders
from longshore.registry.registry import Registry
from longshore.services.call import Principal, Site
from longshore.services.ecr.kinds import KINDS
from longshore.services.ecr.model import REPOSITORIES, Repository
from longshore.services.ecr.names import RepositoryId
from longshore.services.ecr.tokens import GOOD_FOR_S, password
from longshore.services.secretsmanager.model import SECRETS
from longshore.store.base import Store
from longshore.store.blobs import BlobStore
from longshore.store.file_blobs import FileBlobStore
from longshore.store.memory import memory_store

ACCOUNT, REGION = "000000000000", "us-east-1"
SECRET = b"s" * 32
SITE = Site(account_id=ACCOUNT, region=REGION, zones=("us-east-1a",), endpoint="http://127.0.0.1:4566", port=4566)
ALICE = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/alice", "AIDAALICE", "AKIAALICE")


@dataclass
class Door:
    """What the registry is asked about who may do what, and what it has been told to refuse."""

    refused: set[tuple[str, str]] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    #: access key id -> whose it is
    owners: dict[str, Principal] = field(default_factory=dict)

    def authorise(self, principal: Principal, action: str, resource: str, **origin: object) -> str | None:
        self.asked.append((action, resource))
        name = resource.partition("repository/")[2]
        refused = (action, name) in self.refused or (action, "*") in self.refused
        return f"User: {principal.arn} is not authorized to perform: {action} on resource: {resource}" if refused else None


@dataclass
class Client:
    """Speaks to the registry as alice would."""

    session: ClientSession
    port: int
    store: Store
    blobs: BlobStore
    clock: SteppedClock
    door: Door
    registry: Registry
    headers: dict[str, str] = field(default_factory=dict)

    def log_in(self, principal: Principal = ALICE) -> None:
        self.door.owners[principal.access_key_id] = principal
        self.headers = basic(principal, self.clock.now() + GOOD_FOR_S)

    async def ask(self, method: str, path: str, **options: object) -> ClientResponse:
        headers = {**self.headers, **options.pop("headers", {})}  # type: ignore[dict-item]
        response = await self.session.request(method, self.url(path), headers=headers, allow_redirects=False, **options)  # type: ignore[arg-type]
        await response.read()
        return response

    def url(self, path: str) -> URL:
        return URL(f"http://127.0.0.1:{self.port}{path}", encoded=True)

    async def create_repository(self, name: str, **settings: object) -> RepositoryId:
        meant = RepositoryId(str(settings.pop("region", REGION)), str(settings.pop("account_id", ACCOUNT)), name)
        repository = Repository(
            arn=meant.arn,
            region=meant.region,
            account_id=meant.account_id,
            name=name,
            created_at=self.clock.now(),
            **settings,  # type: ignore[arg-type]
        )
        await self.store.transact(lambda tx: tx.create(REPOSITORIES, repository))
        return meant

    async def push_blob(self, name: str, content: bytes, digest: str) -> None:
        response = await self.ask("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", data=content)
        assert response.status == 201, await response.text()

    def serve_from(self, blobs: BlobStore) -> None:
        """A new registry over the same store, which knows nothing of what the one before it was doing."""
        self.blobs = blobs
        self.registry = make_registry(self.store, blobs, self.clock, self.door)


def make_registry(store: Store, blobs: BlobStore, clock: SteppedClock, door: Door, **settings: Any) -> Registry:
    return Registry(
        store=store, blobs=blobs, clock=clock, site=SITE, secret=SECRET, authorise=door.authorise, owner=door.owners.get, **settings
    )


def basic(principal: Principal, expires_at: float, secret: bytes = SECRET) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'AWS:{password(secret, principal, expires_at)}'.encode()).decode()}"}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    clock, door = SteppedClock(), Door()
    store = memory_store((*KINDS, SECRETS))
    blobs = await FileBlobStore.open(tmp_path, clock=clock, secret=SECRET)
    made: list[Client] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return await made[0].registry.handle(request)

    async def look(request: web.BaseRequest) -> web.StreamResponse:
        return await made[0].registry.answer(request)

    async def operate(request: ApiRequest) -> Reply:
        return Reply(404, b"there are no operations here", "text/plain")

    # As in the server: plain reads take the fast lane, everything else is aiohttp's.
    senders = Senders()
    general = web.Server(handle, access_log=None, auto_decompress=False)
    lanes = Lanes(operate, general, look, senders)
    listener = await asyncio.get_running_loop().create_server(lanes, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with ClientSession(auto_decompress=False) as session:
        registry = make_registry(store, blobs, clock, door)
        made.append(Client(session, port, store, blobs, clock, door, registry))
        made[0].log_in()
        await made[0].create_repository("app/web")
        yield made[0]
    listener.close()
    await lanes.drain(1)
    await general.shutdown(1)
    await senders.close()
    await made[0].registry.close()
    await store.close()
    await blobs.close()
