"""Accounting: rows and disk agree, whatever was pushed, shared, deleted and collected."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longshore.kit.clock import SteppedClock
from longshore.kit.data_keys import lock_of, new_data_key
from longshore.registry.garbage import GRACE_S, GarbageCollector
from longshore.registry.usage import Lying, Usage, usage_of_everything
from longshore.services.ecr.content import content_of
from longshore.services.ecr.images import Push, delete_image, delete_repository, find_repository, record_blob, record_push
from longshore.services.ecr.kinds import KINDS
from longshore.services.ecr.manifests import OCI_MANIFEST, parse_manifest
from longshore.services.ecr.model import IMAGES, REPOSITORIES, Repository
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.services.ecr.scanning.model import IMAGE_SCAN_REPORTS, ImageScanReport
from longshore.store.file_blobs import FileBlobStore
from longshore.store.memory import memory_store
from tests.registry.conftest import ACCOUNT, REGION, SECRET, Client
from tests.registry.contents import CONFIG, LAYER, manifest

IMAGE = manifest(LAYER)
SIZE = len(CONFIG) + len(LAYER) + len(IMAGE)


async def push(client: Client, name: str) -> None:
    for content in (CONFIG, LAYER):
        await client.push_blob(name, content, digest_of(content))
    response = await client.ask("PUT", f"/v2/{name}/manifests/1", data=IMAGE, headers={"Content-Type": OCI_MANIFEST})
    assert response.status == 201


def on_the_disk(root: Path) -> int:
    return sum((Path(directory) / name).stat().st_size for directory, _, names in os.walk(root) for name in names)


async def usage_of(client: Client) -> Usage:
    found = await usage_of_everything(client.store, client.blobs)  # type: ignore[arg-type]
    assert found.disk_bytes == on_the_disk(client.blobs._root)  # type: ignore[attr-defined]
    return found


async def test_what_repositories_share_is_on_the_disk_once(client: Client) -> None:
    await client.create_repository("other")
    await client.create_repository("secret", data_key=new_data_key(lock_of(SECRET)))
    for name in ("app/web", "other", "secret"):
        await push(client, name)
    found = await usage_of(client)
    assert {each.repository_name: (each.images, each.layers, each.logical_bytes, each.shared_bytes) for each in found.repositories} == {
        "app/web": (1, 2, SIZE, SIZE),
        "other": (1, 2, SIZE, SIZE),
        "secret": (1, 2, SIZE, 0),
    }
    assert [each.encrypted for each in found.repositories] == [False, False, True]
    assert found.accounted == found.stored == Lying(6, 2 * SIZE)
    assert found.unnamed == found.trash == found.uploads == found.quarantine == Lying(0, 0)
    assert found.overhead_bytes > 0


async def test_each_byte_on_the_disk_is_shown_with_what_it_is(client: Client) -> None:
    await push(client, "app/web")
    await client.blobs.put(b"unnamed", digest_of(b"unnamed"))
    await client.blobs.put(b"trashed!", digest_of(b"trashed!"))
    await client.blobs.delete(digest_of(b"trashed!"))
    await client.blobs.put(b"broken", digest_of(b"broken"))
    await client.blobs.quarantine(digest_of(b"broken"), stored_at=client.clock.now())
    upload = await client.blobs.begin()
    await upload.write(b"arriving..")
    found = await usage_of(client)
    assert found.accounted == found.stored == Lying(3, SIZE)
    assert (found.unnamed, found.trash, found.quarantine, found.uploads) == (Lying(1, 7), Lying(1, 8), Lying(1, 6), Lying(1, 10))


async def test_what_is_missing_makes_the_difference(client: Client) -> None:
    await push(client, "app/web")
    path = client.blobs.path(digest_of(LAYER))
    assert path is not None
    path.unlink()
    found = await usage_of(client)
    assert found.accounted.bytes - found.stored.bytes == len(LAYER)
    assert found.accounted.blobs - found.stored.blobs == 1


async def test_a_manifest_that_was_uploaded_as_a_layer_too_counts_once(client: Client) -> None:
    await client.create_repository("secret", data_key=new_data_key(lock_of(SECRET)))
    for name in ("app/web", "secret"):
        await push(client, name)
        await client.push_blob(name, IMAGE, digest_of(IMAGE))
    found = await usage_of(client)
    assert found.accounted == found.stored == Lying(6, 2 * SIZE)


NAMES = ("one", "two", "secret")
LAYERS = tuple(bytes((number,)) * (1000 + number) for number in range(4))
steps = st.one_of(
    st.tuples(st.just("push"), st.sampled_from(NAMES), st.sets(st.sampled_from(range(4)), max_size=3)),
    st.tuples(st.just("upload"), st.sampled_from(NAMES), st.sampled_from(range(4))),
    st.tuples(st.just("delete"), st.sampled_from(NAMES), st.just(None)),
    st.tuples(st.just("scan"), st.sampled_from(NAMES), st.sampled_from(range(2))),
    st.tuples(st.just("away"), st.sampled_from(NAMES), st.just(None)),
    st.tuples(st.just("collect"), st.just(""), st.just(None)),
    st.tuples(st.just("wait"), st.just(""), st.just(None)),
)


class Registry:
    """What a registry does to rows and bytes, in the order in which it does it."""

    def __init__(self, root: Path) -> None:
        self.clock = SteppedClock()
        self.store = memory_store(KINDS)
        self.blobs = FileBlobStore(root, clock=self.clock, secret=SECRET)
        self.collector = GarbageCollector(store=self.store, blobs=self.blobs, clock=self.clock)

    async def repository(self, name: str) -> Repository:
        meant = RepositoryId(REGION, ACCOUNT, name)
        key = new_data_key(lock_of(SECRET)) if name == "secret" else None
        made = Repository(meant.arn, REGION, ACCOUNT, name, self.clock.now(), data_key=key)
        return self.store.get(REPOSITORIES, meant.key) or await self.store.transact(lambda tx: tx.create(REPOSITORIES, made))

    async def upload(self, name: str, content: bytes) -> None:
        repository = await self.repository(name)
        upload = await content_of(self.blobs, repository).begin()
        await upload.write(content)
        await upload.commit(digest_of(content))
        meant = RepositoryId(REGION, ACCOUNT, name)
        await self.store.transact(lambda tx: record_blob(tx, meant, digest_of(content), len(content), self.clock.now()))

    async def push(self, name: str, layers: set[int]) -> None:
        for content in (CONFIG, *(LAYERS[number] for number in layers)):
            await self.upload(name, content)
        body = manifest(*(LAYERS[number] for number in sorted(layers)))
        await content_of(self.blobs, await self.repository(name)).put(body, digest_of(body))
        push = Push(manifest=parse_manifest(body, OCI_MANIFEST), digest=digest_of(body), size=len(body), tags=(), now=self.clock.now())
        await self.store.transact(lambda tx: record_push(tx, RepositoryId(REGION, ACCOUNT, name), push, again_is_error=False))

    async def scan(self, name: str, packed: bytes) -> None:
        """Of every image, with the same result."""
        repository = await self.repository(name)
        for image in self.store.list(IMAGES, "repository", repository.key):
            await content_of(self.blobs, repository).put(packed, digest_of(packed))
            report = ImageScanReport(repository.key, image.digest, digest_of(packed), len(packed))
            await self.store.transact(lambda tx, report=report: tx.put(IMAGE_SCAN_REPORTS, report))  # type: ignore[misc]

    async def do(self, what: str, name: str, more: object) -> None:
        match what, more:
            case "push", set():
                await self.push(name, more)
            case "upload", int():
                await self.upload(name, LAYERS[more])
            case "scan", int():
                await self.scan(name, f"report {more}".encode())
            case "delete", _:
                for image in self.store.list(IMAGES, "repository", RepositoryId(REGION, ACCOUNT, name).key, limit=1):
                    await self.store.transact(lambda tx, image=image: delete_image(tx, image, self.clock.now()))  # type: ignore[misc]
            case "away", _:
                await self.repository(name)
                meant = RepositoryId(REGION, ACCOUNT, name)
                await self.store.transact(lambda tx: delete_repository(tx, find_repository(tx, meant)))
            case "collect", _:
                await self.collector.collect()
            case "wait", _:
                await self.clock.step(GRACE_S * 0.6)

    async def check(self, root: Path) -> None:
        found = await usage_of_everything(self.store, self.blobs)
        assert found.disk_bytes == on_the_disk(root)
        assert found.accounted == found.stored, "rows and disk disagree"
        assert found.quarantine == found.uploads == Lying(0, 0)
        for image in self.store.list(IMAGES):
            repository = self.store.get(REPOSITORIES, image.repository)
            assert repository is not None
            report = self.store.get(IMAGE_SCAN_REPORTS, IMAGES.key(image))
            reports = (report.content,) if report else ()
            for digest in (image.digest, *reports, *(reference.digest for reference in image.references)):
                assert await content_of(self.blobs, repository).read(digest) is not None, f"{image.repository} lost {digest}"


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=st.lists(steps, max_size=25))
async def test_rows_and_disk_agree_at_every_moment_of_any_story(tmp_path_factory: object, story: list[tuple[str, str, object]]) -> None:
    root: Path = tmp_path_factory.mktemp("registry")  # type: ignore[attr-defined]
    registry = Registry(root)
    for what, name, more in story:
        await registry.do(what, name, more)
    await registry.collector.collect_leavings()
    await registry.check(root)
    await registry.clock.step(10 * GRACE_S)
    await registry.do("collect", "", None)
    await registry.clock.step(10 * GRACE_S)
    await registry.do("collect", "", None)
    await registry.check(root)
    found = await usage_of_everything(registry.store, registry.blobs)
    assert found.unnamed == found.trash == found.unreadable == Lying(0, 0), "something was forgotten"
    await registry.blobs.close()
    await registry.store.close()


async def test_bytes_whose_key_this_installation_cannot_open_are_shown_and_left_alone(client: Client) -> None:
    """As when the signing-key was lost, and perhaps is found again."""
    secret = await client.create_repository("secret", data_key=new_data_key(lock_of(SECRET)))
    await push(client, "secret")
    client.serve_from(FileBlobStore(client.blobs._root, clock=client.clock, secret=b"another" * 5))  # type: ignore[attr-defined]
    found = await usage_of(client)
    assert (found.accounted.blobs, found.stored.blobs, found.unreadable.blobs) == (3, 0, 3)
    collector = GarbageCollector(store=client.store, blobs=client.blobs, clock=client.clock)  # type: ignore[arg-type]
    await client.clock.step(10 * GRACE_S)
    await collector.collect(empty_trash=True)
    client.log_in()
    for path in (f"blobs/{digest_of(LAYER)}", "manifests/1"):
        assert (await client.ask("GET", f"/v2/secret/{path}")).status == 503
    client.serve_from(FileBlobStore(client.blobs._root, clock=client.clock, secret=SECRET))  # type: ignore[attr-defined]
    assert await (await client.ask("GET", f"/v2/secret/blobs/{digest_of(LAYER)}")).read() == LAYER
    assert find_repository(client.store, secret).data_key is not None
