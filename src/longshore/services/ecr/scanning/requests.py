"""Scans in transactions: which images can be scanned, and how a scan is asked for. The controller carries them out.

A scan on push is asked for in the transaction of the push, so no crash can lose one. `record_push` calls this module; it must not
know images.py.
"""

from __future__ import annotations

from msgspec.structs import replace

from longshore.services.ecr import manifests
from longshore.services.ecr.model import Image, Repository, image_key
from longshore.services.ecr.scanning.configuration import frequency_of, scanning_of
from longshore.services.ecr.scanning.model import IMAGE_SCANS, ImageScan
from longshore.store.base import Tx

#: configs of what runs as a container; other artifacts have nothing to scan
_CONTAINERS = frozenset({"application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"})


def is_scannable(image: Image) -> bool:
    """Whether it is one container image with layers that are file systems: no index, no signature, no SBOM, no attestation."""
    return (
        image.media_type in manifests.IMAGES
        and image.artifact_media_type in _CONTAINERS
        and not image.subject
        and any(".tar" in reference.media_type for reference in image.references)
    )


def request_scan(tx: Tx, image: Image, now: float) -> ImageScan:
    """A scan of the image is under way from here on. What the last one found stands until it has ended."""
    held = tx.get(IMAGE_SCANS, image_key(image.repository, image.digest))
    if held is None:
        return tx.put(IMAGE_SCANS, ImageScan(repository=image.repository, digest=image.digest, status="IN_PROGRESS", requested_at=now))
    if held.status == "IN_PROGRESS":
        return held
    return tx.put(IMAGE_SCANS, replace(held, status="IN_PROGRESS", requested_at=now, attempts=0, description=""))


def request_on_push(tx: Tx, repository: Repository, image: Image, now: float) -> None:
    """Where the registry or the repository has it so."""
    if is_scannable(image) and frequency_of(scanning_of(tx, repository.region, repository.account_id), repository).on_push:
        request_scan(tx, image, now)
