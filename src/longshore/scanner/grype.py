"""Grype's words. `grype oci-dir:LAYOUT -o json`: https://github.com/anchore/grype#output-formats

Grype lists packages only where a vulnerability was matched, so the list of packages it leaves is no inventory.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from longshore.scanner.osv import moment
from longshore.scanner.report import Distribution, Finding, Package, Report, in_order
from longshore.scanner.severity import of_word

_LONGEST_TEXT = 1_000
_MANAGERS = {"deb": "dpkg", "apk": "apk", "rpm": "rpm", "python": "pip", "npm": "npm"}


class _Metrics(msgspec.Struct, rename="camel"):
    base_score: float | None = None


class _Cvss(msgspec.Struct):
    version: str = ""
    vector: str = ""
    metrics: _Metrics | None = None


class _Fix(msgspec.Struct):
    versions: tuple[str, ...] | None = None


class _Related(msgspec.Struct):
    id: str = ""
    cvss: tuple[_Cvss, ...] | None = None
    description: str = ""


class _Vulnerability(msgspec.Struct, rename="camel"):
    id: str
    severity: str = ""
    data_source: str = ""
    namespace: str = ""
    description: str = ""
    urls: tuple[str, ...] | None = None
    cvss: tuple[_Cvss, ...] | None = None
    fix: _Fix | None = None


class _Location(msgspec.Struct):
    path: str = ""
    layer_id: str = msgspec.field(default="", name="layerID")


class _Upstream(msgspec.Struct):
    name: str = ""
    version: str = ""


class _Artifact(msgspec.Struct):
    name: str
    version: str = ""
    type: str = ""
    locations: tuple[_Location, ...] | None = None
    upstreams: tuple[_Upstream, ...] | None = None


class _Match(msgspec.Struct, rename="camel"):
    vulnerability: _Vulnerability
    artifact: _Artifact
    related_vulnerabilities: tuple[_Related, ...] | None = None


class _Distro(msgspec.Struct):
    name: str = ""
    version: str = ""


class _Status(msgspec.Struct):
    built: str = ""


class _Database(msgspec.Struct):
    built: str = ""
    status: _Status | None = None


class _Descriptor(msgspec.Struct):
    db: _Database | None = None


class _Answer(msgspec.Struct):
    matches: tuple[_Match, ...]
    distro: _Distro | None = None
    descriptor: _Descriptor | None = None


class Grype:
    name = "grype"

    def command(self, program: str, image: Path) -> Sequence[str]:
        return (program, f"oci-dir:{image}", "-o", "json", "-q")

    def report(self, said: bytes) -> Report:
        answer = msgspec.json.decode(said, type=_Answer)
        distro = answer.distro or _Distro()
        database = (answer.descriptor.db if answer.descriptor else None) or _Database()
        return Report(
            scanner=self.name,
            packages=tuple(dict.fromkeys(_package(each.artifact) for each in answer.matches)),
            findings=in_order([_finding(each) for each in answer.matches]),
            distribution=Distribution(id=distro.name, version_id=distro.version, name=f"{distro.name} {distro.version}".strip()),
            notes=("grype lists only packages that a vulnerability concerns",),
            database_updated_at=moment(database.built or (database.status.built if database.status else "")),
        )


def _manager(kind: str) -> str:
    return _MANAGERS.get(kind, kind)


def _package(artifact: _Artifact) -> Package:
    location = (artifact.locations or (_Location(),))[0]
    upstream = (artifact.upstreams or (_Upstream(),))[0]
    return Package(
        name=artifact.name,
        version=artifact.version,
        manager=_manager(artifact.type),
        source=upstream.name,
        source_version=upstream.version,
        path=location.path.lstrip("/"),
        layer=location.layer_id,
    )


def _finding(match: _Match) -> Finding:
    vulnerability, related = match.vulnerability, match.related_vulnerabilities or ()
    package = _package(match.artifact)
    cves = [each.id for each in related if each.id.startswith("CVE-")]
    name = cves[0] if len(cves) == 1 and not vulnerability.id.startswith("CVE-") else vulnerability.id
    others = {vulnerability.id, *(each.id for each in related)} - {name}
    vectors = [
        each for given in (vulnerability.cvss, *(each.cvss for each in related)) for each in given or () if each.version.startswith("3")
    ]
    scored = vectors[0] if vectors else _Cvss()
    words = vulnerability.description or next((each.description for each in related if each.description), "")
    return Finding(
        name=name,
        severity=of_word(vulnerability.severity),
        package=package.name,
        version=package.version,
        fixed_in=((vulnerability.fix.versions if vulnerability.fix else None) or ("",))[0],
        related=tuple(sorted(others)),
        description=words[:_LONGEST_TEXT],
        uri=vulnerability.data_source,
        references=(vulnerability.urls or ())[:10],
        cvss_score=scored.metrics.base_score if scored.metrics else None,
        cvss_vector=scored.vector,
        source=vulnerability.namespace,
        manager=package.manager,
        path=package.path,
        layer=package.layer,
    )
