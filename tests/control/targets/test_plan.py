"""Who is registered where a task before it may still be known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from longshore.control.targets.plan import Endpoint, Registered, Serving, Snapshot, plan

HERE, ELSEWHERE = Endpoint("web", "i-1", 32768), Endpoint("web", "i-1", 32769)


def serving(arn: str, *endpoints: Endpoint, occupied: tuple[Endpoint, ...] = (), leaving: bool = False) -> Serving:
    return Serving(arn, running=True, leaving=leaving, deactivating=leaving, endpoints=endpoints, occupied=frozenset(occupied))


def test_a_task_waits_while_the_one_before_it_drains_at_its_port() -> None:
    todo = plan(Snapshot((serving("new", HERE, occupied=(HERE,)),), (Registered(HERE, "old", draining=True),)))
    assert not todo.register and not todo.deregister
    assert [(change.endpoint, change.owner) for change in todo.waiting] == [(HERE, "new")]


def test_what_a_dead_task_left_at_its_port_is_deregistered_first() -> None:
    todo = plan(Snapshot((serving("new", HERE, occupied=(HERE,)),), (Registered(HERE, "old", draining=False),)))
    assert [(change.endpoint, change.owner) for change in todo.deregister] == [(HERE, "old")]
    assert not todo.register and todo.waiting


def test_a_row_of_another_service_is_waited_for_and_left_to_that_service() -> None:
    todo = plan(Snapshot((serving("new", HERE, ELSEWHERE, occupied=(HERE,)),), ()))
    assert [change.endpoint for change in todo.register] == [ELSEWHERE]
    assert [change.endpoint for change in todo.waiting] == [HERE]
    assert not todo.deregister


def test_a_task_does_not_wait_for_its_own_row() -> None:
    todo = plan(Snapshot((serving("same", HERE),), (Registered(HERE, "same", draining=True),)))
    assert [change.endpoint for change in todo.register] == [HERE] and not todo.waiting


ENDPOINTS = [Endpoint(group, "i-1", port) for group in ("web", "api") for port in (1, 2, 3)]


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from(ENDPOINTS), unique=True), st.lists(st.sampled_from(ENDPOINTS), unique=True), st.booleans()),
        max_size=4,
    ),
    st.lists(st.tuples(st.sampled_from(ENDPOINTS), st.integers(0, 5), st.booleans()), unique_by=lambda row: row[0]),
)
def test_nobody_is_registered_at_an_occupied_place_and_who_waits_is_not_forgotten(
    tasks: list[tuple[list[Endpoint], list[Endpoint], bool]], rows: list[tuple[Endpoint, int, bool]]
) -> None:
    snapshot = Snapshot(
        tuple(
            serving(f"t{number}", *endpoints, occupied=tuple(set(occupied) & set(endpoints)), leaving=leaving)
            for number, (endpoints, occupied, leaving) in enumerate(tasks)
        ),
        tuple(Registered(endpoint, f"t{owner}", draining) for endpoint, owner, draining in rows),
    )
    todo = plan(snapshot)
    occupied = {(endpoint, task.arn) for task in snapshot.tasks for endpoint in task.occupied}
    assert not {(change.endpoint, change.owner) for change in todo.register} & occupied
    assert {(change.endpoint, change.owner) for change in todo.waiting} <= occupied
    wanted = {endpoint: task.arn for task in snapshot.tasks if not task.leaving for endpoint in task.endpoints}
    stands = {row.endpoint for row in snapshot.registered if not row.draining and wanted.get(row.endpoint) == row.owner}
    assert {change.endpoint for change in (*todo.register, *todo.waiting)} == wanted.keys() - stands
    # A row stays only for whom it was made, or where somebody else is put into it at once.
    left = {change.endpoint for change in todo.deregister}
    replaced = {change.endpoint for change in todo.register}
    assert all(
        row.draining or row.endpoint in left or row.endpoint in replaced or wanted[row.endpoint] == row.owner for row in snapshot.registered
    )
