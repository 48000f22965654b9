"""The engine under every controller: what is looked at, how often, and what an error costs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

import msgspec
import pytest

from longshore.control.loop import Loop, Watched
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import SeededIds
from longshore.kit.resource import Kind
from longshore.store.base import Change, Conflict, Fenced, Store
from longshore.store.memory import memory_store
from longshore.store.watch import MOST_WAITING


class Crate(msgspec.Struct, frozen=True):
    name: str
    ship: str = ""


CRATES: Kind[Crate] = Kind(name="test.crate", type=Crate, key=lambda crate: crate.name)
Look = Callable[[str], Awaitable[float | None]]


class Loader:
    """Looks at ships; a crate that changes touches the ships it was on and is on."""

    name = "loader"

    def __init__(self, store: Store, look: Look | None = None) -> None:
        self._store = store
        self._look = look
        #: keys in the order their turns began
        self.looked: list[str] = []
        self.at_work: set[str] = set()
        self.most_at_once = 0

    @property
    def watches(self) -> Sequence[Watched]:
        return (Watched(CRATES, self._ships),)

    @staticmethod
    def _ships(change: Change[Crate]) -> Iterable[str]:
        return {crate.ship for crate in (change.old, change.new) if crate is not None and crate.ship}

    def keys(self) -> Iterable[str]:
        return {crate.ship for crate in self._store.list(CRATES) if crate.ship}

    async def reconcile(self, key: str) -> float | None:
        assert key not in self.at_work, f"two workers look at {key}"
        self.looked.append(key)
        self.at_work.add(key)
        self.most_at_once = max(self.most_at_once, len(self.at_work))
        try:
            return await self._look(key) if self._look else None
        finally:
            self.at_work.discard(key)


class Gate:
    """A look that waits until the test lets it end."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def __call__(self, key: str) -> float | None:
        await self.open.wait()
        return None


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    made = memory_store((CRATES,))
    yield made
    await made.close()


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@asynccontextmanager
async def running(loader: Loader, store: Store, clock: SteppedClock, *, workers: int = 4, resync_s: float = 300.0) -> AsyncIterator[Loop]:
    loop = Loop(loader, store, clock, SeededIds(3), workers=workers, resync_s=resync_s)
    job = asyncio.create_task(loop.run())
    await settle()
    yield loop
    if not job.done():
        job.cancel()
    await asyncio.gather(job, return_exceptions=True)


async def settle() -> None:
    """Let everything that can run without time passing run."""
    for _ in range(30):
        await asyncio.sleep(0)


async def load(store: Store, *crates: Crate) -> None:
    def write(tx):  # type: ignore[no-untyped-def]
        for crate in crates:
            tx.put(CRATES, crate)

    await store.transact(write)
    await settle()


# ── what is looked at ──


async def test_every_key_is_looked_at_when_the_loop_starts(store: Store, clock: SteppedClock) -> None:
    await load(store, Crate("a", "anna"), Crate("b", "berta"), Crate("c"))
    loader = Loader(store)
    async with running(loader, store, clock):
        assert sorted(loader.looked) == ["anna", "berta"]


async def test_a_change_has_the_keys_it_touches_looked_at_and_no_others(store: Store, clock: SteppedClock) -> None:
    loader = Loader(store)
    async with running(loader, store, clock):
        await load(store, Crate("a", "anna"))
        assert loader.looked == ["anna"]
        await load(store, Crate("a", "berta"))
        assert sorted(loader.looked[1:]) == ["anna", "berta"]
        await load(store, Crate("x"))
        assert len(loader.looked) == 3
        await store.transact(lambda tx: tx.delete(CRATES, "a"))
        await settle()
        assert loader.looked[3:] == ["berta"]


async def test_a_key_that_waits_for_its_turn_is_looked_at_once_however_often_it_is_touched(store: Store, clock: SteppedClock) -> None:
    gate = Gate()
    loader = Loader(store, gate)
    async with running(loader, store, clock, workers=1):
        await load(store, Crate("a", "anna"))
        for number in range(50):
            await load(store, Crate(f"b{number}", "berta"))
        gate.open.set()
        await settle()
        assert loader.looked == ["anna", "berta"]


async def test_a_key_touched_while_it_is_looked_at_is_looked_at_again_once_and_never_by_two(store: Store, clock: SteppedClock) -> None:
    gate = Gate()
    loader = Loader(store, gate)
    async with running(loader, store, clock, workers=4):
        for number in range(20):
            await load(store, Crate(f"a{number}", "anna"))
        assert loader.looked == ["anna"]
        gate.open.set()
        await settle()
        assert loader.looked == ["anna", "anna"]


async def test_different_keys_are_looked_at_side_by_side_up_to_the_number_of_workers(store: Store, clock: SteppedClock) -> None:
    gate = Gate()
    loader = Loader(store, gate)
    async with running(loader, store, clock, workers=3):
        await load(store, *(Crate(f"c{number}", f"ship-{number}") for number in range(10)))
        assert loader.most_at_once == 3
        gate.open.set()
        await settle()
        assert sorted(loader.looked) == sorted(f"ship-{number}" for number in range(10))


# ── when it is looked at again ──


async def test_an_error_costs_a_longer_and_longer_wait_and_success_forgets_it(
    store: Store, clock: SteppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "longshore.control")
    failing = True

    async def look(key: str) -> float | None:
        if failing:
            raise RuntimeError("the crane is broken")
        return None

    loader = Loader(store, look)
    async with running(loader, store, clock, resync_s=1e9):
        await load(store, Crate("a", "anna"))
        began, turns = clock.now(), []
        while clock.now() < began + 120:
            before = len(loader.looked)
            await clock.step(0.01 if clock.now() < began + 10 else 0.5)
            if len(loader.looked) > before:
                turns.append(clock.now())
        waits = [later - earlier for earlier, later in pairwise([began, *turns])]
        assert 0.08 <= waits[0] <= 0.13
        assert all(1.2 <= later / earlier <= 3.2 for earlier, later in pairwise(waits[:6])), waits
        assert max(waits) <= 30 * 1.2 + 0.5
        failing = False
        await clock.step(40)
        count = len(loader.looked)
        await clock.step(400)
        assert len(loader.looked) == count, "it succeeded, and was looked at again"
        failing = True
        await load(store, Crate("b", "anna"))
        await clock.step(0.13)
        assert len(loader.looked) == count + 2, "the first wait after a success is the shortest again"


async def test_waits_after_errors_are_spread(store: Store, clock: SteppedClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "longshore.control")
    came_back: dict[str, float] = {}

    async def look(key: str) -> float | None:
        if key in seen:
            came_back.setdefault(key, clock.now())
        seen.add(key)
        raise RuntimeError("the crane is broken")

    seen: set[str] = set()
    async with running(Loader(store, look), store, clock):
        await load(store, *(Crate(f"c{number}", f"ship-{number}") for number in range(40)))
        for _ in range(60):
            await clock.step(0.002)
        assert len(came_back) == 40
        assert len(set(came_back.values())) > 8


async def test_the_log_names_the_key_that_failed(store: Store, clock: SteppedClock, caplog: pytest.LogCaptureFixture) -> None:
    async def look(key: str) -> float | None:
        raise RuntimeError("the crane is broken")

    async with running(Loader(store, look), store, clock):
        await load(store, Crate("a", "anna"))
    assert [record.message.split(",")[0] for record in caplog.records] == ["loader anna: failed 1 time(s)"]


async def test_one_key_that_fails_does_not_hold_up_the_others(store: Store, clock: SteppedClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "longshore.control")

    async def look(key: str) -> float | None:
        if key == "anna":
            raise RuntimeError("the crane is broken")
        return None

    loader = Loader(store, look)
    async with running(loader, store, clock, workers=1):
        await load(store, Crate("a", "anna"), Crate("b", "berta"))
        await load(store, Crate("c", "clara"))
        assert {"berta", "clara"} <= set(loader.looked)


async def test_a_conflict_means_another_look_at_once(store: Store, clock: SteppedClock) -> None:
    conflicts = 3

    async def look(key: str) -> float | None:
        nonlocal conflicts
        if conflicts:
            conflicts -= 1
            raise Conflict("somebody was faster")
        return None

    loader = Loader(store, look)
    async with running(loader, store, clock):
        await load(store, Crate("a", "anna"))
        assert loader.looked == ["anna"] * 4
        assert clock.now() == SteppedClock().now(), "no time has passed"


async def test_a_key_is_looked_at_again_when_it_asked_for_that(store: Store, clock: SteppedClock) -> None:
    answers = iter([5.0, 7.0, None])

    async def look(key: str) -> float | None:
        return next(answers)

    loader = Loader(store, look)
    async with running(loader, store, clock):
        await load(store, Crate("a", "anna"))
        await clock.step(4.9)
        assert len(loader.looked) == 1
        await clock.step(0.2)
        assert len(loader.looked) == 2
        await clock.step(7.0)
        assert len(loader.looked) == 3
        await clock.step(200)
        assert len(loader.looked) == 3


async def test_a_look_before_its_time_takes_the_place_of_the_one_that_was_asked_for(store: Store, clock: SteppedClock) -> None:
    answers = iter([5.0, 20.0, None])

    async def look(key: str) -> float | None:
        return next(answers)

    loader = Loader(store, look)
    async with running(loader, store, clock):
        await load(store, Crate("a", "anna"))
        await load(store, Crate("b", "anna"))
        assert len(loader.looked) == 2
        await clock.step(10)
        assert len(loader.looked) == 2, "the alarm of the first look is no longer meant"
        await clock.step(10.1)
        assert len(loader.looked) == 3


async def test_all_keys_are_looked_at_again_from_time_to_time(store: Store, clock: SteppedClock) -> None:
    await load(store, Crate("a", "anna"), Crate("b", "berta"))
    loader = Loader(store)
    async with running(loader, store, clock, resync_s=60):
        for _ in range(3):
            loader.looked.clear()
            await clock.step(60)
            assert sorted(loader.looked) == ["anna", "berta"]


async def test_a_watcher_that_fell_behind_looks_at_everything(store: Store, clock: SteppedClock) -> None:
    loader = Loader(store)
    async with running(loader, store, clock, workers=1):
        await load(store, Crate("a", "anna"))
        loader.looked.clear()

        def flood(tx):  # type: ignore[no-untyped-def]
            for number in range(MOST_WAITING + 1):
                tx.put(CRATES, Crate(f"c{number}"))
            tx.put(CRATES, Crate("b", "berta"))

        await store.transact(flood)
        await settle()
        assert sorted(loader.looked) == ["anna", "berta"]


# ── how it ends ──


async def test_cancelling_leaves_nothing_running(store: Store, clock: SteppedClock) -> None:
    before = asyncio.all_tasks()

    async def look(key: str) -> float | None:
        if key == "anna":
            return 5.0
        await asyncio.Event().wait()
        return None

    loader = Loader(store, look)
    async with running(loader, store, clock):
        await load(store, Crate("a", "anna"), Crate("b", "berta"))
        assert len(asyncio.all_tasks()) > len(before)
    await settle()
    assert asyncio.all_tasks() == before
    assert loader.at_work == set()
    await load(store, Crate("c", "clara"))
    assert "clara" not in loader.looked


async def test_a_leader_that_was_replaced_ends_its_loop(store: Store, clock: SteppedClock) -> None:
    async def look(key: str) -> float | None:
        raise Fenced("another leads")

    before = asyncio.all_tasks()
    loop = Loop(Loader(store, look), store, clock, SeededIds(3))
    await load(store, Crate("a", "anna"))
    with pytest.raises(BaseExceptionGroup) as ended:
        await asyncio.wait_for(loop.run(), 5.0)
    assert ended.group_contains(Fenced)
    assert asyncio.all_tasks() == before
