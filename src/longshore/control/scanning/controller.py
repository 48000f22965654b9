"""Scans that are asked for are carried out, two at a time; continuous scanning asks again when the vulnerability database changes.

Keys are images whose scan is IN_PROGRESS, and one more for the database, looked at every minute. An attempt is counted before it
begins: a server that was killed in the midst of a scan begins it again, and an image that kills every attempt does not do so for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec
from msgspec.structs import replace

from longshore.control.loop import Watched
from longshore.control.scanning.plan import ENOUGH, ended, is_due, next_step, wait_s
from longshore.kit.clock import Clock
from longshore.scanner.report import Report
from longshore.scanner.seam import BlobRef, ImageSource, ScanInterrupted, Scanner
from longshore.services.ecr.content import content_of
from longshore.services.ecr.events import record
from longshore.services.ecr.images import tags_of
from longshore.services.ecr.model import IMAGES, REPOSITORIES, REPOSITORY_BLOBS, Image, Repository, image_key
from longshore.services.ecr.scanning.configuration import frequency_of
from longshore.services.ecr.scanning.model import IMAGE_SCAN_REPORTS, IMAGE_SCANS, REGISTRY_SCANNING, ImageScan, ImageScanReport
from longshore.services.ecr.scanning.reports import dated, read_report, store_report
from longshore.services.ecr.scanning.requests import is_scannable, request_scan
from longshore.store.base import Change, Store, Tx
from longshore.store.blobs import BlobStore, NoSuchBlob

log = logging.getLogger("longshore.control.scanning")

AT_ONCE = 2
#: how often the vulnerability database is looked at
EVERY_S = 60.0
_PAGE = 500
#: no image's key looks like this
DATABASE = "the vulnerability database"


class _Layers(msgspec.Struct):
    """Of a manifest: every layer in its place, also one that occurs twice."""

    layers: tuple[BlobRef, ...] = ()
    config: BlobRef | None = None


_layers = msgspec.json.Decoder(_Layers)


class Scanning:
    name = "scanning"

    def __init__(self, store: Store, blobs: BlobStore, clock: Clock, scanner: Scanner) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._scanner = scanner
        self._turns = asyncio.Semaphore(AT_ONCE)
        #: of the database, as far as it has been looked at
        self._stamp = ""

    @property
    def watches(self) -> Sequence[Watched]:
        return (
            Watched(IMAGE_SCANS, self._asked_for),
            Watched(REGISTRY_SCANNING, lambda change: (DATABASE,)),
        )

    @staticmethod
    def _asked_for(change: Change[ImageScan]) -> Iterable[str]:
        """Counting an attempt changes the scan, too: only what has yet to begin is news."""
        return (change.key,) if change.new is not None and change.new.status == "IN_PROGRESS" and not change.new.attempts else ()

    def keys(self) -> Iterable[str]:
        return (DATABASE, *(image_key(scan.repository, scan.digest) for scan in self._store.list(IMAGE_SCANS, "status", "IN_PROGRESS")))

    async def reconcile(self, key: str) -> float | None:
        if key == DATABASE:
            await self._look_at_the_database()
            return EVERY_S
        async with self._turns:
            return await self._scan(key)

    # ── one image ──

    async def _scan(self, key: str) -> float | None:
        scan = await self._store.transact(lambda tx: _begin(tx, key, self._clock.now()))
        image = self._store.get(IMAGES, key)
        repository = self._store.get(REPOSITORIES, image.repository) if image is not None else None
        if scan is None or image is None or repository is None:
            return None
        stamp = self._stamp
        kept: ImageScanReport | None = None
        try:
            report = await self._scanner.scan(await self._source(repository, image))
            report = dated(report, await self._earlier(repository, image), self._clock.now())
            if report.packages or not report.failure:
                kept = await store_report(self._blobs, repository, image, report)
        except NoSuchBlob as error:
            report = Report(scanner=self._scanner.name, failure=f"the bytes of {error} are not here")
        except (ScanInterrupted, OSError) as error:
            again, why = wait_s(scan.attempts), str(error)
            log.warning("%s: scan interrupted (attempt %d): %s", key, scan.attempts, why)
            if again is not None:
                await self._store.transact(lambda tx: _note(tx, key, f"attempt {scan.attempts}: {why}"))
                return again
            report = Report(scanner=self._scanner.name, failure=why)
        now = self._clock.now()
        done = ended(scan, report, stamp, now)
        await self._store.transact(lambda tx: _end(tx, key, done, kept, now))
        log.info("%s: scan %s, %d packages, %s", key, done.status, len(report.packages), done.severity_counts or done.description)
        return None

    async def _earlier(self, repository: Repository, image: Image) -> Report | None:
        """What the scan before found. Without it only the times are lost at which findings were seen first."""
        try:
            return await read_report(self._store, self._blobs, repository, image)
        except OSError as error:
            log.warning("%s@%s: the report of the scan before cannot be read: %s", repository.key, image.digest, error)
            return None

    async def _source(self, repository: Repository, image: Image) -> ImageSource:
        """Raises NoSuchBlob."""
        content = content_of(self._blobs, repository)
        manifest = await content.read(image.digest)
        if manifest is None:
            raise NoSuchBlob(image.digest)
        named = _layers.decode(manifest)

        def read(blob: BlobRef) -> AsyncIterator[bytes]:
            # What a manifest names may lie here for another repository only: it is not to be told of in this one.
            held = self._store.get(REPOSITORY_BLOBS, image_key(repository.key, blob.digest))
            if held is None or content.size(blob.digest) != held.size:
                raise NoSuchBlob(blob.digest)
            return content.stream(blob.digest, 0, held.size - 1)

        return ImageSource(
            digest=image.digest, media_type=image.media_type, manifest=manifest, config=named.config, layers=named.layers, read=read
        )

    # ── continuous scanning ──

    async def _look_at_the_database(self) -> None:
        self._stamp = stamp = await self._scanner.refresh()
        room = ENOUGH - self._store.count(IMAGE_SCANS, "status", "IN_PROGRESS")
        due = await self._due(stamp, room) if room > 0 else []
        if due:
            log.info("%d images are scanned again: the vulnerability database is %s", len(due), stamp or f"{self._scanner.name}'s own")
            await self._store.transact(lambda tx: _ask_again(tx, due, stamp, self._clock.now()))

    async def _due(self, stamp: str, most: int) -> list[Image]:
        """Images that continuous scanning wants scanned now, a page at a time: others have their turn in between."""
        due: list[Image] = []
        for repository in self._continuous():
            after: str | None = None
            while page := self._store.list(IMAGES, "repository", repository.key, after=after, limit=_PAGE):
                now = self._clock.now()
                due += (
                    image
                    for image in page
                    if is_scannable(image)
                    and not image.archived
                    and is_due(self._store.get(IMAGE_SCANS, image_key(image.repository, image.digest)), stamp, now)
                )
                if len(due) >= most:
                    return due[:most]
                after = image_key(page[-1].repository, page[-1].digest)
                await asyncio.sleep(0)
        return due

    def _continuous(self) -> list[Repository]:
        """Repositories whose images are scanned continuously."""
        registries = [
            scanning
            for scanning in self._store.list(REGISTRY_SCANNING)
            if any(rule.frequency == "CONTINUOUS_SCAN" for rule in scanning.rules)
        ]
        return [
            repository
            for scanning in registries
            for repository in self._store.list(REPOSITORIES, "scope", f"{scanning.region}:{scanning.account_id}")
            if frequency_of(scanning, repository).name == "CONTINUOUS_SCAN"
        ]


def _begin(tx: Tx, key: str, now: float) -> ImageScan | None:
    """The scan with this attempt counted; None when there is nothing to begin."""
    scan = tx.get(IMAGE_SCANS, key)
    step = next_step(scan)
    if scan is None or step.what == "nothing":
        return None
    if step.what == "give up":
        tx.put(IMAGE_SCANS, replace(scan, status="FAILED", description=step.reason, ended_at=now))
        return None
    return tx.put(IMAGE_SCANS, replace(scan, attempts=scan.attempts + 1))


def _note(tx: Tx, key: str, description: str) -> None:
    scan = tx.get(IMAGE_SCANS, key)
    if scan is not None and scan.status == "IN_PROGRESS":
        tx.put(IMAGE_SCANS, replace(scan, description=description))


def _end(tx: Tx, key: str, done: ImageScan, kept: ImageScanReport | None, now: float) -> None:
    """Nothing where the image went while it was scanned."""
    image, held = tx.get(IMAGES, key), tx.get(IMAGE_SCANS, key)
    if image is None or held is None:
        return
    tx.put(IMAGE_SCANS, done)
    if kept is not None:
        tx.put(IMAGE_SCAN_REPORTS, kept)
    repository = tx.get(REPOSITORIES, image.repository)
    if repository is not None:
        detail = {
            "scan-status": done.status,
            "repository-name": repository.name,
            "finding-severity-counts": done.severity_counts if done.status == "COMPLETE" else {},
            "image-digest": image.digest,
            "image-tags": tags_of(tx, image),
        }
        record(tx, repository, "ECR Image Scan", detail, now, ordinal=f"SCAN:{image.digest}")


def _ask_again(tx: Tx, images: Sequence[Image], stamp: str, now: float) -> None:
    for image in images:
        key = image_key(image.repository, image.digest)
        if tx.get(IMAGES, key) is not None and is_due(tx.get(IMAGE_SCANS, key), stamp, now):
            request_scan(tx, image, now)
