"""What a scan says: the packages an image holds, and which known vulnerabilities concern them.

These are values only. They are kept with the image as they are, so members may be added (with a default) and never change their meaning.
"""

from __future__ import annotations

import msgspec

#: from worst to least, ECR's own words
SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED")


class Package(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Something installed in the image."""

    name: str
    version: str
    #: who installed it: dpkg, apk, rpm, pip or npm (an external scanner's own word otherwise)
    manager: str
    arch: str = ""
    #: what it was built from, as the distribution names it; "" where that is the package itself
    source: str = ""
    source_version: str = ""
    #: of the file that tells of it, without a leading slash
    path: str = ""
    #: digest of the layer which holds that file
    layer: str = ""


class Distribution(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """As etc/os-release tells it."""

    id: str = ""
    version_id: str = ""
    name: str = ""
    #: the members OSV's ecosystems need beyond these
    version: str = ""


class Finding(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One vulnerability in one package."""

    #: CVE-… where there is exactly one, else the database's own id
    name: str
    severity: str
    package: str
    version: str
    #: the first version without it; "" where none is known
    fixed_in: str = ""
    #: the database's id and further ones of the same vulnerability
    related: tuple[str, ...] = ()
    title: str = ""
    description: str = ""
    uri: str = ""
    references: tuple[str, ...] = ()
    cvss_score: float | None = None
    cvss_vector: str = ""
    #: OSV ecosystem or the external scanner's source
    source: str = ""
    manager: str = ""
    arch: str = ""
    path: str = ""
    layer: str = ""
    #: when the database's entry appeared and was changed last, seconds since the epoch
    published_at: float | None = None
    modified_at: float | None = None
    #: when a scan of this image said so first, seconds since the epoch; set by whoever keeps the report
    first_observed_at: float | None = None


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one scan found. `failure` says why there are no findings to be had; packages may be known all the same."""

    scanner: str
    packages: tuple[Package, ...] = ()
    findings: tuple[Finding, ...] = ()
    distribution: Distribution = Distribution()
    #: what could not be looked at, and whatever else limits the answer; for people
    notes: tuple[str, ...] = ()
    failure: str = ""
    #: nothing that is known of can be read out of such an image
    unsupported: bool = False
    #: when the vulnerability database was made, seconds since the epoch
    database_updated_at: float | None = None
    #: tells one state of the vulnerability database from another
    database_stamp: str = ""


def severity_rank(severity: str) -> int:
    """0 is the worst."""
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def in_order(findings: tuple[Finding, ...] | list[Finding]) -> tuple[Finding, ...]:
    """The worst first; the same findings in the same order whatever order they were found in."""
    return tuple(sorted(findings, key=lambda each: (severity_rank(each.severity), each.name, each.package, each.version, each.path)))


def severity_counts(findings: tuple[Finding, ...]) -> dict[str, int]:
    """Only of severities that occur, the worst first."""
    counts = dict.fromkeys(SEVERITIES, 0)
    for finding in findings:
        counts[finding.severity] += 1
    return {severity: count for severity, count in counts.items() if count}
