"""The stream of registry events keeps its newest part."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.control.registry_events.controller import RegistryEvents
from longshore.control.registry_events.plan import KEPT, KEPT_S, surplus
from longshore.kit.clock import SteppedClock
from longshore.services.ecr.model import REGISTRY_EVENTS, RegistryEvent
from longshore.store.base import Store, Tx
from longshore.store.memory import memory_store

NOW = 1_700_000_000.0


@given(ages=st.lists(st.floats(0, 2 * KEPT_S), max_size=30), more=st.integers(0, 2 * KEPT))
def test_what_stays_is_neither_too_much_nor_too_old(ages: list[float], more: int) -> None:
    oldest = [NOW - age for age in sorted(ages, reverse=True)]
    count = len(oldest) + more
    gone = surplus(count, oldest, NOW)
    assert 0 <= gone <= len(oldest)
    assert all(NOW - at <= KEPT_S for at in oldest[gone:])
    assert gone == len(oldest) or count - gone <= KEPT
    assert gone == 0 or count - gone + 1 > KEPT or NOW - oldest[gone - 1] > KEPT_S, "and no more goes than must"


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    made = memory_store((REGISTRY_EVENTS,))
    yield made
    await made.close()


def event(account_id: str, age_s: float, ordinal: str = "") -> RegistryEvent:
    return RegistryEvent("us-east-1", account_id, NOW - age_s, "ECR Image Action", (), {}, ordinal)


async def test_every_registry_keeps_its_own_newest_events(store: Store) -> None:
    events = [*(event("000000000000", age) for age in range(5)), *(event("000000000001", age) for age in range(2))]
    events += [event("000000000002", KEPT_S + 1), event("000000000002", KEPT_S - 1)]

    def put_all(tx: Tx) -> None:
        for each in events:
            tx.put(REGISTRY_EVENTS, each)

    await store.transact(put_all)
    assert await RegistryEvents(store, SteppedClock(NOW), most=3).reconcile("everything") == 15.0
    left = [(each.account_id[-1], NOW - each.at) for each in store.list(REGISTRY_EVENTS)]
    assert left == [("0", 2), ("0", 1), ("0", 0), ("1", 1), ("1", 0), ("2", KEPT_S - 1)]
    revision = store.revision
    await RegistryEvents(store, SteppedClock(NOW), most=3).reconcile("everything")
    assert store.revision == revision, "what is within its bounds is left alone"
