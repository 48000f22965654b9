"""Trivy's words. `trivy image --input LAYOUT --format json`: https://trivy.dev/latest/docs/configuration/reporting/#json"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from longshore.scanner.osv import moment
from longshore.scanner.report import Distribution, Finding, Package, Report, in_order
from longshore.scanner.severity import of_word

_LONGEST_TEXT = 1_000
_MANAGERS = {
    "debian": "dpkg", "ubuntu": "dpkg", "alpine": "apk", "wolfi": "apk", "chainguard": "apk", "redhat": "rpm", "centos": "rpm",
    "rocky": "rpm", "alma": "rpm", "amazon": "rpm", "oracle": "rpm", "fedora": "rpm", "python-pkg": "pip", "node-pkg": "npm",
}  # fmt: skip


class _Layer(msgspec.Struct, rename="pascal"):
    digest: str = ""


class _Score(msgspec.Struct):
    v3_vector: str = msgspec.field(default="", name="V3Vector")
    v3_score: float | None = msgspec.field(default=None, name="V3Score")


class _Vulnerability(msgspec.Struct, rename="pascal"):
    vulnerability_id: str = msgspec.field(name="VulnerabilityID")
    pkg_name: str
    installed_version: str
    pkg_path: str = ""
    fixed_version: str = ""
    severity: str = ""
    title: str = ""
    description: str = ""
    primary_url: str = msgspec.field(default="", name="PrimaryURL")
    references: tuple[str, ...] | None = None
    vendor_ids: tuple[str, ...] | None = msgspec.field(default=None, name="VendorIDs")
    severity_source: str = ""
    cvss: dict[str, _Score] | None = msgspec.field(default=None, name="CVSS")
    published_date: str = ""
    last_modified_date: str = ""
    layer: _Layer | None = None


class _Package(msgspec.Struct, rename="pascal"):
    name: str = ""
    version: str = ""
    release: str = ""
    epoch: int = 0
    arch: str = ""
    src_name: str = ""
    src_version: str = ""
    file_path: str = ""
    layer: _Layer | None = None


class _Result(msgspec.Struct, rename="pascal"):
    type: str = ""
    packages: tuple[_Package, ...] | None = None
    vulnerabilities: tuple[_Vulnerability, ...] | None = None


class _System(msgspec.Struct, rename="pascal"):
    family: str = ""
    name: str = ""


class _Metadata(msgspec.Struct):
    system: _System | None = msgspec.field(default=None, name="OS")


class _Answer(msgspec.Struct, rename="pascal"):
    schema_version: int
    metadata: _Metadata | None = None
    results: tuple[_Result, ...] | None = None


class Trivy:
    name = "trivy"

    def command(self, program: str, image: Path) -> Sequence[str]:
        return (program, "image", "--input", str(image), "--format", "json", "--scanners", "vuln", "--list-all-pkgs", "--quiet")

    def report(self, said: bytes) -> Report:
        answer = msgspec.json.decode(said, type=_Answer)
        system = (answer.metadata.system if answer.metadata else None) or _System()
        results = answer.results or ()
        if not results:
            return Report(scanner=self.name, unsupported=True, failure="trivy found neither a distribution nor packages that it knows")
        return Report(
            scanner=self.name,
            packages=tuple(_package(each, result.type) for result in results for each in result.packages or () if each.name),
            findings=in_order([_finding(each, result.type) for result in results for each in result.vulnerabilities or ()]),
            distribution=Distribution(id=system.family, version_id=system.name, name=f"{system.family} {system.name}".strip()),
        )


def _manager(kind: str) -> str:
    return _MANAGERS.get(kind, kind)


def _package(each: _Package, kind: str) -> Package:
    version = f"{f'{each.epoch}:' if each.epoch else ''}{each.version}{f'-{each.release}' if each.release else ''}"
    return Package(
        name=each.name,
        version=version,
        manager=_manager(kind),
        arch=each.arch,
        source=each.src_name,
        source_version=each.src_version,
        path=each.file_path,
        layer=each.layer.digest if each.layer else "",
    )


def _finding(each: _Vulnerability, kind: str) -> Finding:
    scores = each.cvss or {}
    scored = next((scores[source] for source in ("nvd", *sorted(scores)) if source in scores and scores[source].v3_vector), _Score())
    return Finding(
        name=each.vulnerability_id,
        severity=of_word(each.severity),
        package=each.pkg_name,
        version=each.installed_version,
        fixed_in=each.fixed_version,
        related=each.vendor_ids or (),
        title=each.title[:_LONGEST_TEXT],
        description=each.description[:_LONGEST_TEXT],
        uri=each.primary_url,
        references=(each.references or ())[:10],
        cvss_score=scored.v3_score,
        cvss_vector=scored.v3_vector,
        source=each.severity_source,
        manager=_manager(kind),
        path=each.pkg_path,
        layer=each.layer.digest if each.layer else "",
        published_at=moment(each.published_date),
        modified_at=moment(each.last_modified_date),
    )
