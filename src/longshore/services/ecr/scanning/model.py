"""What is kept of scans: how a registry scans, how each image's last scan went, and its report.

The report itself is a blob among the repository's others: an installation has many images, each is asked about rarely, and what is
found in an image is no less a secret than what is in it. Here stands only which blob.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from longshore.kit.resource import Kind
from longshore.services.ecr.model import image_key

ScanState = Literal["IN_PROGRESS", "COMPLETE", "FAILED", "UNSUPPORTED_IMAGE"]


class ScanningRule(msgspec.Struct, frozen=True):
    #: SCAN_ON_PUSH, CONTINUOUS_SCAN or MANUAL
    frequency: str
    #: wildcard filters of repository names
    filters: tuple[str, ...]


class RegistryScanning(msgspec.Struct, frozen=True):
    """The scanning configuration of one registry; where there is none, it is BASIC without rules."""

    region: str
    account_id: str
    scan_type: str = "BASIC"
    rules: tuple[ScanningRule, ...] = ()


def registry_scanning_key(region: str, account_id: str) -> str:
    return f"{region}:{account_id}"


REGISTRY_SCANNING: Kind[RegistryScanning] = Kind(
    name="ecr.registry_scanning",
    type=RegistryScanning,
    key=lambda scanning: registry_scanning_key(scanning.region, scanning.account_id),
)


class ImageScan(msgspec.Struct, frozen=True, gc=False):
    """The last scan of an image. While it is IN_PROGRESS, counts and times are still those of the one before."""

    repository: str
    digest: str
    status: ScanState
    requested_at: float
    #: for people: why it failed, what could not be looked at
    description: str = ""
    #: how often this scan has begun: a server may die in the midst of it
    attempts: int = 0
    #: of the last scan with findings
    completed_at: float | None = None
    severity_counts: dict[str, int] = {}
    #: when the vulnerability database it was matched with was made
    database_updated_at: float | None = None
    #: tells which state of the database the scan saw, also when it failed
    database_stamp: str = ""
    #: when it ended, however
    ended_at: float | None = None


IMAGE_SCANS: Kind[ImageScan] = Kind(
    name="ecr.image_scan",
    type=ImageScan,
    key=lambda scan: image_key(scan.repository, scan.digest),
    indexes={
        "repository": lambda scan: (scan.repository,),
        "image": lambda scan: (image_key(scan.repository, scan.digest),),
        "status": lambda scan: (scan.status,),
    },
)


class ImageScanReport(msgspec.Struct, frozen=True, gc=False):
    """Where to find what the last scan that knew the image's packages has found: a scanner's Report as reports.py packs it."""

    repository: str
    digest: str
    #: digest of the blob, which is kept for as long as this names it
    content: str
    #: its bytes
    size: int = 0


IMAGE_SCAN_REPORTS: Kind[ImageScanReport] = Kind(
    name="ecr.image_scan_report",
    type=ImageScanReport,
    key=lambda report: image_key(report.repository, report.digest),
    indexes={
        "repository": lambda report: (report.repository,),
        "image": lambda report: (image_key(report.repository, report.digest),),
        "blob": lambda report: (report.content,),
    },
)
