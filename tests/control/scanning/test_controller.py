"""Scans carried out: two at a time, again after an interruption or a killed server, and when the database of vulnerabilities changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from longshore.control.loop import Loop
from longshore.control.scanning.controller import AT_ONCE, DATABASE, EVERY_S, Scanning
from longshore.control.scanning.plan import ENOUGH, MOST_ATTEMPTS
from longshore.kit.ids import SeededIds
from longshore.scanner.builtin import BuiltIn
from longshore.scanner.seam import ImageSource, ScanInterrupted
from longshore.services.ecr.images import Push, record_push
from longshore.services.ecr.manifests import parse_manifest
from longshore.services.ecr.model import IMAGES, REPOSITORIES
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.services.ecr.scanning.model import IMAGE_SCANS, ImageScan
from longshore.services.ecr.scanning.requests import request_scan
from tests.scanner.contents import OS_RELEASE, dpkg_status, layer_of
from tests.scanner.records import database
from tests.services.ecr.conftest import ACCOUNT, REGION, Ecr
from tests.services.ecr.scanning.stage import CONFIG, Said, finding, manifest, push, report
from tests.services.ecr.scanning.test_configuration import rule

STATUS = "var/lib/dpkg/status"


async def settle() -> None:
    """Let everything that can run without time passing run."""
    for _ in range(200):
        await asyncio.sleep(0)


@asynccontextmanager
async def running(ecr: Ecr, said: Any) -> AsyncIterator[None]:
    job = asyncio.create_task(Loop(Scanning(ecr.call.store, ecr.call.blobs, ecr.clock, said), ecr.call.store, ecr.clock, SeededIds()).run())
    await settle()
    yield
    assert not job.done(), job
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)


async def ended(ecr: Ecr, digest: str) -> ImageScan:
    """The scan of the only image, as soon as it has ended (packing a report takes a thread)."""
    async with asyncio.timeout(20):
        while True:
            scan = scan_of(ecr, digest)
            if scan.status != "IN_PROGRESS":
                return scan
            await asyncio.sleep(0.001)


def scan_of(ecr: Ecr, digest: str) -> ImageScan:
    (found,) = (each for each in ecr.call.store.list(IMAGE_SCANS) if each.digest == digest)
    return found


async def on_push(ecr: Ecr, name: str = "web") -> None:
    await ecr("CreateRepository", repositoryName=name, imageScanningConfiguration={"scanOnPush": True})


async def test_a_push_is_scanned_without_anybody_asking(ecr: Ecr) -> None:
    await on_push(ecr)
    said = Said(report(finding("CVE-2099-1")))
    async with running(ecr, said):
        digest = await push(ecr, "web", "1")
        assert (await ended(ecr, digest)).severity_counts == {"HIGH": 1}
    assert said.seen == [digest]


async def test_the_scanner_is_given_every_layer_in_its_place(ecr: Ecr) -> None:
    await on_push(ecr)
    seen: list[tuple[list[bytes], bytes]] = []

    async def look(image: ImageSource) -> None:
        contents = [b"".join([piece async for piece in image.read(layer)]) for layer in image.layers]
        seen.append((contents, image.manifest))

    said = Said(report())
    said.before = look
    async with running(ecr, said):
        digest = await push(ecr, "web", "1", b"one", b"two", b"one")
        await ended(ecr, digest)
    assert seen[0][0] == [b"one", b"two", b"one"], "a layer that occurs twice counts twice"
    assert digest_of(seen[0][1]) == digest


async def test_two_scans_at_a_time(ecr: Ecr) -> None:
    await on_push(ecr)
    gate, now, most = asyncio.Event(), 0, 0

    async def wait(image: ImageSource) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await gate.wait()
        now -= 1

    said = Said(report())
    said.before = wait
    async with running(ecr, said):
        digests = [await push(ecr, "web", str(number)) for number in range(6)]
        await settle()
        assert now == most == AT_ONCE
        gate.set()
        for digest in digests:
            assert (await ended(ecr, digest)).status == "COMPLETE"
    assert most == AT_ONCE


async def test_a_scan_that_a_killed_server_had_begun_begins_again(ecr: Ecr) -> None:
    await on_push(ecr)
    never = Said(report())
    never.before = lambda image: asyncio.Event().wait()
    async with running(ecr, never):
        digest = await push(ecr, "web", "1")
        await settle()
    assert (scan_of(ecr, digest).status, scan_of(ecr, digest).attempts) == ("IN_PROGRESS", 1)
    async with running(ecr, Said(report())):
        assert (await ended(ecr, digest)).status == "COMPLETE"


async def test_an_image_that_ends_every_server_is_given_up(ecr: Ecr) -> None:
    await on_push(ecr)
    digest = await push(ecr, "web", "1")
    never = Said(report())
    never.before = lambda image: asyncio.Event().wait()
    for _ in range(MOST_ATTEMPTS):
        async with running(ecr, never):
            pass
    async with running(ecr, never):
        scan = await ended(ecr, digest)
    assert (scan.status, "never came to an end" in scan.description) == ("FAILED", True)
    assert len(never.seen) == MOST_ATTEMPTS


async def test_an_interrupted_scan_is_tried_again_a_bounded_number_of_times(ecr: Ecr) -> None:
    await on_push(ecr)
    said = Said(ScanInterrupted("no room on the disk"), OSError(5, "Input/output error"), report())
    async with running(ecr, said):
        digest = await push(ecr, "web", "1")
        await settle()
        assert scan_of(ecr, digest).description == "attempt 1: no room on the disk"
        await ecr.clock.step(1000)
        assert (await ended(ecr, digest)).status == "COMPLETE"
    assert len(said.seen) == 3
    hopeless = Said(ScanInterrupted("no room on the disk"))
    async with running(ecr, hopeless):
        other = await push(ecr, "web", "2")
        for _ in range(MOST_ATTEMPTS):
            await settle()
            await ecr.clock.step(1000)
        scan = await ended(ecr, other)
    assert (scan.status, scan.description, len(hopeless.seen)) == ("FAILED", "no room on the disk", MOST_ATTEMPTS)


async def test_bytes_that_are_gone_are_no_clean_bill(ecr: Ecr, tmp_path: Path) -> None:
    await on_push(ecr)
    digest = await push(ecr, "web", "1", b"layer")
    await ecr.call.blobs.delete(digest_of(b"layer"))
    async with running(ecr, BuiltIn(tmp_path, None)):
        scan = await ended(ecr, digest)
    assert (scan.status, digest_of(b"layer") in scan.description) == ("FAILED", True)
    second = await push(ecr, "web", "2", b"other layer")
    await ecr.call.blobs.delete(second)
    async with running(ecr, Said(report())):
        assert (await ended(ecr, second)).status == "FAILED"


async def test_a_layer_that_only_another_repository_has_is_not_looked_into(ecr: Ecr, tmp_path: Path) -> None:
    secret = layer_of({"etc/os-release": OS_RELEASE, STATUS: dpkg_status(("secret-package", "1"))})
    await ecr("CreateRepository", repositoryName="private")
    await push(ecr, "private", "1", secret)
    await on_push(ecr)
    # Over /v2/, or out of a cache, an image may come whose layers are not here: it names what it likes.
    content = manifest(CONFIG, [secret]).encode()
    await ecr.call.blobs.put(content, digest_of(content))
    said = Push(parse_manifest(content, None), digest_of(content), len(content), ("1",), ecr.clock.now(), may_lack_layers=True)
    await ecr.call.store.transact(lambda tx: record_push(tx, RepositoryId(REGION, ACCOUNT, "web"), said, again_is_error=False))
    async with running(ecr, BuiltIn(tmp_path / "scanner", database(tmp_path / "osv.jsonl"))):
        scan = await ended(ecr, said.digest)
    assert (scan.status, "are not here" in scan.description) == ("FAILED", True)
    assert "secret-package" not in str(await ecr("DescribeImageScanFindings", repositoryName="web", imageId={"imageTag": "1"}))


async def test_an_image_that_goes_while_it_is_scanned_leaves_nothing_behind(ecr: Ecr) -> None:
    await on_push(ecr)
    gone = asyncio.Event()

    async def delete(image: ImageSource) -> None:
        await ecr("BatchDeleteImage", repositoryName="web", imageIds=[{"imageDigest": image.digest}])
        gone.set()

    said = Said(report(finding("CVE-2099-1"), finding("CVE-2099-2")))
    said.before = delete
    async with running(ecr, said):
        await push(ecr, "web", "1")
        await gone.wait()
    controller = Scanning(ecr.call.store, ecr.call.blobs, ecr.clock, said)
    await push(ecr, "web", "2")
    (key,) = (key for key in controller.keys() if key != DATABASE)
    assert await controller.reconcile(key) is None
    assert ecr.call.store.count(IMAGES) == 0
    assert ecr.call.store.count(IMAGE_SCANS) == 0


# ── continuous scanning ──


async def continuous(ecr: Ecr) -> None:
    await ecr("PutRegistryScanningConfiguration", scanType="ENHANCED", rules=[rule("CONTINUOUS_SCAN", "web")])


async def test_images_are_scanned_again_when_the_database_changes(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="web")
    await ecr("CreateRepository", repositoryName="other")
    await push(ecr, "other", "1")
    digest = await push(ecr, "web", "1")
    said = Said(report(database_stamp="one"))
    said.stamp = "one"
    async with running(ecr, said):
        assert said.seen == [], "nobody has asked for it"
        await continuous(ecr)
        await settle()
        assert (await ended(ecr, digest)).database_stamp == "one"
        for _ in range(5):
            await ecr.clock.step(EVERY_S)
            await settle()
        assert said.seen == [digest]
        said.stamp, said.reports = "two", [report(finding("CVE-2099-9"), database_stamp="two")]
        await ecr.clock.step(EVERY_S)
        await settle()
        assert (await ended(ecr, digest)).severity_counts == {"HIGH": 1}
    assert said.seen == [digest, digest]


async def test_an_image_that_fails_is_not_scanned_for_ever(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="web")
    digest = await push(ecr, "web", "1")
    await continuous(ecr)
    said = Said(report(failure="damaged"))
    said.stamp = "one"
    async with running(ecr, said):
        await ended(ecr, digest)
        for _ in range(5):
            await ecr.clock.step(EVERY_S)
            await settle()
    assert said.seen == [digest]


async def test_many_images_are_asked_for_in_portions(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="web")
    await push(ecr, "web", "1")
    (image,) = ecr.call.store.list(IMAGES)

    def multiply(tx: Any) -> None:
        for number in range(ENOUGH * 2):
            tx.put(IMAGES, replace(image, digest=f"sha256:{number:064}"))

    await ecr.call.store.transact(multiply)
    await continuous(ecr)
    controller = Scanning(ecr.call.store, ecr.call.blobs, ecr.clock, Said(report()))
    assert await controller.reconcile(DATABASE) == EVERY_S
    assert ecr.call.store.count(IMAGE_SCANS, "status", "IN_PROGRESS") == ENOUGH
    await controller.reconcile(DATABASE)
    assert ecr.call.store.count(IMAGE_SCANS) == ENOUGH


async def test_archived_images_are_left_alone(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="web")
    await push(ecr, "web", "1")
    await ecr("UpdateImageStorageClass", repositoryName="web", imageId={"imageTag": "1"}, targetStorageClass="ARCHIVE")
    await continuous(ecr)
    await Scanning(ecr.call.store, ecr.call.blobs, ecr.clock, Said(report())).reconcile(DATABASE)
    assert ecr.call.store.count(IMAGE_SCANS) == 0


async def test_asking_for_a_scan_twice_is_one_scan(ecr: Ecr) -> None:
    await on_push(ecr)
    digest = await push(ecr, "web", "1")
    (image,) = ecr.call.store.list(IMAGES)
    (repository,) = ecr.call.store.list(REPOSITORIES)
    assert image.repository == repository.key
    await ecr.call.store.transact(lambda tx: request_scan(tx, image, ecr.clock.now()))
    said = Said(report())
    async with running(ecr, said):
        await ended(ecr, digest)
        await settle()
    assert said.seen == [digest]


# ── with the built-in scanner ──


@pytest.mark.parametrize("encrypted", [False, True])
async def test_from_a_push_to_findings_with_the_built_in_scanner(ecr: Ecr, tmp_path: Path, encrypted: bool) -> None:
    await ecr(
        "CreateRepository",
        repositoryName="web",
        imageScanningConfiguration={"scanOnPush": True},
        encryptionConfiguration={"encryptionType": "KMS" if encrypted else "AES256"},
    )
    first = layer_of({"etc/os-release": OS_RELEASE, STATUS: dpkg_status(("libharbour", "1.0-1"), source="harbourlib")})
    second = layer_of({STATUS: dpkg_status(("libharbour", "1.6-1"), source="harbourlib")})
    async with running(ecr, BuiltIn(tmp_path / "scanner", database(tmp_path / "osv.jsonl"))):
        digest = await push(ecr, "web", "1", first, second)
        scan = await ended(ecr, digest)
    assert (scan.status, scan.severity_counts) == ("COMPLETE", {"CRITICAL": 1})
    got = await ecr("DescribeImageScanFindings", repositoryName="web", imageId={"imageDigest": digest})
    (found,) = got["imageScanFindings"]["findings"]
    assert (found["name"], found["severity"], found["uri"]) == ("CVE-2099-0001", "CRITICAL", "https://example.org/CVE-2099-0001")
    assert {"key": "package_version", "value": "1.6-1"} in found["attributes"]


async def test_without_a_database_no_scan_is_complete(ecr: Ecr, tmp_path: Path) -> None:
    await on_push(ecr)
    async with running(ecr, BuiltIn(tmp_path, None)):
        digest = await push(ecr, "web", "1", layer_of({"etc/os-release": OS_RELEASE, STATUS: dpkg_status(("a", "1"))}))
        scan = await ended(ecr, digest)
    assert (scan.status, "--vulnerability-database" in scan.description) == ("FAILED", True)
