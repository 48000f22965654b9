"""Reports as they are kept: packed, and no larger than an image's report may be.

What is too much is left out from the least telling on: texts first, then the mildest findings, then packages. The report says so.
"""

from __future__ import annotations

import asyncio
import zlib

import msgspec
from msgspec.structs import replace

from longshore.scanner.report import Finding, Report, in_order
from longshore.services.ecr.content import content_of
from longshore.services.ecr.model import Image, Repository, image_key
from longshore.services.ecr.names import digest_of
from longshore.services.ecr.scanning.model import IMAGE_SCAN_REPORTS, ImageScanReport
from longshore.store.base import Reader
from longshore.store.blobs import BlobStore

#: bytes of one report as it is kept
LARGEST = 1 << 20
_MOST_FINDINGS = 5_000
_MOST_PACKAGES = 50_000


def pack(report: Report) -> bytes:
    report = replace(report, findings=in_order(report.findings)[:_MOST_FINDINGS], packages=report.packages[:_MOST_PACKAGES])
    packed = _packed(report)
    if len(packed) > LARGEST:
        report = replace(
            report,
            findings=tuple(_terse(each) for each in report.findings),
            notes=(*report.notes, "descriptions are left out for their size"),
        )
        packed = _packed(report)
    while len(packed) > LARGEST:
        report = replace(
            report, findings=report.findings[: len(report.findings) // 2], packages=report.packages[: len(report.packages) // 2]
        )
        note = f"only the {len(report.findings)} worst findings and {len(report.packages)} packages are kept"
        packed = _packed(replace(report, notes=(*report.notes, note)))
    return packed


def _packed(report: Report) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(report), 6)


def _terse(finding: Finding) -> Finding:
    return replace(finding, title="", description="", references=())


def unpack(content: bytes) -> Report:
    return msgspec.msgpack.decode(zlib.decompress(content), type=Report)


async def read_report(reader: Reader, blobs: BlobStore, repository: Repository, image: Image) -> Report | None:
    """None where no scan knew the image's packages."""
    held = reader.get(IMAGE_SCAN_REPORTS, image_key(image.repository, image.digest))
    packed = await content_of(blobs, repository).read(held.content) if held is not None else None
    return unpack(packed) if packed is not None else None


async def store_report(blobs: BlobStore, repository: Repository, image: Image, report: Report) -> ImageScanReport:
    """What to write down once the blob is there. Raises BlobStoreFull."""
    packed = await asyncio.to_thread(pack, report)
    digest = digest_of(packed)
    await content_of(blobs, repository).put(packed, digest)
    return ImageScanReport(repository=image.repository, digest=image.digest, content=digest, size=len(packed))


def dated(report: Report, earlier: Report | None, now: float) -> Report:
    """Each finding with the time at which a scan of this image said so first."""
    first = {_identity(each): each.first_observed_at for each in earlier.findings} if earlier is not None else {}
    return replace(report, findings=tuple(replace(each, first_observed_at=first.get(_identity(each)) or now) for each in report.findings))


def _identity(finding: Finding) -> tuple[str, str, str, str]:
    return finding.name, finding.package, finding.version, finding.path
