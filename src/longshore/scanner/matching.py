"""Packages against advisories: pure decisions about versions, and what several records of one vulnerability add up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cmp_to_key
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from longshore.scanner.ecosystems import Lookup, ecosystem_of, lookup
from longshore.scanner.osv import Advisory, Event
from longshore.scanner.report import Distribution, Finding, Package, in_order, severity_rank
from longshore.scanner.versions import ORDERS, Compare


class Database(Protocol):
    def covers(self, ecosystem: str) -> bool: ...

    def about(self, ecosystem: str, package: str) -> list[Advisory]: ...


class Matched(NamedTuple):
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    #: why the findings say nothing, or ""
    failure: str


def match(packages: Sequence[Package], distribution: Distribution, database: Database, most: int) -> Matched:
    """What is known of the packages. Where the database knows nothing of their ecosystem, that is no clean bill of health but a failure."""
    wanted: dict[Lookup, Package] = {}
    counts: Counter[str] = Counter()
    for package in packages:
        found = lookup(package, distribution)
        counts[found.ecosystem if found else ""] += 1
        if found is not None:
            wanted.setdefault(found, package)
    failure, notes = _coverage(counts, distribution, database)
    if failure:
        return Matched((), notes, failure)
    findings = [finding for asked, package in wanted.items() for finding in _of_package(asked, package, database)]
    ordered = in_order(findings)
    if len(ordered) > most:
        notes += (f"{len(ordered)} findings, of which the {most} worst are kept",)
    return Matched(ordered[:most], notes, "")


def _coverage(counts: Counter[str], distribution: Distribution, database: Database) -> tuple[str, tuple[str, ...]]:
    name = distribution.name or distribution.id or "an unknown distribution"
    if counts[""]:
        return f"no vulnerability records are known for packages of {name} ({counts['']} packages)", ()
    unknown = sorted(ecosystem for ecosystem in counts if ecosystem and not database.covers(ecosystem))
    notes = tuple(f"the vulnerability database knows nothing of {each}: {counts[each]} packages were not looked up" for each in unknown)
    own = ecosystem_of(distribution)
    if own in unknown or (unknown and len(unknown) == len([each for each in counts if each])):
        return "; ".join(notes) + ": supply its records", notes
    return "", notes


def _of_package(asked: Lookup, package: Package, database: Database) -> list[Finding]:
    compare = ORDERS[package.manager]
    found: list[Finding] = []
    for advisory in database.about(asked.ecosystem, asked.name):
        fixed = affects(advisory, asked.version, compare)
        if fixed is not None:
            found.append(_finding(advisory, asked, package, fixed))
    return merged(found)


def affects(advisory: Advisory, version: str, compare: Compare) -> str | None:
    """None when it does not; else the first version that is fixed, "" when none is known.

    https://ossf.github.io/osv-schema/#evaluation
    """
    for events in advisory.ranges:
        fixed = _in_range(events, version, compare)
        if fixed is not None:
            return fixed
    if version in advisory.versions or (compare is ORDERS["pip"] and any(compare(each, version) == 0 for each in advisory.versions)):
        return ""
    return None


def _in_range(events: Iterable[Event], version: str, compare: Compare) -> str | None:
    def order(one: Event, other: Event) -> int:
        if one[1] == other[1]:
            return (other[0] == "introduced") - (one[0] == "introduced")
        if "0" in (one[1], other[1]):  # before everything
            return -1 if one[1] == "0" else 1
        return compare(one[1], other[1])

    limits = [at for what, at in events if what == "limit" and at != "*"]
    if limits and not any(compare(version, at) < 0 for at in limits):
        return None
    vulnerable, fixed = False, ""
    for what, at in sorted(events, key=cmp_to_key(order)):
        difference = 1 if at == "0" else compare(version, at)
        if what == "introduced" and difference >= 0:
            vulnerable = True
        elif what == "fixed":
            if difference >= 0:
                vulnerable = False
            elif vulnerable and not fixed:
                fixed = at
        elif what == "last_affected" and difference > 0:
            vulnerable = False
    return fixed if vulnerable else None


def _finding(advisory: Advisory, asked: Lookup, package: Package, fixed: str) -> Finding:
    name, *related = advisory.names
    return Finding(
        name=name,
        severity=advisory.severity,
        package=asked.name,
        version=asked.version,
        fixed_in=fixed,
        related=tuple(related),
        title=advisory.summary,
        description=advisory.details or advisory.summary,
        uri=advisory.references[0] if advisory.references else "",
        references=advisory.references,
        cvss_score=advisory.cvss_score,
        cvss_vector=advisory.cvss_vector,
        source=asked.ecosystem,
        manager=package.manager,
        arch=package.arch,
        path=package.path,
        layer=package.layer,
        published_at=advisory.published_at,
        modified_at=advisory.modified_at,
    )


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """One finding where several records, of one package and version, speak of the same vulnerability under different names."""
    groups: list[tuple[set[str], Finding]] = []
    for finding in sorted(
        findings, key=lambda each: (not each.name.startswith("CVE-"), each.name, each.related, severity_rank(each.severity))
    ):
        names = {finding.name, *finding.related}
        same = [group for group in groups if not names.isdisjoint(group[0])]
        for group in same:
            groups.remove(group)
            names |= group[0]
            finding = _together(group[1], finding)
        groups.append((names, finding))
    return [replace(finding, related=tuple(sorted(names - {finding.name}))) for names, finding in groups]


def _together(first: Finding, other: Finding) -> Finding:
    """The first one's words with the worse severity, and what the first does not know."""
    worse = min(first, other, key=lambda each: severity_rank(each.severity))
    scored = max(first, other, key=lambda each: -1.0 if each.cvss_score is None else each.cvss_score)
    return replace(
        first,
        severity=worse.severity,
        cvss_score=scored.cvss_score,
        cvss_vector=scored.cvss_vector,
        fixed_in=first.fixed_in or other.fixed_in,
        title=first.title or other.title,
        description=first.description or other.description,
        uri=first.uri or other.uri,
        references=tuple(dict.fromkeys((*first.references, *other.references)))[:10],
    )
