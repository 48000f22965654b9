"""Reports: what is to be done about one, and that the loop does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from longshore.control.loop import Loop
from longshore.control.reports.controller import Reports
from longshore.control.reports.plan import Step, access_job_step, credential_report_step
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import SeededIds
from longshore.services.iam.kinds import KINDS
from longshore.services.iam.reports import ACCESS_JOBS, CREDENTIAL_REPORTS, JOB_S, AccessJob, CredentialReport
from longshore.store.memory import memory_store

NOW = 1_700_000_000.0
REPORT = CredentialReport("1", NOW)
JOB = AccessJob("job", "1", "root", NOW, "arn:aws:iam::1:user/ann")
MADE = replace(JOB, state="COMPLETE", made_at=NOW)


def test_a_credential_report_is_made_once() -> None:
    assert credential_report_step(REPORT) == Step("make")
    assert credential_report_step(replace(REPORT, state="COMPLETE")) == Step("wait")


@pytest.mark.parametrize(
    ("job", "now", "step"),
    [
        (JOB, NOW, Step("make")),
        (JOB, NOW + 10 * JOB_S, Step("make")),
        (MADE, NOW, Step("wait", JOB_S)),
        (MADE, NOW + 10, Step("wait", JOB_S - 10)),
        (MADE, NOW + JOB_S, Step("forget")),
        (MADE, NOW - 1, Step("forget")),
    ],
)
def test_an_answer_is_made_and_goes_after_a_day(job: AccessJob, now: float, step: Step) -> None:
    assert access_job_step(job, now) == step


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - conditions of tests are plain functions
            await asyncio.sleep(0)


async def test_the_loop_makes_what_is_asked_for_and_forgets_it() -> None:
    store, clock = memory_store(KINDS), SteppedClock()
    running = asyncio.create_task(Loop(Reports(store, clock), store, clock, SeededIds()).run())
    try:
        await store.transact(lambda tx: [tx.create(CREDENTIAL_REPORTS, REPORT), tx.create(ACCESS_JOBS, JOB)])
        await until(lambda: all(row.state == "COMPLETE" for row in (*store.list(CREDENTIAL_REPORTS), *store.list(ACCESS_JOBS))))
        assert store.list(CREDENTIAL_REPORTS)[0].content.startswith(b"user,arn,")
        await clock.step(JOB_S + 1)
        await until(lambda: not store.count(ACCESS_JOBS))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await store.close()
