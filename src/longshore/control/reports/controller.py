"""Reports that accounts ask for are made here, one at a time for each: on credentials, and on which services were used.

A report is read off the store as it is when its turn comes, and written into the row that asked for it, unless that has gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from longshore.control.loop import Watched
from longshore.control.reports.plan import access_job_step, credential_report_step
from longshore.kit.clock import Clock
from longshore.services.iam.access_advisor import looked_up
from longshore.services.iam.credential_report import credential_lines, written
from longshore.services.iam.reports import ACCESS_JOBS, CREDENTIAL_REPORTS
from longshore.store.base import Store, Tx

_CREDENTIALS, _ACCESS = "credentials:", "access:"
#: lines made before others have their turn
_SLICE = 200


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
        """Made beside the loop's other work: an account may have thousands of users."""
        report = self._store.get(CREDENTIAL_REPORTS, account_id)
        if report is None or credential_report_step(report).do != "make":
            return None
        lines: list[Sequence[str]] = []
        for line in credential_lines(self._store, account_id):
            lines.append(line)
            if not len(lines) % _SLICE:
                await asyncio.sleep(0)
        made = replace(report, state="COMPLETE", made_at=self._clock.now(), content=written(lines))

        def keep(tx: Tx) -> None:
            if tx.get(CREDENTIAL_REPORTS, account_id) == report:
                tx.put(CREDENTIAL_REPORTS, made)

        await self._store.transact(keep)
        return None

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
