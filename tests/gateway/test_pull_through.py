"""The pull-through cache through the port that clients see: over the fast lane, with rules and secrets made by signed requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from longshore.aws.sigv4 import sign
from longshore.gateway.app import Gateway
from longshore.gateway.authorise import Access
from longshore.gateway.identify import Identities
from longshore.gateway.lane import Lanes
from longshore.kit.clock import SystemClock
from longshore.kit.ids import RandomIds
from longshore.registry.registry import Registry
from longshore.services.call import Site
from longshore.services.ecr import kinds as ecr_kinds
from longshore.services.ecr.names import digest_of
from longshore.services.ecr.pull_through.cache import PullThroughCache
from longshore.services.ecr.remote.connection import Remotes
from longshore.services.iam import kinds as iam_kinds
from longshore.services.iam.identities import ensure_root
from longshore.services.secretsmanager import model as secretsmanager_model
from longshore.store.memory import memory_store
from longshore.store.memory_blobs import MemoryBlobStore
from tests.gateway.conftest import ACCOUNT, KEY, SECRET
from tests.registry.contents import CONFIG, LAYER, manifest
from tests.registry.upstream import PASSWORD, USER, Upstream, played

BIG = bytes(range(256)) * 10_000
IMAGE = manifest(LAYER, BIG)
TARGETS = {"ecr": "AmazonEC2ContainerRegistry_V20150921", "secretsmanager": "secretsmanager"}


@dataclass
class Port:
    url: str
    http: aiohttp.ClientSession
    upstream: Upstream
    token: dict[str, str] = field(default_factory=dict)

    async def ask(self, service: str, operation: str, **members: object) -> dict[str, object]:
        body = json.dumps(members).encode()
        headers = {
            "Host": self.url.removeprefix("http://"),
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"{TARGETS[service]}.{operation}",
        }
        signed = sign(
            "POST",
            "/",
            "",
            headers.items(),
            body,
            access_key_id=KEY,
            secret_access_key=SECRET,
            region="us-east-1",
            service=service,
            now=SystemClock().now(),
        )
        async with self.http.post(self.url, data=body, headers={**headers, **signed}) as answer:
            return dict(json.loads(await answer.read() or b"{}"))

    async def log_in(self) -> None:
        (data,) = (await self.ask("ecr", "GetAuthorizationToken"))["authorizationData"]  # type: ignore[misc]
        self.token = {"Authorization": f"Basic {data['authorizationToken']}"}

    async def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        async with self.http.get(self.url + path, headers={**self.token, **headers}) as answer:
            return answer.status, await answer.read()


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    store = memory_store((*ecr_kinds.KINDS, *iam_kinds.KINDS, *secretsmanager_model.KINDS))
    await store.transact(lambda tx: ensure_root(tx, ACCOUNT, KEY, SECRET, 0.0))
    clock, blobs, secret = SystemClock(), MemoryBlobStore(), b"s" * 32
    site = Site(ACCOUNT, "us-east-1", ("us-east-1a",), "http://127.0.0.1:4566", 4566)
    identities, access = Identities(store, clock, site), Access(store, clock)
    remotes = Remotes(clock, silence_s=2)
    cache = PullThroughCache(store=store, blobs=blobs, clock=clock, remotes=remotes, secret=secret)
    registry = Registry(
        store=store, blobs=blobs, clock=clock, site=site, secret=secret, authorise=access.denial, owner=identities.owner, cache=cache
    )
    gateway = Gateway(
        store=store,
        blobs=blobs,
        clock=clock,
        ids=RandomIds(),
        site=site,
        identities=identities,
        access=access,
        signing_secret=secret,
        pull_through=cache,
    )
    gateway.mount("/v2/", registry.handle)
    gateway.mount("/_layers/", registry.handle)
    general = web.Server(gateway.handle, access_log=None, auto_decompress=False)
    lanes = Lanes(gateway.answer, general, registry.answer, registry.senders)
    listener = await asyncio.get_running_loop().create_server(lanes, "127.0.0.1", 0)
    upstream = await played()
    for blob in (CONFIG, LAYER, BIG):
        upstream.put_blob(blob)
    upstream.put("library/web", IMAGE, "1")
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        made = Port(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", http, upstream)
        await made.log_in()
        yield made
    listener.close()
    await lanes.drain(5)
    await general.shutdown(5)
    await cache.close()
    await registry.close()
    await remotes.close()
    await upstream.server.close()
    await store.close()


async def _rule(port: Port, **members: str) -> dict[str, object]:
    upstream = port.upstream.url.removeprefix("http://")
    return await port.ask("ecr", "CreatePullThroughCacheRule", ecrRepositoryPrefix="hub", upstreamRegistryUrl=upstream, **members)


async def test_a_pull_over_the_fast_lane_brings_the_image(port: Port) -> None:
    await _rule(port)
    for _ in range(2):
        assert await port.get("/v2/hub/library/web/manifests/1") == (200, IMAGE)
        for blob in (CONFIG, LAYER, BIG):
            assert await port.get(f"/v2/hub/library/web/blobs/{digest_of(blob)}") == (200, blob)
    assert port.upstream.count("GET /v2/library/web/blobs/") == 3


async def test_a_part_of_a_layer_that_is_not_here_yet_is_cut_from_the_whole(port: Port) -> None:
    await _rule(port)
    await port.get("/v2/hub/library/web/manifests/1")
    assert await port.get(f"/v2/hub/library/web/blobs/{digest_of(BIG)}", Range="bytes=5-9") == (206, BIG[5:10])


async def test_an_image_is_imported_and_its_layers_handed_out_over_the_api(port: Port) -> None:
    await _rule(port)
    answer = await port.ask("ecr", "BatchGetImage", repositoryName="hub/library/web", imageIds=[{"imageTag": "1"}, {"imageTag": "2"}])
    assert [each["imageManifest"] for each in answer["images"]] == [IMAGE.decode()]  # type: ignore[attr-defined]
    assert [each["failureCode"] for each in answer["failures"]] == ["ImageNotFound"]  # type: ignore[attr-defined]
    layer = await port.ask("ecr", "GetDownloadUrlForLayer", repositoryName="hub/library/web", layerDigest=digest_of(LAYER))
    assert await port.get(str(layer["downloadUrl"]).removeprefix(port.url)) == (200, LAYER)


async def test_a_rule_signs_in_with_its_secret(port: Port) -> None:
    port.upstream.sign_in = "bearer"
    wrong = {"username": USER, "accessToken": "wrong"}
    made = await port.ask("secretsmanager", "CreateSecret", Name="ecr-pullthroughcache/hub", SecretString=json.dumps(wrong))
    arn = str(made["ARN"])
    await _rule(port, credentialArn=arn)
    valid = await port.ask("ecr", "ValidatePullThroughCacheRule", ecrRepositoryPrefix="hub")
    assert valid["isValid"] is False
    assert (await port.get("/v2/hub/library/web/manifests/1"))[0] == 403
    right = {"username": USER, "accessToken": PASSWORD}
    await port.ask("secretsmanager", "PutSecretValue", SecretId=arn, SecretString=json.dumps(right))
    assert (await port.ask("ecr", "ValidatePullThroughCacheRule", ecrRepositoryPrefix="hub"))["isValid"] is True
    await port.ask("ecr", "UpdatePullThroughCacheRule", ecrRepositoryPrefix="hub", credentialArn=arn)
    assert await port.get("/v2/hub/library/web/manifests/1") == (200, IMAGE), "a rule that was updated is tried at once"


async def test_secrets_that_are_missing_or_of_another_form_are_told_when_a_rule_is_made(port: Port) -> None:
    missing = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:ecr-pullthroughcache/nothing-abcdef"
    assert (await _rule(port, credentialArn=missing))["__type"] == "SecretNotFoundException"
    made = await port.ask("secretsmanager", "CreateSecret", Name="ecr-pullthroughcache/hub", SecretString="just a password")
    assert (await _rule(port, credentialArn=str(made["ARN"])))["__type"] == "UnableToAccessSecretException"


async def test_a_remote_registry_is_checked_by_name(port: Port) -> None:
    await port.ask("ecr", "LongshorePutRemoteRegistry", name="backup", url=port.upstream.url)
    assert (await port.ask("ecr", "LongshoreCheckRemoteRegistry", name="backup"))["isValid"] is True
    port.upstream.status = 500
    assert (await port.ask("ecr", "LongshoreCheckRemoteRegistry", name="backup"))["isValid"] is False
