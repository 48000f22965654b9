"""When scans begin, are given up and are due again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.control.scanning.plan import LOOK_AGAIN_S, MOST_ATTEMPTS, ended, is_due, next_step, wait_s
from longshore.scanner.report import Finding, Report
from longshore.services.ecr.scanning.model import ImageScan, ScanState

NOW = 1_700_000_000.0


def scan(status: ScanState = "IN_PROGRESS", attempts: int = 0, **more: object) -> ImageScan:
    return ImageScan(repository="r", digest="sha256:d", status=status, requested_at=NOW, attempts=attempts, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given_scan", "what"),
    [
        (None, "nothing"),
        (scan("COMPLETE"), "nothing"),
        (scan("FAILED"), "nothing"),
        (scan("UNSUPPORTED_IMAGE"), "nothing"),
        (scan(), "begin"),
        (scan(attempts=MOST_ATTEMPTS - 1), "begin"),
        (scan(attempts=MOST_ATTEMPTS), "give up"),
    ],
)
def test_next_step(given_scan: ImageScan | None, what: str) -> None:
    assert next_step(given_scan).what == what


def test_a_scan_that_is_given_up_says_why_it_was_interrupted_last() -> None:
    assert next_step(scan(attempts=9, description="attempt 4: killed")).reason == "attempt 4: killed"
    assert "never came to an end" in next_step(scan(attempts=9)).reason


def test_waits_grow_and_end() -> None:
    waits = [wait_s(attempts) for attempts in range(1, MOST_ATTEMPTS + 1)]
    assert waits[-1] is None
    assert waits[:-1] == sorted(waits[:-1], key=lambda wait: wait or 0.0)


def test_how_a_scan_ends() -> None:
    found = Report(scanner="x", findings=(Finding("CVE-1", "LOW", "p", "1"),), notes=("npm was not looked up",), database_stamp="new")
    done = ended(scan(), found, "old", NOW + 5)
    assert (done.status, done.severity_counts, done.database_stamp, done.completed_at) == ("COMPLETE", {"LOW": 1}, "new", NOW + 5)
    assert done.description == "The scan was completed successfully. npm was not looked up."
    failed = ended(done, Report(scanner="x", failure="damaged"), "old", NOW + 9)
    assert (failed.status, failed.severity_counts, failed.database_stamp, failed.completed_at) == ("FAILED", {}, "old", None)
    assert ended(scan(), Report(scanner="x", failure="what is it", unsupported=True), "", NOW).status == "UNSUPPORTED_IMAGE"


@given(st.sampled_from(["FAILED", "COMPLETE", "UNSUPPORTED_IMAGE"]), st.sampled_from(["", "a"]), st.floats(0, 10 * LOOK_AGAIN_S))
def test_a_scan_that_has_just_ended_is_not_due(status: ScanState, stamp: str, age: float) -> None:
    """Whatever it came to: an image that cannot be scanned is not scanned for ever."""
    held = scan(status, database_stamp=stamp, ended_at=NOW)
    assert not is_due(held, stamp, NOW)
    if stamp:
        assert not is_due(held, stamp, NOW + age)
        assert is_due(held, "b", NOW + age)
    else:
        assert is_due(held, stamp, NOW + age) is (age >= LOOK_AGAIN_S)


def test_what_was_never_scanned_is_due_and_what_is_under_way_is_not() -> None:
    assert is_due(None, "a", NOW)
    assert not is_due(scan(), "a", NOW)
