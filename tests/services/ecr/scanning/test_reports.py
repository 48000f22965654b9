"""Reports are kept whole where they fit, and say what was left out where they do not."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from longshore.scanner.report import SEVERITIES, Finding, Package, Report, in_order
from longshore.services.ecr.scanning.reports import LARGEST, dated, pack, unpack

_TEXT = st.text(max_size=20)
_FINDINGS = st.builds(Finding, name=_TEXT, severity=st.sampled_from(SEVERITIES), package=_TEXT, version=_TEXT, description=_TEXT)


@given(st.lists(_FINDINGS, max_size=20), st.lists(st.builds(Package, name=_TEXT, version=_TEXT, manager=_TEXT), max_size=20))
def test_a_report_comes_back_as_it_was_packed(findings: list[Finding], packages: list[Package]) -> None:
    report = Report(scanner="x", packages=tuple(packages), findings=in_order(findings))
    assert unpack(pack(report)) == report


def test_large_reports_lose_texts_first_and_then_the_mildest_findings() -> None:
    chance = random.Random(1)

    def finding(number: int, length: int) -> Finding:
        return Finding(
            name=f"CVE-{number:05}",
            severity=SEVERITIES[number % 6],
            package=chance.randbytes(20).hex(),
            version="1",
            description=chance.randbytes(length).hex(),
        )

    wordy = unpack(pack(Report(scanner="x", findings=tuple(finding(number, 500) for number in range(4000)))))
    assert len(wordy.findings) == 4000
    assert not any(each.description for each in wordy.findings)
    assert "descriptions are left out for their size" in wordy.notes
    packages = tuple(Package(chance.randbytes(60).hex(), "1", "npm", path=chance.randbytes(60).hex()) for _ in range(20_000))
    packed = pack(Report(scanner="x", packages=packages, findings=tuple(finding(number, 1) for number in range(9000))))
    assert len(packed) <= LARGEST
    kept = unpack(packed)
    assert kept.findings
    assert all(each.severity == "CRITICAL" for each in kept.findings[:100])
    assert any("worst findings" in note for note in kept.notes)


def test_a_finding_keeps_the_time_at_which_it_was_first_seen() -> None:
    old, new = Finding("CVE-1", "LOW", "p", "1"), Finding("CVE-2", "LOW", "p", "1")
    first = dated(Report(scanner="x", findings=(old,)), None, 100.0)
    second = dated(Report(scanner="x", findings=(old, new)), first, 200.0)
    assert [each.first_observed_at for each in second.findings] == [100.0, 200.0]
