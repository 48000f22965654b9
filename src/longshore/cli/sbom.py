"""`longshore ecr sbom`: what is installed in an image, as a software bill of materials on standard output.

The packages are those that the image's last scan found; `--scan` has one done first. A vulnerability database is not needed for it.
"""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec
import typer

from longshore.cli.client import Platform
from longshore.cli.ecr import DataDir, Region, _platform
from longshore.cli.outcome import ExitCode, Failure

_FORMATS = ("cyclonedx", "spdx")
_LOOK_EVERY_S = 0.5


class _Sbom(msgspec.Struct, frozen=True):
    document: dict[str, Any]


class _Status(msgspec.Struct, frozen=True):
    status: str = ""
    description: str = ""


class _Scan(msgspec.Struct, frozen=True):
    status: _Status = msgspec.field(name="imageScanStatus")


def sbom(
    image: Annotated[
        str, typer.Argument(help="A repository's name, with a tag or digest; `latest` unless given.", metavar="REPO[:TAG|@DIGEST]")
    ],
    form: Annotated[str, typer.Option("--format", help="The document's format.", metavar="cyclonedx|spdx")] = "cyclonedx",
    scan: Annotated[bool, typer.Option("--scan", help="Scan the image first, and wait for it.")] = False,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait for the scan.")] = 1800,
    region: Region = None,
    data_dir: DataDir = None,
) -> None:
    """Print what is installed in an image as a software bill of materials (CycloneDX or SPDX, JSON)."""
    if form not in _FORMATS:
        raise Failure(f"unknown format {form!r}", f"use --format {' or '.join(_FORMATS)}", ExitCode.USAGE)
    platform = _platform(data_dir, region)
    request = image_request(image)
    if scan:
        scan_first(platform, request, timeout)
    try:
        found = platform.ecr("LongshoreGetImageSbom", {**request, "format": form}, _Sbom)
    except Failure as failure:
        if "ScanNotFoundException" not in failure.cause:
            raise
        raise _without_packages(platform, request, image) from failure
    print(msgspec.json.format(msgspec.json.encode(found.document), indent=2).decode())


def image_request(image: str) -> dict[str, object]:
    """The members that name an image; raises Failure."""
    repository, at, digest = image.partition("@")
    if at:
        return {"repositoryName": repository.partition(":")[0], "imageId": {"imageDigest": digest}}
    repository, _, tag = repository.partition(":")
    if not repository:
        raise Failure(f"{image!r} names no repository", "name it like app/web:1.0", ExitCode.USAGE)
    return {"repositoryName": repository, "imageId": {"imageTag": tag or "latest"}}


def scan_first(platform: Platform, request: dict[str, object], timeout_s: float) -> None:
    """Returns when the image's scan has ended, however: without a vulnerability database its packages are known all the same.

    One that was scanned within a day is not scanned again. Raises Failure, also when it takes too long.
    """
    try:
        platform.ecr("StartImageScan", request, _Scan)
    except Failure as failure:
        if "LimitExceededException" not in failure.cause:
            raise
    ends = time.monotonic() + timeout_s
    while _status(platform, request).status == "IN_PROGRESS":
        if time.monotonic() > ends:
            raise Failure("the scan has not ended yet", "ask again without --scan when it has, or wait longer with --timeout")
        time.sleep(_LOOK_EVERY_S)


def _status(platform: Platform, request: dict[str, object]) -> _Status:
    return platform.ecr("DescribeImageScanFindings", {**request, "maxResults": 1}, _Scan).status


def _without_packages(platform: Platform, request: dict[str, object], image: str) -> Failure:
    try:
        status = _status(platform, request)
    except Failure:
        return Failure(f"{image} has not been scanned", "have it scanned first, with --scan")
    if status.status == "IN_PROGRESS":
        return Failure(f"{image} is being scanned", "wait for it, with --scan")
    return Failure(f"the scan of {image} ended {status.status}: {status.description}")
