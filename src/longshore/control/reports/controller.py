"""Reports that accounts ask for are made here, one at a time for each: on credentials, and on which services were used.

A report is read off the store as it is when its turn comes, and written into the row that asked for it, unless that has gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from longshore.control.loop import Watched
from longshore.control.reports.plan import access_job_step, credential_report_step
from longshore.kit.clock import Clock
from longshore.services.iam.access_advisor import looked_up
from longshore.services.iam.credential_report import credential_report
from longshore.services.iam.reports import ACCESS_JOBS, CREDENTIAL_REPORTS
from longshore.store.base import Store, Tx

_CREDENTIALS, _ACCESS = "credentials:", "access:"


class Reports:
    name = "reports"
    watches: Sequence[Watched] = (
        Watched(CREDENTIAL_REPORTS, lambda change: (f"{_CREDENTIALS}{change.key}",)),
        Watched(ACCESS_JOBS, lambda change: (f"{_ACCESS}{change.key}",)),
    )

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def keys(self) -> Iterable[str]:
        yield from (f"{_CREDENTIALS}{report.account_id}" for report in self._store.list(CREDENTIAL_REPORTS))
        yield from (f"{_ACCESS}{job.job_id}" for job in self._store.list(ACCESS_JOBS))

    async def reconcile(self, key: str) -> float | None:
        if key.startswith(_CREDENTIALS):
            return await self._credentials(key.removeprefix(_CREDENTIALS))
        return await self._access(key.removeprefix(_ACCESS))

    async def _credentials(self, account_id: str) -> float | None:
        now = self._clock.now()

        def carry_out(tx: Tx) -> float | None:
            report = tx.get(CREDENTIAL_REPORTS, account_id)
            if report is None:
                return None
            step = credential_report_step(report)
            if step.do == "make":
                made = replace(report, state="COMPLETE", made_at=now, content=credential_report(tx, account_id))
                tx.put(CREDENTIAL_REPORTS, made)
            return step.again_s

        return await self._store.transact(carry_out)

    async def _access(self, job_id: str) -> float | None:
        now = self._clock.now()

        def carry_out(tx: Tx) -> float | None:
            job = tx.get(ACCESS_JOBS, job_id)
            if job is None:
                return None
            step = access_job_step(job, now)
            if step.do == "make":
                services, entities = looked_up(tx, job.account_id, job.arn)
                tx.put(ACCESS_JOBS, replace(job, state="COMPLETE", made_at=now, services=services, entities=entities))
            elif step.do == "forget":
                tx.delete(ACCESS_JOBS, job_id)
            return step.again_s

        return await self._store.transact(carry_out)
