"""What HAProxy's counters say has happened since the last look, whichever worker did it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.balancer.metrics.counters import COUNTERS, Counting, Place, Row, added, rows_in

_REQUESTS = COUNTERS.index("req_tot")


def row(requests: int, name: str = "FRONTEND", proxy: str = "f") -> Row:
    return Row(proxy, name, tuple(requests if number == _REQUESTS else 0 for number in range(len(COUNTERS))), ())


def place(row: Row) -> Place:
    return Place(row.proxy, row.name)


def looked(counting: Counting, workers: dict[int, int]) -> int:
    found = counting.look({worker: [row(requests)] for worker, requests in workers.items()}, place)
    return found.get(Place("f", "FRONTEND"), {}).get("req_tot", 0)


def test_each_look_tells_what_came_since_the_last() -> None:
    counting = Counting()
    assert [looked(counting, {1: 5}), looked(counting, {1: 5}), looked(counting, {1: 9})] == [5, 0, 4]


def test_a_new_worker_begins_at_zero_while_the_one_before_goes_on() -> None:
    counting = Counting()
    looked(counting, {1: 100})
    assert looked(counting, {1: 103, 2: 7}) == 10
    assert looked(counting, {2: 8}) == 1


def test_what_was_counted_before_anybody_looked_belongs_to_nobody() -> None:
    counting = Counting()
    counting.begin_at({1: [row(1000)]})
    assert looked(counting, {1: 1001}) == 1


def test_a_server_that_was_added_again_begins_at_zero() -> None:
    counting = Counting()
    looked(counting, {1: 50})
    assert looked(counting, {1: 3}) == 3


@given(st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=10), min_size=1, max_size=5))
def test_counts_are_never_negative_and_add_up_to_what_all_workers_did(increments: list[list[int]]) -> None:
    counting, told = Counting(), 0
    for worker, steps in enumerate(increments):
        total = 0
        for step in steps:
            total += step
            since = looked(counting, {worker: total})
            assert since >= 0
            told += since
    assert told == sum(map(sum, increments))


def test_rows_are_read_by_the_names_of_their_columns() -> None:
    (one,) = rows_in('# pxname,svname,scur,req_tot,last_chk,-,\nf,FRONTEND,3,17,"a, b",,\n')
    assert (one.proxy, one.name, one.counters[_REQUESTS], one.gauges[0]) == ("f", "FRONTEND", 17, 3)
    with pytest.raises(ValueError, match="Unknown"):
        rows_in("Unknown command")


def test_counts_of_a_place_are_added_up() -> None:
    into = {Place("f", "FRONTEND"): {"bin": 1}}
    added(into, {Place("f", "FRONTEND"): {"bin": 2, "bout": 3}, Place("g", "FRONTEND"): {"bin": 4}})
    assert into == {Place("f", "FRONTEND"): {"bin": 3, "bout": 3}, Place("g", "FRONTEND"): {"bin": 4}}


def test_servers_that_are_gone_are_forgotten() -> None:
    counting = Counting()
    for number in range(50):
        assert counting.look({1: [row(7, f"server{number}", "b")]}, place) == {Place("b", f"server{number}"): {"req_tot": 7}}
    assert sum(map(len, counting._before.values())) == 1
