"""What ended sessions is forgotten once there can be none left that it ends, and not before."""

from __future__ import annotations

from longshore.config import History
from longshore.control.expiry.controller import Expiry
from longshore.kit.clock import SteppedClock
from longshore.resources import KINDS
from longshore.services.sts.model import REVOCATIONS, Revocation
from longshore.store.archive import MemoryArchive
from longshore.store.memory import memory_store


async def test_a_revocation_goes_when_it_can_end_nothing_any_more() -> None:
    store, clock = memory_store(KINDS), SteppedClock()
    now = clock.now()
    rows = [Revocation("1" * 12, f"AROA{number}", "role", now, now, "root", now + number) for number in (100, 200)]
    for row in rows:
        await store.transact(lambda tx, row=row: tx.put(REVOCATIONS, row))  # type: ignore[misc]
    expiry = Expiry(store, clock, MemoryArchive(), History())
    for step, left in ((99, 2), (1, 1), (99, 1), (1, 0)):
        await clock.step(step)
        await expiry.reconcile("everything")
        assert store.count(REVOCATIONS) == left
    await store.close()
