"""Verification: what is broken or missing is found, named and moved aside; a push puts it right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longshore.kit.clock import SteppedClock, SystemClock
from longshore.kit.data_keys import lock_of, new_data_key
from longshore.registry.verification import Broken, Done, Line, Missing, Pace, Progress, Verification, scrub
from longshore.services.ecr.images import find_repository
from longshore.services.ecr.manifests import OCI_MANIFEST
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.store.file_blobs import FileBlobStore
from tests.registry.conftest import ACCOUNT, REGION, SECRET, Client
from tests.registry.contents import CONFIG, LAYER, manifest

IMAGE = manifest(LAYER)
PARTS = (CONFIG, LAYER, IMAGE)
FAST = 1 << 40


async def push(client: Client, name: str) -> None:
    for content in (CONFIG, LAYER):
        await client.push_blob(name, content, digest_of(content))
    response = await client.ask("PUT", f"/v2/{name}/manifests/1", data=IMAGE, headers={"Content-Type": OCI_MANIFEST})
    assert response.status == 201


@pytest.fixture(params=["plain", "encrypted"])
async def pushed(request: pytest.FixtureRequest, client: Client) -> Client:
    """An image in app/one and in app/two, plain or each with a key of its own."""
    for name in ("app/one", "app/two"):
        key = new_data_key(lock_of(SECRET)) if request.param == "encrypted" else None
        await client.create_repository(name, data_key=key)
        await push(client, name)
    return client


def key_of(name: str) -> str:
    return RepositoryId(REGION, ACCOUNT, name).key


async def verified(client: Client, name: str | None = None) -> list[Line]:
    repository = find_repository(client.store, RepositoryId(REGION, ACCOUNT, name)) if name else None
    verification = Verification(store=client.store, blobs=client.blobs, clock=SystemClock(), repository=repository, bytes_per_s=FAST)  # type: ignore[arg-type]
    return [line async for line in verification.lines() if not isinstance(line, Progress)]


def files_of(client: Client, content: bytes) -> list[Path]:
    root: Path = client.blobs._root  # type: ignore[attr-defined]
    return [file for place in ("blobs", "keyed") for file in (root / place).rglob(digest_of(content)[7:])]


def damage(file: Path) -> None:
    file.chmod(0o600)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


async def test_what_is_whole_is_counted_and_left_alone(pushed: Client) -> None:
    copies = len(files_of(pushed, LAYER))
    (done,) = await verified(pushed)
    assert isinstance(done, Done)
    assert (done.blobs, done.bytes) == (3 * copies, copies * sum(map(len, PARTS)))
    assert (done.broken, done.missing) == (0, 0)
    (done,) = await verified(pushed, "app/one")
    assert isinstance(done, Done)
    assert (done.blobs, done.bytes) == (3, sum(map(len, PARTS)))


@pytest.mark.parametrize("part", [LAYER, IMAGE], ids=["a layer", "a manifest"])
async def test_a_broken_blob_is_moved_aside_and_those_who_need_it_are_named(pushed: Client, part: bytes) -> None:
    damaged = files_of(pushed, part)[0]
    damage(damaged)
    broken, done = await verified(pushed)
    assert isinstance(broken, Broken)
    assert (broken.digest, broken.size) == (digest_of(part), len(part))
    shared = "keyed" not in damaged.parts
    assert len(broken.repositories) == len(broken.images) == (2 if shared else 1)
    assert set(broken.repositories) <= {key_of("app/one"), key_of("app/two")}
    assert set(broken.images) == {f"{repository}@{digest_of(IMAGE)}" for repository in broken.repositories}
    assert isinstance(done, Done)
    assert (done.broken, done.missing) == (1, 0)
    assert not damaged.exists()


async def test_what_was_moved_aside_is_not_served_until_it_is_pushed_again(pushed: Client) -> None:
    for file in files_of(pushed, LAYER):
        damage(file)
    await verified(pushed)
    url = f"/v2/app/one/blobs/{digest_of(LAYER)}"
    for method in ("HEAD", "GET"):
        assert (await pushed.ask(method, url)).status == 404
    missing = [line for line in await verified(pushed) if isinstance(line, Missing)]
    assert {line.digest for line in missing} == {digest_of(LAYER)}
    assert {repository for line in missing for repository in line.repositories} == {key_of("app/one"), key_of("app/two")}
    assert f"{key_of('app/one')}@{digest_of(IMAGE)}" in {image for line in missing for image in line.images}
    for name in ("app/one", "app/two"):
        await push(pushed, name)
    assert await (await pushed.ask("GET", url)).read() == LAYER
    assert [type(line) for line in await verified(pushed)] == [Done]


async def test_a_blob_cut_off_is_not_served_and_found(pushed: Client) -> None:
    for file in files_of(pushed, LAYER):
        file.chmod(0o600)
        file.write_bytes(file.read_bytes()[:-3])
    assert (await pushed.ask("GET", f"/v2/app/one/blobs/{digest_of(LAYER)}")).status == 404
    assert isinstance((await verified(pushed))[0], Broken)


async def test_bytes_that_are_gone_are_missed(pushed: Client) -> None:
    for file in files_of(pushed, CONFIG):
        file.unlink()
    missing = [line for line in await verified(pushed, "app/one") if isinstance(line, Missing)]
    assert [(line.digest, line.size, line.repositories) for line in missing] == [(digest_of(CONFIG), len(CONFIG), (key_of("app/one"),))]


class PushedMeanwhile(FileBlobStore):
    """A blob is pushed anew while its broken bytes are being read."""

    async def stream(self, digest: str, first: int, last: int) -> AsyncIterator[bytes]:
        async for chunk in super().stream(digest, first, last):
            if chunk != LAYER and digest == digest_of(LAYER):
                upload = await self.begin()
                await upload.write(LAYER)
                await upload.commit(digest)
            yield chunk


async def test_a_blob_that_is_pushed_while_it_is_read_is_looked_at_again(client: Client) -> None:
    await push(client, "app/web")
    damage(files_of(client, LAYER)[0])
    await client.clock.step(1)
    client.blobs = PushedMeanwhile(client.blobs._root, clock=client.clock, secret=SECRET)  # type: ignore[attr-defined]
    assert [type(line) for line in await verified(client)] == [Done]
    assert await client.blobs.read(digest_of(LAYER)) == LAYER
    await client.blobs.close()


async def test_the_background_verification_goes_round_and_round_and_tells_the_log(pushed: Client, caplog: pytest.LogCaptureFixture) -> None:
    damage(files_of(pushed, LAYER)[0])
    caplog.set_level("INFO")
    clock = SteppedClock()
    going = asyncio.create_task(scrub(pushed.store, pushed.blobs, clock, FAST))  # type: ignore[arg-type]
    async with asyncio.timeout(10):
        for rounds in (1, 2):
            while caplog.text.count("verified ") < rounds:
                await clock.step(4000)
                await asyncio.get_running_loop().run_in_executor(None, lambda: None)
    going.cancel()
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("verified")]
    assert "1 broken, 0 missing" in told[0]
    assert "0 broken" in told[1]
    assert "broken, moved aside" in caplog.text


async def test_reading_keeps_to_its_pace() -> None:
    clock = SteppedClock()
    began, pace = clock.now(), Pace(clock, 100)

    async def read() -> None:
        for _ in range(5):
            await pace.take(100)

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    for _ in range(4):
        await clock.step(1)
    assert not reading.done()
    await clock.step(1)
    await reading
    assert clock.now() - began == 5
