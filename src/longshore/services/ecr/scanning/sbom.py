"""A software bill of materials of an image: what its last scan found installed, in SPDX 2.3 or CycloneDX 1.5.

Both documents are made from the same report alone, so asking twice gives the same document.
https://spdx.github.io/spdx-spec/v2.3/, https://cyclonedx.org/docs/1.5/json/
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from longshore import __version__
from longshore.scanner.report import Distribution, Package, Report
from longshore.services.ecr.model import Image, Repository

#: wire content
Document = dict[str, Any]

_PURL_TYPES = {"dpkg": "deb", "apk": "apk", "rpm": "rpm", "pip": "pypi", "npm": "npm"}
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9.-]+")


def purl(package: Package, distribution: Distribution) -> str:
    """Where everybody knows the package by: https://github.com/package-url/purl-spec"""
    kind = _PURL_TYPES.get(package.manager, "generic")
    namespace, _, name = package.name.rpartition("/") if kind == "npm" else ("", "", package.name)
    version, qualifiers = package.version, []
    if kind in ("deb", "apk", "rpm"):
        namespace = distribution.id
        if package.arch:
            qualifiers.append(f"arch={quote(package.arch, safe='')}")
        if distribution.id and distribution.version_id:
            qualifiers.append(f"distro={quote(f'{distribution.id}-{distribution.version_id}', safe='')}")
        epoch, colon, rest = version.partition(":")
        if kind == "rpm" and colon:
            version = rest
            qualifiers.append(f"epoch={quote(epoch, safe='')}")
    path = "/".join(quote(part, safe="") for part in (namespace, name) if part)
    return f"pkg:{kind}/{path}@{quote(version, safe='')}{'?' + '&'.join(qualifiers) if qualifiers else ''}"


def cyclonedx(report: Report, image: Image, held: Repository, scanned_at: float) -> Document:
    components = [
        {
            "type": "library",
            "bom-ref": f"{purl(package, report.distribution)}#{number}",
            "name": package.name,
            "version": package.version,
            "purl": purl(package, report.distribution),
            "properties": [
                {"name": f"longshore:{name}", "value": value}
                for name, value in (
                    ("manager", package.manager),
                    ("path", package.path),
                    ("layer", package.layer),
                    ("source", package.source),
                )
                if value
            ],
        }
        for number, package in enumerate(report.packages)
    ]
    system: list[Document] = []
    if report.distribution.id:
        system = [{"type": "operating-system", "name": report.distribution.id, "version": report.distribution.version_id}]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{_identity(report, image, held)}",
        "version": 1,
        "metadata": {
            "timestamp": _moment(scanned_at),
            "tools": {"components": [{"type": "application", "name": "longshore", "version": __version__}]},
            "component": {"type": "container", "bom-ref": image.digest, "name": held.name, "version": image.digest},
        },
        "components": [*system, *components],
    }


def spdx(report: Report, image: Image, held: Repository, scanned_at: float) -> Document:
    root: Document = {
        "SPDXID": "SPDXRef-image",
        "name": held.name,
        "versionInfo": image.digest,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "primaryPackagePurpose": "CONTAINER",
    }
    packages = [
        {
            "SPDXID": f"SPDXRef-{number}-{_NOT_IN_IDS.sub('-', package.name)}",
            "name": package.name,
            "versionInfo": package.version,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False,
            **({"sourceInfo": f"built from {package.source} {package.source_version}".strip()} if package.source else {}),
            "externalRefs": [
                {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl(package, report.distribution)}
            ],
        }
        for number, package in enumerate(report.packages)
    ]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{held.name}@{image.digest}",
        "documentNamespace": f"urn:uuid:{_identity(report, image, held)}",
        "creationInfo": {"created": _moment(scanned_at), "creators": [f"Tool: longshore-{__version__}"]},
        "packages": [root, *packages],
        "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-image"},
            *(
                {"spdxElementId": "SPDXRef-image", "relationshipType": "CONTAINS", "relatedSpdxElement": package["SPDXID"]}
                for package in packages
            ),
        ],
    }


FORMATS: Mapping[str, Callable[[Report, Image, Repository, float], Document]] = {"cyclonedx": cyclonedx, "spdx": spdx}


def _identity(report: Report, image: Image, held: Repository) -> uuid.UUID:
    """The same for the same packages of the same image."""
    digest = hashlib.sha256(f"{held.arn}\0{image.digest}".encode())
    for package in report.packages:
        digest.update(f"\0{package.manager}\0{package.name}\0{package.version}\0{package.arch}\0{package.path}".encode())
    return uuid.UUID(bytes=digest.digest()[:16], version=5)


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
