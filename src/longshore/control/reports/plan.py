"""What is to be done about a report that an account asked for: a pure function of the report and the time."""

from __future__ import annotations

from typing import Literal, NamedTuple

from longshore.services.iam.reports import JOB_S, AccessJob, CredentialReport

Do = Literal["make", "forget", "wait"]


class Step(NamedTuple):
    do: Do
    #: seconds until there is something to do; None: only when it changes
    again_s: float | None = None


def credential_report_step(report: CredentialReport) -> Step:
    """One that is there stays until another takes its place: who asks is told how old it is."""
    return Step("make") if report.state != "COMPLETE" else Step("wait")


def access_job_step(job: AccessJob, now: float) -> Step:
    """An answer that nobody needs any more goes. A clock that is set back makes it stay no longer than it would have."""
    if job.state != "COMPLETE":
        return Step("make")
    kept_s = now - job.made_at
    return Step("wait", JOB_S - kept_s) if 0 <= kept_s < JOB_S else Step("forget")
