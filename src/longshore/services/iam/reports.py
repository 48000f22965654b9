"""Reports that an account has made: about the credentials of all its users, and about which services its people used of those they may.

A request for one is a row that says so; the reports controller makes it and writes it into the row. Nothing here decides when.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from longshore.kit.resource import Kind

#: seconds for which a credential report is the newest that there is
CREDENTIAL_REPORT_S = 4 * 3600.0
#: and for which the answer to a question about services is kept
JOB_S = 24 * 3600.0

#: of both: asked for, done
State = Literal["STARTED", "COMPLETE"]


class CredentialReport(msgspec.Struct, frozen=True, gc=False):
    account_id: str
    asked_at: float
    state: State = "STARTED"
    made_at: float = 0.0
    #: CSV
    content: bytes = b""


CREDENTIAL_REPORTS: Kind[CredentialReport] = Kind(
    name="iam.credential_report", type=CredentialReport, key=lambda report: report.account_id, sealed=True
)


class Use(msgspec.Struct, frozen=True, gc=False):
    service: str
    used_at: float
    region: str


class EntityUses(msgspec.Struct, frozen=True, gc=False):
    """A user or a role, and when it last used each service."""

    arn: str
    id: str
    name: str
    path: str
    type: str  # USER | ROLE
    uses: tuple[Use, ...] = ()


class AccessJob(msgspec.Struct, frozen=True, gc=False):
    """Which services may a user, a group, a role or the holders of a policy use, and when did they?"""

    job_id: str
    account_id: str
    #: who asked, and alone is told
    asked_by: str
    asked_at: float
    #: what was asked about
    arn: str
    state: State = "STARTED"
    made_at: float = 0.0
    #: namespaces that the policies allow something of
    services: tuple[str, ...] = ()
    entities: tuple[EntityUses, ...] = ()


ACCESS_JOBS: Kind[AccessJob] = Kind(
    name="iam.access_job",
    type=AccessJob,
    key=lambda job: job.job_id,
    indexes={"account": lambda job: (job.account_id,)},
)

KINDS: tuple[Kind[Any], ...] = (CREDENTIAL_REPORTS, ACCESS_JOBS)
