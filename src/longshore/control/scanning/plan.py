"""When a scan begins, is given up, and is due again: pure functions of what is kept and the time."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from longshore.scanner.report import Report, severity_counts
from longshore.services.ecr.scanning.model import ImageScan

#: a scan that was interrupted so often (by itself, or with the server) is given up
MOST_ATTEMPTS = 5
#: seconds before the second attempt, doubled for each further one
FIRST_WAIT_S = 10.0
#: with a scanner that does not tell when its database changes, continuous scanning looks again after so many seconds
LOOK_AGAIN_S = 24 * 3600.0
#: scans under way at which continuous scanning asks for no more of them
ENOUGH = 100


class Step(NamedTuple):
    what: Literal["nothing", "begin", "give up"]
    reason: str = ""


def next_step(scan: ImageScan | None) -> Step:
    if scan is None or scan.status != "IN_PROGRESS":
        return Step("nothing", "no scan is asked for")
    if scan.attempts >= MOST_ATTEMPTS:
        return Step("give up", scan.description or f"the scan was begun {scan.attempts} times and never came to an end")
    return Step("begin")


def wait_s(attempts: int) -> float | None:
    """After so many attempts; None when there is none left."""
    return None if attempts >= MOST_ATTEMPTS else FIRST_WAIT_S * 2 ** (attempts - 1)


def ended(scan: ImageScan, report: Report, stamp: str, now: float) -> ImageScan:
    """The scan with what came of it. `stamp` is the database's when it began."""
    seen = report.database_stamp or stamp
    if report.failure:
        return msgspec.structs.replace(
            scan,
            status="UNSUPPORTED_IMAGE" if report.unsupported else "FAILED",
            description=f"UnsupportedImageError: {report.failure}" if report.unsupported else report.failure,
            completed_at=None,
            severity_counts={},
            database_updated_at=None,
            database_stamp=seen,
            ended_at=now,
        )
    notes = f" {'; '.join(report.notes)}." if report.notes else ""
    return msgspec.structs.replace(
        scan,
        status="COMPLETE",
        description=f"The scan was completed successfully.{notes}",
        completed_at=now,
        ended_at=now,
        severity_counts=severity_counts(report.findings),
        database_updated_at=report.database_updated_at,
        database_stamp=seen,
    )


def is_due(scan: ImageScan | None, stamp: str, now: float) -> bool:
    """Whether continuous scanning wants the image scanned (again). `stamp` is the database's now, "" where nobody can tell."""
    if scan is None:
        return True
    if scan.status == "IN_PROGRESS":
        return False
    if stamp:
        return scan.database_stamp != stamp
    return now - (scan.ended_at or scan.requested_at) >= LOOK_AGAIN_S
