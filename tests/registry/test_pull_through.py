"""Pulls through the cache: what is fetched, once, what is served when the upstream is in trouble, and what is never stored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiohttp import ClientError

from longshore.kit.clock import SystemClock
from longshore.kit.sealing import seal
from longshore.services.ecr.images import delete_repository, find_repository
from longshore.services.ecr.manifests import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from longshore.services.ecr.model import IMAGES, REGISTRY_EVENTS, REPOSITORIES, REPOSITORY_BLOBS
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.services.ecr.pull_through.cache import PullThroughCache
from longshore.services.ecr.pull_through.model import PULL_THROUGH_RULES, PullThroughRule
from longshore.services.ecr.remote.connection import Remotes
from longshore.services.ecr.templates.model import CREATION_TEMPLATES, CreationTemplate
from longshore.services.ecr.tokens import password
from longshore.services.secretsmanager.model import CURRENT, PURPOSE, SECRETS, Secret, Version
from longshore.store.base import Store
from longshore.store.file_blobs import FileBlobStore
from tests.registry.conftest import ACCOUNT, ALICE, REGION, SECRET, Client, make_registry
from tests.registry.contents import CONFIG, LAYER, index, manifest
from tests.registry.upstream import Upstream, played

DAY_S = 24 * 3600.0
BIG = bytes(range(256)) * 12_000  # three megabytes: more than a piece
IMAGE = manifest(LAYER, BIG)


@dataclass
class Mirror:
    client: Client
    upstream: Upstream
    cache: PullThroughCache

    @property
    def store(self) -> Store:
        return self.client.store

    async def rule(self, prefix: str = "hub", **settings: str) -> None:
        rule = PullThroughRule(
            region=REGION,
            account_id=ACCOUNT,
            prefix=prefix,
            upstream_url=settings.pop("upstream_url", self.upstream.url),
            created_at=0,
            updated_at=self.client.clock.now(),
            **settings,
        )
        await self.store.transact(lambda tx: tx.put(PULL_THROUGH_RULES, rule))

    def events(self) -> list[tuple[str, str]]:
        told = (event for event in self.store.list(REGISTRY_EVENTS) if event.detail_type == "ECR Pull Through Cache Action")
        return [(event.detail["sync-status"], event.detail["image-tag"]) for event in told]


@pytest.fixture
async def mirror(client: Client) -> AsyncIterator[Mirror]:
    upstream = await played()
    remotes = Remotes(SystemClock(), silence_s=2)
    await client.registry.close()
    cache = PullThroughCache(store=client.store, blobs=client.blobs, clock=client.clock, remotes=remotes, secret=SECRET)
    client.registry = make_registry(client.store, client.blobs, client.clock, client.door, cache=cache)
    made = Mirror(client, upstream, cache)
    await made.rule()
    for blob in (CONFIG, LAYER, BIG):
        upstream.put_blob(blob)
    upstream.put("library/web", IMAGE, "1")
    yield made
    upstream.gate.set()
    await cache.close()
    await remotes.close()
    await upstream.server.close()


async def test_the_first_pull_makes_the_repository_and_brings_the_image(mirror: Mirror) -> None:
    client = mirror.client
    answer = await client.ask("GET", "/v2/hub/library/web/manifests/1")
    assert (answer.status, await answer.read()) == (200, IMAGE)
    assert answer.headers["Docker-Content-Digest"] == digest_of(IMAGE)
    for blob in (CONFIG, LAYER, BIG):
        answer = await client.ask("GET", f"/v2/hub/library/web/blobs/{digest_of(blob)}")
        assert (answer.status, await answer.read()) == (200, blob)
    before = len(mirror.upstream.asked)
    for reference in ("1", digest_of(IMAGE)):
        assert (await client.ask("GET", f"/v2/hub/library/web/manifests/{reference}")).status == 200
    for blob in (CONFIG, LAYER, BIG):
        answer = await client.ask("GET", f"/v2/hub/library/web/blobs/{digest_of(blob)}", headers={"Range": "bytes=1-3"})
        assert (answer.status, await answer.read()) == (206, blob[1:4])
    assert len(mirror.upstream.asked) == before, "what is here is not asked for again"
    assert mirror.events() == [("SUCCESS", "1")]


async def test_repositories_that_no_rule_speaks_for_are_never_looked_for_elsewhere(mirror: Mirror) -> None:
    for name in ("app/web", "hubert/web", "library/web"):
        assert (await mirror.client.ask("GET", f"/v2/{name}/manifests/1")).status == 404
    assert mirror.upstream.asked == []


@pytest.mark.parametrize(
    ("settings", "asked_for", "upstream_name"),
    [
        ({"prefix": "ROOT"}, "library/web", "library/web"),
        ({"prefix": "ROOT", "upstream_prefix": "team"}, "web", "team/web"),
        ({"prefix": "m/x/", "upstream_prefix": "library"}, "m/x/web", "library/web"),
        ({"prefix": "official", "upstream_registry": "docker-hub"}, "official/web", "library/web"),
    ],
)
async def test_names_at_the_upstream_follow_from_the_rule(
    mirror: Mirror, settings: dict[str, str], asked_for: str, upstream_name: str
) -> None:
    await mirror.rule(**settings)
    mirror.upstream.put(upstream_name, IMAGE, "1")
    assert (await mirror.client.ask("GET", f"/v2/{asked_for}/manifests/1")).status == 200


async def test_a_tag_is_compared_with_the_upstream_once_a_day(mirror: Mirror) -> None:
    client, upstream = mirror.client, mirror.upstream
    path = "/v2/hub/library/web/manifests/1"
    await client.ask("GET", path)
    newer = manifest(LAYER)
    upstream.put("library/web", newer, "1")
    await client.clock.step(DAY_S - 1)
    client.log_in()
    assert (await client.ask("HEAD", path)).headers["Docker-Content-Digest"] == digest_of(IMAGE)
    await client.clock.step(1)
    assert (await client.ask("HEAD", path)).headers["Docker-Content-Digest"] == digest_of(newer)
    before = len(upstream.asked)
    await client.clock.step(DAY_S)
    client.log_in()
    assert (await client.ask("HEAD", path)).headers["Docker-Content-Digest"] == digest_of(newer)
    assert upstream.asked[before:] == ["HEAD /v2/library/web/manifests/1"], "what has not changed is not fetched again"


async def test_a_clock_that_was_set_back_keeps_neither_tags_nor_failures_as_they_were(mirror: Mirror) -> None:
    await mirror.client.clock.step(365 * DAY_S)
    mirror.client.log_in()
    await mirror.client.ask("GET", "/v2/hub/library/web/manifests/1")
    assert (await mirror.client.ask("GET", "/v2/hub/library/web/manifests/2")).status == 404
    await mirror.client.clock.step(-364 * DAY_S)
    other = manifest(LAYER, annotations={"a": "b"})
    for tag in ("1", "2"):
        mirror.upstream.put("library/web", other, tag)
        assert await (await mirror.client.ask("GET", f"/v2/hub/library/web/manifests/{tag}")).read() == other
    image = mirror.store.list(IMAGES)
    assert {each.last_pulled_at for each in image if each.digest == digest_of(other)} == {mirror.client.clock.now()}


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
async def test_what_is_here_is_served_whatever_the_trouble_upstream(mirror: Mirror, status: int) -> None:
    client = mirror.client
    path = "/v2/hub/library/web/manifests/1"
    await client.ask("GET", path)
    mirror.upstream.status = status
    await client.clock.step(DAY_S)
    client.log_in()
    before = len(mirror.upstream.asked)
    for _ in range(3):
        answer = await client.ask("GET", path)
        assert (answer.status, await answer.read()) == (200, IMAGE)
        assert answer.headers["Warning"].startswith("110")
    assert len(mirror.upstream.asked) == before + 1, "an upstream in trouble is not asked at every pull"
    assert mirror.events() == [("SUCCESS", "1"), ("FAILED", "1")]
    mirror.upstream.status = 0
    await client.clock.step(60)
    assert "Warning" not in (await client.ask("GET", path)).headers


@pytest.mark.parametrize(
    ("upstream_status", "status", "code"),
    [(401, 403, "DENIED"), (403, 403, "DENIED"), (404, 404, "MANIFEST_UNKNOWN"), (429, 429, "TOOMANYREQUESTS"), (502, 503, "UNAVAILABLE")],
)
async def test_what_the_upstream_refuses_is_told_in_the_registrys_words(
    mirror: Mirror, upstream_status: int, status: int, code: str
) -> None:
    mirror.upstream.status = upstream_status
    answer = await mirror.client.ask("GET", "/v2/hub/library/web/manifests/1")
    assert answer.status == status
    assert json.loads(await answer.read())["errors"][0]["code"] == code
    mirror.upstream.status = 0
    assert (await mirror.client.ask("GET", "/v2/hub/library/web/manifests/1")).status == status, "for a moment it is not asked again"
    await mirror.client.clock.step(30)
    assert (await mirror.client.ask("GET", "/v2/hub/library/web/manifests/1")).status == 200


async def test_an_upstream_that_does_not_answer_is_unavailable(mirror: Mirror) -> None:
    await mirror.upstream.server.close()
    assert (await mirror.client.ask("GET", "/v2/hub/library/web/manifests/1")).status == 503


async def test_many_who_ask_at_once_cause_one_download_of_each(mirror: Mirror) -> None:
    client, upstream = mirror.client, mirror.upstream
    path = "/v2/hub/library/web/manifests/1"
    answers = await asyncio.gather(*(client.ask("GET", path) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert upstream.count("GET /v2/library/web/manifests/") == 1
    upstream.gate.clear()
    asking = [asyncio.create_task(client.ask("GET", f"/v2/hub/library/web/blobs/{digest_of(BIG)}")) for _ in range(20)]
    late = client.session.get(client.url(f"/v2/hub/library/web/blobs/{digest_of(BIG)}"), headers=client.headers)
    async with late as response:
        assert len(await response.content.readexactly(1000)) == 1000, "it comes while it is being fetched"
        assert client.store.get(REPOSITORY_BLOBS, f"{REGION}:{ACCOUNT}:hub/library/web@{digest_of(BIG)}") is None
        upstream.gate.set()
    bodies = [await (await each).read() for each in asking]
    assert all(body == BIG for body in bodies)
    assert upstream.count(f"GET /v2/library/web/blobs/{digest_of(BIG)}") == 1


async def test_a_download_goes_on_when_whoever_asked_first_leaves(mirror: Mirror) -> None:
    client, upstream = mirror.client, mirror.upstream
    await client.ask("GET", "/v2/hub/library/web/manifests/1")
    upstream.gate.clear()
    path = f"/v2/hub/library/web/blobs/{digest_of(BIG)}"
    async with client.session.get(client.url(path), headers=client.headers) as response:
        await response.content.readexactly(1000)
        response.close()
    watch = client.store.watch(REPOSITORY_BLOBS)
    upstream.gate.set()
    await asyncio.wait_for(watch.next(), 5)
    watch.close()
    answer = await client.ask("GET", path)
    assert await answer.read() == BIG
    assert upstream.count(f"GET /v2/library/web/blobs/{digest_of(BIG)}") == 1


@pytest.mark.parametrize("simple", [False, True])
async def test_a_broken_transfer_is_taken_up_where_it_broke(mirror: Mirror, *, simple: bool) -> None:
    mirror.upstream.simple = simple
    mirror.upstream.breaks, mirror.upstream.breaks_after = 2, 1_000_000
    await mirror.client.ask("GET", "/v2/hub/library/web/manifests/1")
    answer = await mirror.client.ask("GET", f"/v2/hub/library/web/blobs/{digest_of(BIG)}")
    assert await answer.read() == BIG


async def test_a_layer_that_is_not_what_it_is_called_is_neither_stored_nor_given_out_whole(mirror: Mirror) -> None:
    mirror.upstream.blobs[digest_of(BIG)] = BIG[:-1] + b"!"
    await mirror.client.ask("GET", "/v2/hub/library/web/manifests/1")
    with pytest.raises(Exception, match=r"payload|disconnected|reset"):
        await mirror.client.ask("GET", f"/v2/hub/library/web/blobs/{digest_of(BIG)}")
    assert mirror.client.blobs.size(digest_of(BIG)) is None
    assert mirror.store.get(REPOSITORY_BLOBS, f"{REGION}:{ACCOUNT}:hub/library/web@{digest_of(BIG)}") is None


async def test_a_layer_that_does_not_end_where_it_should_is_not_stored(mirror: Mirror) -> None:
    mirror.upstream.simple = True
    mirror.upstream.blobs[digest_of(LAYER)] = LAYER + b"more"
    await mirror.client.ask("GET", "/v2/hub/library/web/manifests/1")
    assert (await mirror.client.ask("GET", f"/v2/hub/library/web/blobs/{digest_of(LAYER)}")).status == 503
    assert mirror.client.blobs.size(digest_of(LAYER)) is None


@pytest.mark.parametrize("lie", [BIG + b"more", BIG[:-5]], ids=["longer", "shorter"])
async def test_a_layer_of_another_length_is_refused(mirror: Mirror, lie: bytes) -> None:
    mirror.upstream.blobs[digest_of(BIG)] = lie
    await mirror.client.ask("GET", "/v2/hub/library/web/manifests/1")
    assert (await mirror.client.ask("GET", f"/v2/hub/library/web/blobs/{digest_of(BIG)}")).status == 503


@pytest.mark.parametrize(
    "content",
    [b"{}", b"no json", b" " * (4 * 1024 * 1024 + 1), json.dumps({"schemaVersion": 1}).encode()],
    ids=["empty", "no json", "too large", "schema 1"],
)
async def test_what_is_no_manifest_is_not_stored(mirror: Mirror, content: bytes) -> None:
    mirror.upstream.manifests["library/web", "odd"] = (content, DOCKER_MANIFEST)
    assert (await mirror.client.ask("GET", "/v2/hub/library/web/manifests/odd")).status == 503
    assert mirror.store.list(IMAGES) == []


async def test_a_manifest_that_has_not_the_digest_it_was_asked_by_is_not_stored(mirror: Mirror) -> None:
    asked = digest_of(b"something else")
    mirror.upstream.manifests["library/web", asked] = (IMAGE, OCI_MANIFEST)
    assert (await mirror.client.ask("GET", f"/v2/hub/library/web/manifests/{asked}")).status == 503
    assert mirror.store.list(IMAGES) == []


async def test_an_index_is_here_before_its_images_and_each_comes_when_it_is_asked_for(mirror: Mirror) -> None:
    other = manifest(LAYER)
    content = index(IMAGE, other)
    mirror.upstream.put("library/web", other)
    mirror.upstream.put("library/web", content, "multi", media_type=OCI_INDEX)
    client = mirror.client
    assert (await client.ask("GET", "/v2/hub/library/web/manifests/multi")).status == 200
    assert len(mirror.store.list(IMAGES)) == 1
    assert (await client.ask("GET", f"/v2/hub/library/web/manifests/{digest_of(other)}")).status == 200
    assert {image.digest for image in mirror.store.list(IMAGES)} == {digest_of(content), digest_of(other)}


async def test_bringing_images_here_needs_its_own_permissions(mirror: Mirror) -> None:
    client = mirror.client
    path = "/v2/hub/library/web/manifests/1"
    for action in ("ecr:BatchGetImage", "ecr:BatchImportUpstreamImage", "ecr:CreateRepository"):
        client.door.refused = {(action, "hub/library/web")}
        answer = await client.ask("GET", path)
        assert answer.status == 403
        assert action in (await answer.read()).decode()
    assert mirror.upstream.asked == []
    client.door.refused = set()
    await client.ask("GET", path)
    client.door.refused = {("ecr:BatchImportUpstreamImage", "*")}
    await client.clock.step(DAY_S)
    client.log_in()
    assert (await client.ask("GET", path)).status == 200, "what is here may still be pulled"


async def test_only_layers_of_images_that_are_here_are_fetched(mirror: Mirror) -> None:
    client = mirror.client
    await client.ask("GET", "/v2/hub/library/web/manifests/1")
    stranger = mirror.upstream.put_blob(b"of no image")
    before = len(mirror.upstream.asked)
    assert (await client.ask("GET", f"/v2/hub/library/web/blobs/{stranger}")).status == 404
    head = await client.ask("HEAD", f"/v2/hub/library/web/blobs/{digest_of(BIG)}")
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(BIG)))
    assert len(mirror.upstream.asked) == before


async def test_an_upstream_that_is_this_registry_itself_ends_at_once(mirror: Mirror) -> None:
    client = mirror.client
    client.door.owners[ALICE.access_key_id] = ALICE
    secret_name = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:ecr-pullthroughcache/self-abcdef"
    value = json.dumps({"username": "AWS", "accessToken": password(SECRET, ALICE, client.clock.now() + 3600)})
    version = Version("v1", 0.0, seal(SECRET, PURPOSE, value.encode()), is_text=True, stages=(CURRENT,))
    held = Secret(secret_name, REGION, ACCOUNT, "ecr-pullthroughcache/self", 0.0, 0.0, versions=(version,))
    await mirror.store.transact(lambda tx: tx.put(SECRETS, held))
    await mirror.rule("ROOT", upstream_url=f"127.0.0.1:{client.port}", upstream_prefix="deeper", credential_arn=secret_name)
    async with asyncio.timeout(5):
        assert (await client.ask("GET", "/v2/any/thing/manifests/1")).status == 404
    assert mirror.store.count(REPOSITORIES) == 1


async def test_a_repository_that_is_deleted_meanwhile_ends_the_download(mirror: Mirror) -> None:
    client, upstream = mirror.client, mirror.upstream
    await client.ask("GET", "/v2/hub/library/web/manifests/1")
    upstream.gate.clear()
    async with client.session.get(client.url(f"/v2/hub/library/web/blobs/{digest_of(BIG)}"), headers=client.headers) as response:
        await response.content.readexactly(1000)
        repository = find_repository(mirror.store, RepositoryId(REGION, ACCOUNT, "hub/library/web"))
        await mirror.store.transact(lambda tx: delete_repository(tx, repository))
        upstream.gate.set()
        with pytest.raises(ClientError):
            await response.read()
    assert mirror.store.count(REPOSITORY_BLOBS) == 0


async def test_a_tag_pushed_here_is_not_taken_back_by_the_upstream(mirror: Mirror) -> None:
    client = mirror.client
    await client.ask("GET", "/v2/hub/library/web/manifests/1")
    for blob in (CONFIG, LAYER):
        await client.push_blob("hub/library/web", blob, digest_of(blob))
    ours = manifest(LAYER)
    answer = await client.ask("PUT", "/v2/hub/library/web/manifests/1", data=ours, headers={"Content-Type": json.loads(ours)["mediaType"]})
    assert answer.status == 201
    await client.clock.step(DAY_S)
    client.log_in()
    assert (await client.ask("HEAD", "/v2/hub/library/web/manifests/1")).headers["Docker-Content-Digest"] == digest_of(ours)


async def test_layers_cut_short_by_a_stop_leave_nothing_behind(mirror: Mirror) -> None:
    client, upstream = mirror.client, mirror.upstream
    await client.ask("GET", "/v2/hub/library/web/manifests/1")
    upstream.gate.clear()
    async with client.session.get(client.url(f"/v2/hub/library/web/blobs/{digest_of(BIG)}"), headers=client.headers) as response:
        await response.content.readexactly(1000)
        await mirror.cache.close()
    assert client.blobs.size(digest_of(BIG)) is None
    assert isinstance(client.blobs, FileBlobStore)
    assert list(client.blobs.uploads.iterdir()) == []


async def test_repositories_are_made_by_their_template_and_an_immutable_tag_stays(mirror: Mirror) -> None:
    client, now = mirror.client, mirror.client.clock.now()
    template = CreationTemplate(REGION, ACCOUNT, "hub", now, now, ("PULL_THROUGH_CACHE",), image_tag_mutability="IMMUTABLE")
    await mirror.store.transact(lambda tx: tx.create(CREATION_TEMPLATES, template))
    await client.ask("GET", "/v2/hub/library/web/manifests/1")
    assert [(each.name, each.image_tag_mutability) for each in mirror.store.list(REPOSITORIES)] == [
        ("app/web", "MUTABLE"),
        ("hub/library/web", "IMMUTABLE"),
    ]
    mirror.upstream.put("library/web", manifest(LAYER), "1")
    await client.clock.step(DAY_S)
    client.log_in()
    for _ in range(2):
        answer = await client.ask("GET", "/v2/hub/library/web/manifests/1")
        assert await answer.read() == IMAGE
    assert mirror.upstream.count("HEAD") == 1
