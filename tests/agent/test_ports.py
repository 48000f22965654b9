"""Runs of host ports: always further on, and none again soon after its task has ended."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.agent import messages
from longshore.agent.ports import FIRST, LAST, REST_S, NoFreePorts, Ports, ports_of

#: of this file alone, so that nothing listens there
ADDRESS = "127.83.19.7"


def wants(*spans: str) -> messages.Container:
    return messages.Container(
        name="main", image="x", port_mappings=tuple(messages.PortMapping(container_port_range=span) for span in spans)
    )


def test_what_a_task_had_is_not_given_again_soon_after_its_end() -> None:
    ports = Ports()
    first = ports.choose(wants("1-5000"), ADDRESS, 0.0)
    ports.rest(ports_of({"main": first}), 0.0)
    others = [ports.choose(wants("1-5000"), ADDRESS, 1.0)["1-5000"] for _ in range(2)]
    assert [first["1-5000"], *others] == [FIRST, FIRST + 5000, FIRST + 10_000]


def test_it_is_given_again_when_it_has_rested() -> None:
    ports = Ports()
    for now in (0.0, 0.0, 0.0, REST_S):
        chosen = ports.choose(wants("1-5000"), ADDRESS, now)
        ports.rest(ports_of({"main": chosen}), now)
    assert chosen == {"1-5000": FIRST}


def test_before_there_are_none_what_rests_is_given() -> None:
    ports = Ports()
    everything = f"1-{LAST - FIRST + 1}"
    ports.rest(ports_of({"main": ports.choose(wants(everything), ADDRESS, 0.0)}), 0.0)
    chosen = ports.choose(wants(everything), ADDRESS, 1.0)
    assert chosen == {everything: FIRST}
    with pytest.raises(NoFreePorts):
        ports.choose(wants("1-2"), ADDRESS, 1e9)


def test_a_port_that_somebody_else_listens_on_is_passed_over() -> None:
    with socket.socket() as busy:
        busy.bind((ADDRESS, FIRST + 1))
        busy.listen()
        assert Ports().choose(wants("1-3"), ADDRESS, 0.0) == {"1-3": FIRST + 2}


@settings(max_examples=50)
@given(st.lists(st.one_of(st.integers(1, 4), st.integers(-5, -1)), max_size=60))
def test_no_two_living_tasks_share_a_port_and_there_is_one_while_any_is_free(steps: list[int]) -> None:
    """Steps: a task wants so many ports; or the oldest but so many ends."""
    ports, living, now = Ports(FIRST, FIRST + 11), [], 0.0
    for step in steps:
        now += 1.0
        if step < 0:
            if living:
                ports.rest(living.pop(min(-step, len(living)) - 1), now)
            continue
        try:
            start = ports.choose(wants(f"1-{step}"), ADDRESS, now)[f"1-{step}"]
        except NoFreePorts:
            held = {port for ended in living for port in ended}
            runs = ["".join("x" if port in held else "." for port in range(FIRST, FIRST + 12))]
            assert "." * step not in runs[0]
            continue
        mine = set(range(start, start + step))
        assert not any(mine & other for other in living)
        living.append(mine)
