"""Trivy and Grype as programs that answer in their own JSON. The programs here are stand-ins written for these tests: neither scanner can
be had where they run. Their answers have the members that the programs document, with packages that do not exist."""

from __future__ import annotations

import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longshore.scanner.builtin import BuiltIn
from longshore.scanner.choose import NotInstalled, choose
from longshore.scanner.external import Dialect, External
from longshore.scanner.grype import Grype
from longshore.scanner.process import Overlong, answer_of
from longshore.scanner.seam import BlobRef, ImageSource, ScanInterrupted
from longshore.scanner.trivy import Trivy

MANIFEST, CONFIG, LAYER = b'{"schemaVersion": 2}', b"{}", b"layer" * 50_000
DIGEST = "sha256:" + "a" * 64

TRIVY = {
    "SchemaVersion": 2,
    "Metadata": {"OS": {"Family": "debian", "Name": "12.4"}},
    "Results": [
        {
            "Target": "image (debian 12.4)",
            "Class": "os-pkgs",
            "Type": "debian",
            "Packages": [{"Name": "libharbour", "Version": "1.0", "Release": "1", "Epoch": 2, "Arch": "amd64", "SrcName": "harbourlib"}],
            "Vulnerabilities": [
                {
                    "VulnerabilityID": "CVE-2099-0001",
                    "PkgName": "libharbour",
                    "InstalledVersion": "2:1.0-1",
                    "FixedVersion": "2:2.0-1",
                    "Layer": {"Digest": "sha256:l", "DiffID": "sha256:d"},
                    "SeveritySource": "debian",
                    "PrimaryURL": "https://example.org/CVE-2099-0001",
                    "Title": "a leak",
                    "Severity": "HIGH",
                    "CVSS": {"nvd": {"V3Vector": "CVSS:3.1/AV:N", "V3Score": 7.5}, "x": {"V2Vector": "AV:N"}},
                    "References": ["https://example.org/1"],
                    "PublishedDate": "2024-01-01T00:00:00Z",
                }
            ],
        },
        {"Target": "Python", "Class": "lang-pkgs", "Type": "python-pkg"},
    ],
}
GRYPE = {
    "matches": [
        {
            "vulnerability": {
                "id": "GHSA-aaaa-bbbb-cccc",
                "dataSource": "https://example.org/GHSA",
                "namespace": "github:language:python",
                "severity": "Medium",
                "urls": ["https://example.org/GHSA"],
                "description": "a buoy adrift",
                "cvss": [{"version": "3.1", "vector": "CVSS:3.1/AV:L", "metrics": {"baseScore": 5.5}}],
                "fix": {"versions": ["1.4"], "state": "fixed"},
            },
            "relatedVulnerabilities": [{"id": "CVE-2099-0004", "cvss": []}],
            "artifact": {"name": "buoy", "version": "1.2", "type": "python", "locations": [{"path": "/usr/lib/x", "layerID": "sha256:l"}]},
        }
    ],
    "distro": {"name": "debian", "version": "12"},
    "descriptor": {"name": "grype", "db": {"built": "2024-02-01T00:00:00Z"}},
}


def program(directory: Path, name: str, script: str) -> Path:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def image() -> ImageSource:
    async def read(blob: BlobRef) -> AsyncIterator[bytes]:
        yield {"sha256:" + "c" * 64: CONFIG}.get(blob.digest, LAYER)

    layer = BlobRef("sha256:" + "b" * 64, len(LAYER))
    config = BlobRef("sha256:" + "c" * 64, len(CONFIG))
    return ImageSource(digest=DIGEST, media_type="application/x", manifest=MANIFEST, config=config, layers=(layer, layer), read=read)


def answering(tmp_path: Path, dialect: Dialect, answer: object) -> External:
    """A scanner whose program notes what it was given and answers."""
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    looked = f'echo "$@" > {tmp_path}/arguments; cp -r $(echo "$@" | grep -o \'/[^ ]*scratch-[^ ]*\') {tmp_path}/seen'
    path = program(tmp_path, dialect.name, f"{looked}; cat {tmp_path}/answer.json")
    return External(str(path), dialect, tmp_path / "scanner")


async def test_trivy_is_given_an_image_layout_and_its_answer_is_understood(tmp_path: Path) -> None:
    report = await answering(tmp_path, Trivy(), TRIVY).scan(image())
    (finding,) = report.findings
    assert (finding.name, finding.severity, finding.package, finding.version) == ("CVE-2099-0001", "HIGH", "libharbour", "2:1.0-1")
    assert (finding.fixed_in, finding.cvss_score, finding.uri) == ("2:2.0-1", 7.5, "https://example.org/CVE-2099-0001")
    assert (finding.manager, finding.layer, finding.published_at) == ("dpkg", "sha256:l", 1704067200.0)
    (package,) = report.packages
    assert (package.name, package.version, package.source) == ("libharbour", "2:1.0-1", "harbourlib")
    assert "--format json" in (tmp_path / "arguments").read_text()
    seen = tmp_path / "seen"
    assert json.loads((seen / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (listed,) = json.loads((seen / "index.json").read_text())["manifests"]
    assert listed == {"mediaType": "application/x", "digest": DIGEST, "size": len(MANIFEST)}
    assert (seen / "blobs/sha256" / ("a" * 64)).read_bytes() == MANIFEST
    assert (seen / "blobs/sha256" / ("b" * 64)).read_bytes() == LAYER
    assert (seen / "blobs/sha256" / ("c" * 64)).read_bytes() == CONFIG
    assert list((tmp_path / "scanner").iterdir()) == [], "the layout is gone"


async def test_grype_is_given_an_image_layout_and_its_answer_is_understood(tmp_path: Path) -> None:
    report = await answering(tmp_path, Grype(), GRYPE).scan(image())
    (finding,) = report.findings
    assert (finding.name, finding.related, finding.severity) == ("CVE-2099-0004", ("GHSA-aaaa-bbbb-cccc",), "MEDIUM")
    assert (finding.package, finding.version, finding.fixed_in, finding.cvss_score) == ("buoy", "1.2", "1.4", 5.5)
    assert (finding.manager, finding.path, report.database_updated_at) == ("pip", "usr/lib/x", 1706745600.0)
    assert "oci-dir:" in (tmp_path / "arguments").read_text()


async def test_nothing_found_is_no_findings(tmp_path: Path) -> None:
    clean = {**TRIVY, "Results": [{"Type": "debian", "Packages": [{"Name": "a", "Version": "1"}]}]}
    report = await answering(tmp_path, Trivy(), clean).scan(image())
    assert (report.findings, report.failure, len(report.packages)) == ((), "", 1)


async def test_trivy_without_results_knows_nothing_of_the_image(tmp_path: Path) -> None:
    assert (await answering(tmp_path, Trivy(), {"SchemaVersion": 2}).scan(image())).unsupported


@pytest.mark.parametrize("dialect", [Trivy(), Grype()], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("answer", [{}, [], {"matches": 7}, {"SchemaVersion": "x"}, "text"])
async def test_an_answer_of_another_form_is_no_clean_bill(tmp_path: Path, dialect: Dialect, answer: object) -> None:
    with pytest.raises(ScanInterrupted, match="not known here"):
        await answering(tmp_path, dialect, answer).scan(image())


async def test_a_program_that_fails_is_quoted(tmp_path: Path) -> None:
    path = program(tmp_path, "trivy", "echo first >&2; echo 'FATAL no database' >&2; exit 1")
    with pytest.raises(ScanInterrupted, match="trivy: FATAL no database"):
        await External(str(path), Trivy(), tmp_path / "s").scan(image())
    with pytest.raises(ScanInterrupted, match="cannot be started"):
        await External(str(tmp_path / "absent"), Trivy(), tmp_path / "s").scan(image())
    killed = program(tmp_path, "grype", "kill -9 $$")
    with pytest.raises(ScanInterrupted, match="SIGKILL"):
        await External(str(killed), Grype(), tmp_path / "s").scan(image())
    assert list((tmp_path / "s").iterdir()) == []


async def test_a_program_that_hangs_or_never_stops_talking_is_ended(tmp_path: Path) -> None:
    hanging = program(tmp_path, "trivy", "exec sleep 60")
    assert "not finished" in (await External(str(hanging), Trivy(), tmp_path / "s", timeout_s=0.2).scan(image())).failure
    talking = program(tmp_path, "grype", "exec yes")
    assert "an answer of more than" in (await External(str(talking), Grype(), tmp_path / "s").scan(image())).failure


@pytest.mark.timeout(30)
@pytest.mark.parametrize("how", ["exec yes", "yes | cat", "(trap '' HUP; setsid sleep 5) & yes"])
async def test_a_program_nobody_listens_to_any_more_is_ended_with_what_it_started(tmp_path: Path, how: str) -> None:
    talking = program(tmp_path, "talking", how)
    for most in (1, 1 << 17, 1 << 20):
        with pytest.raises(Overlong):
            await answer_of([str(talking)], nothing_sent(), environment=None, timeout_s=20, most=most)


async def nothing_sent() -> AsyncIterator[bytes]:
    return
    yield b""


def test_what_a_killed_server_laid_out_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / "scratch-x" / "blobs").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    External("trivy", Trivy(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_which_scanner_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert isinstance(choose("auto", tmp_path, None), BuiltIn)
    with pytest.raises(NotInstalled):
        choose("trivy", tmp_path, None)
    program(tmp_path, "grype", "")
    assert choose("auto", tmp_path, None).name == "grype"
    program(tmp_path, "trivy", "")
    assert choose("auto", tmp_path, None).name == "trivy"
    assert choose("grype", tmp_path, tmp_path).name == "grype"
    assert choose("auto", tmp_path, tmp_path).name == "built-in"
    assert choose("built-in", tmp_path, None).name == "built-in"
