"""Which advisories concern which versions, which records are the same vulnerability, and when findings mean nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.scanner.ecosystems import ecosystem_of, lookup
from longshore.scanner.matching import affects, match
from longshore.scanner.osv import Advisory, Event, advisories, canonical, read_records
from longshore.scanner.report import Distribution, Package, in_order, severity_counts
from longshore.scanner.versions import ORDERS
from tests.scanner.records import CRITICAL, MEDIUM, TINY, fixed_in, record

DEBIAN = Distribution("debian", "12", "Debian GNU/Linux 12")


def read(*records: dict[str, Any]) -> list[Advisory]:
    return [advisory for each in records for found in read_records(msgspec.json.encode(each)) for advisory in advisories(found)]


class Known:
    """A database in memory."""

    def __init__(self, *records: dict[str, Any]) -> None:
        self.advisories = read(*records)

    def covers(self, ecosystem: str) -> bool:
        return any(each.ecosystem == ecosystem for each in self.advisories)

    def about(self, ecosystem: str, package: str) -> list[Advisory]:
        return [each for each in self.advisories if (each.ecosystem, each.package) == (ecosystem, package)]


def events(*pairs: str) -> tuple[Event, ...]:
    found = [pair.split("=") for pair in pairs]
    return tuple((what, version) for what, version in found)


@pytest.mark.parametrize(
    ("given_events", "affected", "unaffected"),
    [
        (events("introduced=0", "fixed=2.0"), {"0.1": "2.0", "1.9": "2.0", "2.0~rc1": "2.0"}, ["2.0", "3"]),
        (events("introduced=1.0", "fixed=2.0"), {"1.0": "2.0", "1.5": "2.0"}, ["0.9", "2.0"]),
        (events("introduced=1.0"), {"1.0": "", "99": ""}, ["0.9"]),
        (events("introduced=0", "last_affected=2.0"), {"1": "", "2.0": ""}, ["2.0.1"]),
        (events("introduced=0", "fixed=1.5", "introduced=2.0", "fixed=2.5"), {"1.0": "1.5", "2.1": "2.5"}, ["1.5", "1.9", "2.5"]),
        (events("fixed=2.5", "introduced=2.0", "fixed=1.5", "introduced=0"), {"1.0": "1.5", "2.1": "2.5"}, ["1.5", "1.9", "2.5"]),
        (events("introduced=0", "fixed=1"), {"0~rc1": "1", "0": "1"}, ["1"]),
        (events("introduced=0", "limit=3.0"), {"2.9": ""}, ["3.0", "4"]),
        (events("introduced=0", "limit=*"), {"2.9": ""}, []),
        ((), {}, ["1"]),
    ],
)
def test_ranges(given_events: tuple[Event, ...], affected: dict[str, str], unaffected: list[str]) -> None:
    advisory = Advisory("A", "Debian:12", "p", ranges=(given_events,))
    for version, fixed in affected.items():
        assert affects(advisory, version, ORDERS["dpkg"]) == fixed, version
    for version in unaffected:
        assert affects(advisory, version, ORDERS["dpkg"]) is None, version


def test_single_versions_are_compared_as_their_ecosystem_spells_them() -> None:
    advisory = Advisory("A", "PyPI", "p", versions=("1.0", "2.0rc1"))
    assert affects(advisory, "1.0.0", ORDERS["pip"]) == ""
    assert affects(advisory, "2.0.RC1", ORDERS["pip"]) == ""
    assert affects(advisory, "1.1", ORDERS["pip"]) is None
    assert affects(Advisory("A", "npm", "p", versions=("1.0.0",)), "1.0.0", ORDERS["npm"]) == ""


@given(
    st.permutations(events("introduced=0", "fixed=1.5", "introduced=2.0", "fixed=2.5", "introduced=4")),
    st.sampled_from(["0.1", "1.5", "1.9", "2.0", "2.5", "3", "4", "5"]),
)
def test_the_order_in_which_events_are_written_says_nothing(shuffled: list[Event], version: str) -> None:
    ordered = events("introduced=0", "fixed=1.5", "introduced=2.0", "fixed=2.5", "introduced=4")
    mine = affects(Advisory("A", "Debian:12", "p", ranges=(tuple(shuffled),)), version, ORDERS["dpkg"])
    assert mine == affects(Advisory("A", "Debian:12", "p", ranges=(ordered,)), version, ORDERS["dpkg"])


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6, unique=True), st.integers(0, 31))
def test_a_version_is_affected_from_an_introduction_up_to_the_next_fix(bounds: list[int], version: int) -> None:
    ordered = sorted(bounds)
    written = tuple(("introduced" if at % 2 == 0 else "fixed", str(bound)) for at, bound in enumerate(ordered))
    fixed = affects(Advisory("A", "Debian:12", "p", ranges=(written,)), str(version), ORDERS["dpkg"])
    passed = [bound for bound in ordered if bound <= version]
    assert (fixed is not None) is (len(passed) % 2 == 1)
    if fixed is not None:
        assert fixed == (str(ordered[len(passed)]) if len(passed) < len(ordered) else "")


@pytest.mark.parametrize(
    ("distribution", "ecosystem"),
    [
        (Distribution("debian", "12.4"), "Debian:12"),
        (Distribution("debian", ""), None),
        (Distribution("ubuntu", "22.04"), "Ubuntu:22.04"),
        (Distribution("alpine", "3.18.4"), "Alpine:v3.18"),
        (Distribution("alpine", "3.21_alpha20241001"), "Alpine:v3.21"),
        (Distribution("rocky", "9.3"), "Rocky Linux:9"),
        (Distribution("almalinux", "8.9"), "AlmaLinux:8"),
        (Distribution("rhel", "9.2"), "Red Hat:enterprise_linux:9"),
        (Distribution("wolfi", "20230201"), "Wolfi"),
        (Distribution("amzn", "2023"), None),
        (Distribution(), None),
    ],
)
def test_distributions_and_their_ecosystems(distribution: Distribution, ecosystem: str | None) -> None:
    assert ecosystem_of(distribution) == ecosystem


def test_ecosystems_that_are_one_here() -> None:
    assert (
        canonical("Red Hat:enterprise_linux:9::appstream")
        == canonical("Red Hat:enterprise_linux:9.2::baseos")
        == "Red Hat:enterprise_linux:9"
    )
    assert canonical("Ubuntu:22.04:LTS") == "Ubuntu:22.04"
    assert canonical("Ubuntu:Pro:22.04:LTS") == "Ubuntu:Pro:22.04"
    assert canonical("Debian:12") == "Debian:12"


def test_debian_and_alpine_are_looked_up_by_source_and_others_by_name() -> None:
    built = Package("libharbour1", "2:1.0-1+b1", "dpkg", source="harbourlib", source_version="1.0-1")
    assert lookup(built, DEBIAN) == ("Debian:12", "harbourlib", "1.0-1")
    assert lookup(Package("quay-libs", "3.0-1", "rpm", source="quay"), Distribution("rocky", "9")) == (
        "Rocky Linux:9",
        "quay-libs",
        "3.0-1",
    )
    assert lookup(Package("buoy", "1", "pip"), Distribution()) == ("PyPI", "buoy", "1")
    assert lookup(Package("x", "1", "dpkg"), Distribution()) is None


def test_a_source_with_several_packages_is_found_once() -> None:
    packages = [Package(name, "1.0-1", "dpkg", source="harbourlib") for name in ("libharbour1", "harbour-bin", "harbour-dev")]
    matched = match(packages, DEBIAN, Known(*TINY), 100)
    assert [(each.name, each.severity, each.package, each.fixed_in) for each in matched.findings] == [
        ("CVE-2099-0001", "CRITICAL", "harbourlib", "2.0-1"),
        ("CVE-2099-0002", "MEDIUM", "harbourlib", "1.5-1"),
    ]
    assert matched.findings[0].uri == "https://example.org/CVE-2099-0001"
    assert matched.findings[0].related == ("DEBIAN-CVE-2099-0001",)
    assert severity_counts(matched.findings) == {"CRITICAL": 1, "MEDIUM": 1}


def test_records_of_one_vulnerability_are_one_finding() -> None:
    (finding,) = match([Package("buoy", "1.2", "pip")], Distribution(), Known(*TINY), 100).findings
    assert finding.name == "CVE-2099-0004"
    assert finding.related == ("GHSA-aaaa-bbbb-cccc", "PYSEC-2099-4")
    assert (finding.severity, finding.fixed_in) == ("MEDIUM", "1.4")


def test_an_advisory_of_several_vulnerabilities_keeps_its_own_name() -> None:
    several = record("DSA-9999-1", "Debian:12", "p", *fixed_in("2"), upstream=["CVE-2099-1111", "CVE-2099-2222"])
    (finding,) = match([Package("p", "1", "dpkg")], DEBIAN, Known(several), 100).findings
    assert finding.name == "DSA-9999-1"


def test_withdrawn_records_and_ranges_of_commits_say_nothing() -> None:
    assert read(record("A", "PyPI", "p", *fixed_in("2"), withdrawn="2024-02-01T00:00:00Z")) == []
    assert read(record("A", "PyPI", "p", *fixed_in("2"), kind="GIT")) == []
    assert read({"id": "A", "affected": [{"versions": ["1"]}, {"package": {"ecosystem": "", "name": ""}, "versions": ["1"]}]}) == []


@pytest.mark.parametrize(
    ("more", "severity", "score"),
    [
        ({"vector": CRITICAL}, "CRITICAL", 9.8),
        ({"vector": CRITICAL, "database_specific": {"severity": "LOW"}}, "CRITICAL", 9.8),
        ({"database_specific": {"severity": "MODERATE"}}, "MEDIUM", None),
        ({"database_specific": {"severity": ["odd"]}}, "UNDEFINED", None),
        ({"severity": [{"type": "Ubuntu", "score": "high"}]}, "HIGH", None),
        ({"severity": [{"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:P/I:P/A:P"}]}, "HIGH", 7.5),
        ({"severity": [{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N"}]}, "UNDEFINED", None),
        ({}, "UNDEFINED", None),
    ],
)
def test_severities(more: dict[str, Any], severity: str, score: float | None) -> None:
    (advisory,) = read(record("A", "PyPI", "p", *fixed_in("2"), **more))
    assert (advisory.severity, advisory.cvss_score) == (severity, score)


def test_what_nobody_can_know_is_a_failure_and_not_a_clean_bill() -> None:
    packages = [Package("p", "1", "dpkg"), Package("buoy", "1.2", "pip")]
    unknown = match(packages, Distribution("amzn", "2023", "Amazon Linux 2023"), Known(*TINY), 100)
    assert "no vulnerability records are known for packages of Amazon Linux 2023" in unknown.failure
    uncovered = match(packages, DEBIAN, Known(TINY[4]), 100)
    assert "knows nothing of Debian:12: 1 packages were not looked up" in uncovered.failure
    assert uncovered.findings == ()


def test_a_language_the_database_lacks_is_noted() -> None:
    packages = [Package("harbourlib", "1", "dpkg"), Package("x", "1", "npm"), Package("y", "1", "npm")]
    matched = match(packages, DEBIAN, Known(TINY[0]), 100)
    assert not matched.failure
    assert matched.notes == ("the vulnerability database knows nothing of npm: 2 packages were not looked up",)
    assert len(matched.findings) == 1
    assert match([Package("x", "1", "npm")], Distribution(), Known(TINY[0]), 100).failure


def test_of_too_many_findings_the_worst_are_kept() -> None:
    records = [
        record(f"CVE-2099-{number:04}", "npm", "p", *fixed_in("9"), vector=CRITICAL if number == 77 else MEDIUM) for number in range(100)
    ]
    matched = match([Package("p", "1.0.0", "npm")], Distribution(), Known(*records), 10)
    assert matched.findings[0].name == "CVE-2099-0077"
    assert len(matched.findings) == 10
    assert "100 findings" in matched.notes[0]
    assert matched.findings == in_order(list(reversed(matched.findings)))
