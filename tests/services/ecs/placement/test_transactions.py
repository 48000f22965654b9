"""Columns inside transactions: they hold what was written a moment ago, by this one or another, and nothing that never came to be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from longshore.services.ec2 import model as ec2_model
from longshore.services.ecs.kinds import KINDS
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, ContainerInstance, HostPort, Reservation, Task
from longshore.services.ecs.placement.columns import Columns
from longshore.services.ecs.placement.fleets import FLEETS, columns_of
from longshore.services.ecs.placement.placing import place_tasks
from longshore.store.base import Store, StoreUnavailable, Tx
from longshore.store.log import Row
from longshore.store.memory import memory_store
from tests.services.ecs.placement.worlds import CLUSTER, SCOPE, asking, instance, task

KEPT = (*KINDS, *ec2_model.KINDS)


class Refused(Exception):
    pass


def arn(name: str) -> str:
    return f"{SCOPE}:container-instance/default/{name}"


def unplaced(name: str, reservation: Reservation) -> Task:
    return replace(task(name, "", reservation=reservation, status="PROVISIONING"), container_instance_arn="")


def place(store: Store, name: str, reservation: Reservation, *, fail: bool = False) -> asyncio.Future[bool]:
    """A task of its own in a transaction of its own; whether it found a place."""
    wanted = replace(asking(), reservation=reservation)

    def run(tx: Tx) -> bool:
        made, _ = place_tasks(tx, CLUSTER, wanted, [unplaced(name, reservation)])
        if fail:
            raise Refused
        return bool(made)

    return asyncio.ensure_future(store.transact(run))


def _tallies(columns: Columns) -> dict[object, dict[str, int]]:
    return {
        key: {columns.arns[row]: amount for row, amount in tally.rows.items()}
        for kept in (columns.groups, columns.ports)
        for key, tally in kept.items()
    }


async def check(store: Store) -> None:
    """What is derived is what would be made of the store's own contents, and nobody has more than there is."""

    def look(tx: Tx) -> None:
        derived, fresh = tx.derived(FLEETS).of(tx, CLUSTER)[0], columns_of(tx, CLUSTER)
        assert set(derived.row_of) == set(fresh.row_of)
        for one, row in derived.row_of.items():
            other = fresh.row_of[one]
            for name in ("cpu", "memory", "gpus", "enis", "tasks", "running", "active", "connected"):
                assert getattr(derived, name)[row] == getattr(fresh, name)[other]
            assert min(derived.cpu[row], derived.memory[row], derived.gpus[row], derived.enis[row]) >= 0

        assert _tallies(derived) == _tallies(fresh)
        assert all(amount == 1 for port, tally in derived.ports.items() for amount in tally.rows.values())
        held = [gpu for one in tx.list(TASKS) if not one.is_stopped for gpu in ((one.container_instance_arn, id_) for id_ in one.gpu_ids)]
        assert len(held) == len(set(held))

    await store.transact(look)


async def test_transactions_of_one_commit_never_take_the_same_room() -> None:
    store = memory_store(KEPT)
    for name in ("a", "b"):
        await store.transact(lambda tx, name=name: tx.put(CONTAINER_INSTANCES, instance(arn(name), cpu=500, gpus=1)))
    found = await asyncio.gather(*(place(store, str(number), Reservation(100, 1, (), 0)) for number in range(15)))
    assert sum(found) == 10
    found = await asyncio.gather(*(place(store, f"g{number}", Reservation(0, 1, (), 1)) for number in range(4)))
    assert sum(found) == 2
    await check(store)
    await store.close()


async def test_what_is_rolled_back_leaves_room_to_the_next_of_the_same_commit() -> None:
    store = memory_store(KEPT)
    await store.transact(lambda tx: tx.put(CONTAINER_INSTANCES, instance(arn("a"), cpu=100)))
    wants = Reservation(100, 1, (HostPort(80),))
    first = place(store, "1", wants, fail=True)
    second, third = place(store, "2", wants), place(store, "3", wants)
    with pytest.raises(Refused):
        await first
    assert (await second, await third) == (True, False)
    await check(store)
    await store.close()


async def test_room_given_out_in_a_commit_that_failed_is_there_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store = memory_store(KEPT)
    await store.transact(lambda tx: tx.put(CONTAINER_INSTANCES, instance(arn("a"), cpu=100)))
    await check(store)

    async def full(rows: list[Row], revision: int, epoch: int) -> None:
        raise StoreUnavailable("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(store._log, "append", full)  # type: ignore[attr-defined]
        with pytest.raises(StoreUnavailable):
            await place(store, "1", Reservation(100, 1))
    assert await place(store, "2", Reservation(100, 1))
    await check(store)
    await store.close()


Step = Callable[[Store, int], "asyncio.Future[object]"]


def _put(store: Store, one: ContainerInstance) -> asyncio.Future[object]:
    return asyncio.ensure_future(store.transact(lambda tx: tx.put(CONTAINER_INSTANCES, one)))


def _stop_some(store: Store, status: str) -> asyncio.Future[object]:
    def run(tx: Tx) -> None:
        for one in tx.list(TASKS)[::2]:
            if not one.is_stopped:
                tx.put(TASKS, replace(one, status=replace(one.status, last_status=status)))

    return asyncio.ensure_future(store.transact(run))


def _deregister(store: Store, arn: str) -> asyncio.Future[object]:
    def run(tx: Tx) -> None:
        found = tx.get(CONTAINER_INSTANCES, arn)
        if found is None or found.status == "INACTIVE":
            return
        for one in tx.list(TASKS, "active_on", arn):
            tx.put(TASKS, replace(one, status=replace(one.status, last_status="STOPPED")))
        tx.put(CONTAINER_INSTANCES, replace(found, status="INACTIVE", agent_connected=False))

    return asyncio.ensure_future(store.transact(run))


steps = st.one_of(
    st.builds(
        lambda name, cpu: lambda store, n: _put(store, instance(arn(name), cpu=cpu, gpus=1, enis=1)), st.sampled_from("abc"), st.just(400)
    ),
    st.builds(
        lambda wants, fail: lambda store, n: place(store, str(n), wants, fail=fail),
        st.builds(
            Reservation,
            st.sampled_from([0, 100, 150]),
            st.just(100),
            st.sampled_from([(), (HostPort(80),), (HostPort(80, "udp"), HostPort(81))]),
            st.integers(0, 1),
            st.integers(0, 1),
        ),
        st.sampled_from([False, False, False, True]),
    ),
    st.builds(lambda status: lambda store, n: _stop_some(store, status), st.sampled_from(["RUNNING", "STOPPED"])),
    st.builds(lambda name: lambda store, n: _deregister(store, arn(name)), st.sampled_from("abc")),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(steps, min_size=1, max_size=6), max_size=6))
def test_whatever_happens_in_whatever_commits_the_columns_are_true_and_nothing_is_given_twice(commits: list[list[Step]]) -> None:
    async def run() -> None:
        store = memory_store(KEPT)
        number = 0
        for commit in commits:
            waiting = []
            for step in commit:
                number += 1
                waiting.append(step(store, number))
            for outcome in await asyncio.gather(*waiting, return_exceptions=True):
                assert not isinstance(outcome, BaseException) or isinstance(outcome, Refused)
            await check(store)
        await store.close()

    asyncio.run(run())
