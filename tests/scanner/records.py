"""Records in the OSV format about packages that do not exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
MEDIUM = "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N"


def record(
    identity: str,
    ecosystem: str,
    package: str,
    *events: dict[str, str],
    versions: tuple[str, ...] = (),
    vector: str = "",
    kind: str = "ECOSYSTEM",
    **more: Any,
) -> dict[str, Any]:
    affected: dict[str, Any] = {"package": {"ecosystem": ecosystem, "name": package}, "versions": list(versions)}
    if events:
        affected["ranges"] = [{"type": kind, "events": list(events)}]
    severity = {"severity": [{"type": "CVSS_V3", "score": vector}]} if vector else {}
    return {
        "id": identity,
        "modified": "2024-03-01T00:00:00Z",
        "published": "2024-01-01T00:00:00Z",
        "affected": [affected],
        **severity,
        **more,
    }


def fixed_in(version: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"introduced": "0"}, {"fixed": version}


#: the tiny database that tests scan with
TINY = (
    record(
        "DEBIAN-CVE-2099-0001",
        "Debian:12",
        "harbourlib",
        *fixed_in("2.0-1"),
        vector=CRITICAL,
        upstream=["CVE-2099-0001"],
        details="A ship may leave without its cargo.",
        references=[{"type": "WEB", "url": "https://example.org/w"}, {"type": "ADVISORY", "url": "https://example.org/CVE-2099-0001"}],
    ),
    record("DEBIAN-CVE-2099-0002", "Debian:12", "harbourlib", *fixed_in("1.5-1"), vector=MEDIUM, upstream=["CVE-2099-0002"]),
    record("ALPINE-CVE-2099-0003", "Alpine:v3.18", "pierlib", *fixed_in("1.2.3-r4"), vector=MEDIUM, upstream=["CVE-2099-0003"]),
    record("RLSA-2099:1", "Rocky Linux:9", "quay", *fixed_in("0:3.1-2.el9"), database_specific={"severity": "Important"}),
    record("GHSA-aaaa-bbbb-cccc", "PyPI", "buoy", *fixed_in("1.4"), aliases=["CVE-2099-0004"], database_specific={"severity": "MODERATE"}),
    record("PYSEC-2099-4", "PyPI", "buoy", versions=("1.2", "1.3"), aliases=["CVE-2099-0004"]),
    record("GHSA-dddd-eeee-ffff", "npm", "anchor-chain", *fixed_in("4.0.1"), kind="SEMVER", vector=CRITICAL),
)


def database(path: Path, *records: dict[str, Any]) -> Path:
    """JSON lines."""
    path.write_text("".join(json.dumps(each) + "\n" for each in records or TINY))
    return path
