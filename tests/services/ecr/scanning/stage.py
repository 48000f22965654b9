"""Images in a repository, and a scanner that says what the test wants."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from longshore.control.scanning.controller import Scanning
from longshore.scanner.report import Finding, Package, Report
from longshore.scanner.seam import ImageSource
from longshore.services.ecr.content import content_of
from longshore.services.ecr.images import find_repository, record_blob
from longshore.services.ecr.names import RepositoryId, digest_of
from tests.services.ecr.conftest import ACCOUNT, REGION, Ecr

CONFIG = b'{"architecture":"amd64","os":"linux"}'
OCI = "application/vnd.oci.image"


def manifest(config: bytes, layers: list[bytes], *, config_type: str = f"{OCI}.config.v1+json", **more: Any) -> str:
    def descriptor(content: bytes, media_type: str) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}

    listed = [descriptor(layer, f"{OCI}.layer.v1.tar+gzip") for layer in layers]
    document = {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": descriptor(config, config_type), "layers": listed}
    return json.dumps({**document, **more})


async def store_layer(ecr: Ecr, name: str, content: bytes) -> None:
    """As a push stores it, encrypted where the repository is."""
    meant = RepositoryId(REGION, ACCOUNT, name)
    repository = find_repository(ecr.call.store, meant)
    digest = digest_of(content)
    await content_of(ecr.call.blobs, repository).put(content, digest)
    await ecr.call.store.transact(lambda tx: record_blob(tx, meant, digest, len(content), ecr.clock.now()))


async def push(ecr: Ecr, name: str, tag: str, *layers: bytes, **more: Any) -> str:
    """The digest."""
    contents = list(layers) or [f"layer of {name}:{tag}".encode()]
    for content in (CONFIG, *contents):
        await store_layer(ecr, name, content)
    put = await ecr("PutImage", repositoryName=name, imageTag=tag, imageManifest=manifest(CONFIG, contents, **more))
    return str(put["image"]["imageId"]["imageDigest"])


def finding(name: str, severity: str = "HIGH", **more: Any) -> Finding:
    return Finding(name=name, severity=severity, package="harbourlib", version="1.0", **more)


class Said:
    """A scanner that answers `reports` in turn, the last one for ever; an exception among them is raised."""

    name = "said"

    def __init__(self, *reports: Report | Exception) -> None:
        self.reports = list(reports)
        self.stamp = ""
        self.seen: list[str] = []
        #: called with the image before the answer
        self.before: Callable[[ImageSource], Any] | None = None

    async def refresh(self) -> str:
        return self.stamp

    async def scan(self, image: ImageSource) -> Report:
        self.seen.append(image.digest)
        if self.before is not None:
            await self.before(image)
        answer = self.reports.pop(0) if len(self.reports) > 1 else self.reports[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def report(*findings: Finding, **more: Any) -> Report:
    return Report(
        scanner="said", packages=(Package("harbourlib", "1.0", "dpkg"),), findings=findings, database_updated_at=1_600_000_000.0, **more
    )


async def scanned(ecr: Ecr, *reports: Report | Exception) -> Said:
    """Carries out every scan that is asked for, once."""
    said = Said(*reports)
    controller = Scanning(ecr.call.store, ecr.call.blobs, ecr.clock, said)
    for key in list(controller.keys()):
        await controller.reconcile(key)
    return said
