"""Vulnerabilities as the Open Source Vulnerability format tells them, condensed to what matching and reporting need.

One record names several packages; each becomes an `Advisory` of its own, small enough to be kept by the hundred thousand.
https://ossf.github.io/osv-schema/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from longshore.scanner import severity

_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,}")
_LONGEST_TEXT = 1_000
_MOST_REFERENCES = 10
_MOST_RELATED = 50

#: (what happens, in which version); what is introduced, fixed, last_affected or limit
Event = tuple[str, str]


class Advisory(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True):
    """What one record says of one package."""

    id: str
    ecosystem: str
    package: str
    aliases: tuple[str, ...] = ()
    #: identifiers of what a distribution's record is derived from
    upstream: tuple[str, ...] = ()
    summary: str = ""
    details: str = ""
    references: tuple[str, ...] = ()
    severity: str = "UNDEFINED"
    cvss_score: float | None = None
    cvss_vector: str = ""
    #: affected versions, one by one …
    versions: tuple[str, ...] = ()
    #: … and as ranges
    ranges: tuple[tuple[Event, ...], ...] = ()
    published_at: float | None = None
    modified_at: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every name of this same vulnerability, the best known first: a CVE that stands for all of it, else the record's own id."""
        single = self.upstream if len(self.upstream) == 1 else ()
        known = [name for name in dict.fromkeys((self.id, *self.aliases, *single)) if name]
        cves = [name for name in known if _CVE.fullmatch(name)]
        first = cves[0] if len(cves) == 1 else self.id
        return (first, *(name for name in known if name != first))


class _Severity(msgspec.Struct):
    type: str = ""
    score: str = ""


class _Package(msgspec.Struct):
    ecosystem: str = ""
    name: str = ""


class _Range(msgspec.Struct):
    type: str = ""
    events: tuple[dict[str, str], ...] = ()


class _Specific(msgspec.Struct):
    """What each database adds in a form of its own."""

    severity: object = None
    urgency: object = None


class _Affected(msgspec.Struct):
    package: _Package | None = None
    ranges: tuple[_Range, ...] | None = None
    versions: tuple[str, ...] | None = None
    severity: tuple[_Severity, ...] | None = None
    ecosystem_specific: _Specific | None = None
    database_specific: _Specific | None = None


class _Reference(msgspec.Struct):
    type: str = ""
    url: str = ""


class Record(msgspec.Struct):
    id: str
    modified: str = ""
    published: str = ""
    withdrawn: str | None = None
    aliases: tuple[str, ...] | None = None
    upstream: tuple[str, ...] | None = None
    summary: str = ""
    details: str = ""
    severity: tuple[_Severity, ...] | None = None
    affected: tuple[_Affected, ...] | None = None
    references: tuple[_Reference, ...] | None = None
    database_specific: _Specific | None = None


_records = msgspec.json.Decoder(Record | list[Record])


def read_records(content: bytes) -> list[Record]:
    """One record, or a list of them; raises msgspec.DecodeError (or a ValidationError, which is one)."""
    found = _records.decode(content)
    return found if isinstance(found, list) else [found]


def advisories(record: Record) -> Iterator[Advisory]:
    """None of a record that was withdrawn, nor of ranges of Git commits."""
    if record.withdrawn:
        return
    urls = [each.url for each in sorted(record.references or (), key=lambda each: each.type != "ADVISORY")]
    for affected in record.affected or ():
        if affected.package is None or not affected.package.name or not affected.package.ecosystem:
            continue
        ranges = tuple(_events(each) for each in affected.ranges or () if each.type in ("ECOSYSTEM", "SEMVER"))
        if not ranges and not affected.versions:
            continue
        rating, score, vector = _severity(record, affected)
        yield Advisory(
            id=record.id,
            ecosystem=canonical(affected.package.ecosystem),
            package=affected.package.name,
            aliases=(record.aliases or ())[:_MOST_RELATED],
            upstream=(record.upstream or ())[:_MOST_RELATED],
            summary=record.summary[:_LONGEST_TEXT],
            details=record.details[:_LONGEST_TEXT],
            references=tuple(url for url in urls if url.startswith(("https://", "http://")))[:_MOST_REFERENCES],
            severity=rating,
            cvss_score=score,
            cvss_vector=vector,
            versions=affected.versions or (),
            ranges=ranges,
            published_at=moment(record.published),
            modified_at=moment(record.modified),
        )


def canonical(ecosystem: str) -> str:
    """Spellings that mean one set of packages here: Red Hat's repositories of one release, and Ubuntu's long-term mark."""
    parts = ecosystem.split(":")
    if parts[0] == "Red Hat" and len(parts) > 2:
        return ":".join(("Red Hat", parts[1], parts[2].partition(".")[0]))
    if parts[0] == "Ubuntu" and parts[-1] == "LTS":
        return ":".join(parts[:-1])
    return ecosystem


def moment(text: str) -> float | None:
    """Seconds since the epoch."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _events(each: _Range) -> tuple[Event, ...]:
    return tuple((what, version) for event in each.events for what, version in event.items())


def _severity(record: Record, affected: _Affected) -> tuple[str, float | None, str]:
    """(rating, score, vector): the package's own severity before the record's, CVSS 3 before words, words before CVSS 2."""
    given = [*(affected.severity or ()), *(record.severity or ())]
    vectors = {each.type: each.score for each in reversed(given) if each.type.startswith("CVSS_")}
    third = vectors.get("CVSS_V3", "")
    score = severity.base_score(third) if third else None
    if score is not None:
        return severity.of_score(score), score, third
    specific = (affected.ecosystem_specific, affected.database_specific, record.database_specific)
    words = [each.score for each in given if not each.type.startswith("CVSS_")]
    words += [word for each in specific if each is not None for word in (each.severity, each.urgency) if isinstance(word, str)]
    rating = next((found for word in words if (found := severity.of_word(word)) != "UNDEFINED"), "UNDEFINED")
    second = vectors.get("CVSS_V2", "")
    score = severity.base_score(second) if second else None
    if score is not None:
        return (severity.of_score(score) if rating == "UNDEFINED" else rating), score, second
    return rating, None, vectors.get("CVSS_V4", "")
