"""How many connections there may be, of one address and in all; and whoever closes theirs makes room."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.gateway.doors import HANDSHAKES_LEFT, Doors, Handshakes
from longshore.gateway.lane import Lanes
from longshore.gateway.request import ApiRequest, Reply

PATIENCE_S = 5.0


class Open(asyncio.Transport):
    closed = False

    def is_closing(self) -> bool:
        return self.closed


def test_one_address_has_so_many_and_no_more_until_it_closes_one() -> None:
    doors = Doors(most_of_one=3, most=100, left=10)
    mine = [Open() for _ in range(4)]
    assert [doors.admit(each, "10.0.0.1") for each in mine] == [True, True, True, False]
    assert doors.admit(Open(), "10.0.0.2")
    mine[0].closed = True  # whoever has it by now need not say so
    assert doors.admit(mine[3], "10.0.0.1")
    doors.left(mine[1], "10.0.0.1")
    assert doors.admit(Open(), "10.0.0.1") and not doors.admit(Open(), "10.0.0.1")
    assert doors.refused == 2


def test_neighbours_of_one_ipv6_network_are_one() -> None:
    doors = Doors(most_of_one=2, most=100, left=10)
    assert [doors.admit(Open(), f"2001:db8::{number}") for number in range(3)] == [True, True, False]


def test_this_machine_has_what_is_left_when_others_took_all() -> None:
    doors = Doors(most_of_one=100, most=10, left=3)
    assert [doors.admit(Open(), "10.0.0.1") for _ in range(8)] == [True] * 7 + [False]
    assert [doors.admit(Open(), "127.0.0.1") for _ in range(4)] == [True, True, True, False]


def test_many_behind_one_loopback_address_are_welcome() -> None:
    doors = Doors(most_of_one=2, most=100, left=10)
    assert all(doors.admit(Open(), "127.0.0.1") for _ in range(100))


@given(st.lists(st.tuples(st.sampled_from(["10.0.0.1", "10.0.0.2", "127.0.0.1"]), st.booleans(), st.booleans()), max_size=200))
def test_the_count_is_what_is_open_and_never_too_much(steps: list[tuple[str, bool, bool]]) -> None:
    doors, opened = Doors(most_of_one=5, most=12, left=3), []
    for address, closes, says_so in steps:
        if closes and opened:
            transport, whose = opened.pop(0)
            transport.closed = True
            if says_so:
                doors.left(transport, whose)
        else:
            transport = Open()
            if doors.admit(transport, address):
                opened.append((transport, address))
            else:
                others = sum(1 for _, whose in opened if whose == address)
                assert len(opened) >= 9 or (others >= 5 and not address.startswith("127."))
        assert len(opened) <= 12 and len(doors) >= len(opened)
    doors.forget_closed()
    assert len(doors) == len(opened)


def test_refusals_are_told_of_now_and_then_not_each(caplog: pytest.LogCaptureFixture) -> None:
    times = iter([0.0, 1.0, 59.0, 60.5])
    doors = Doors(most_of_one=0, most=10, left=0, monotonic=lambda: next(times))
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            doors.admit(Open(), "10.0.0.1")
    assert len(caplog.records) == 2 and doors.refused == 4


@given(st.lists(st.tuples(st.sampled_from(["10.0.0.1", "10.0.0.2", "127.0.0.1"]), st.booleans()), max_size=100))
def test_handshakes_under_way_are_bounded(steps: list[tuple[str, bool]]) -> None:
    handshakes, under_way = Handshakes(most_of_one=3, most=8), []
    for address, ends in steps:
        if ends and under_way:
            handshakes.end(under_way.pop(0))
        elif handshakes.begin(address):
            under_way.append(address)
        assert len(handshakes) == len(under_way) <= 8
        assert all(under_way.count(whose) <= 3 for whose in ("10.0.0.1", "10.0.0.2"))


def test_this_machine_gets_in_while_others_are_in_the_middle_of_handshakes_without_end(caplog: pytest.LogCaptureFixture) -> None:
    handshakes = Handshakes(most_of_one=3, most=8, left=2, monotonic=lambda: 0.0)
    with caplog.at_level(logging.WARNING):
        assert [handshakes.begin(f"10.0.0.{number % 4}") for number in range(12)] == [True] * 6 + [False] * 6
    assert [handshakes.begin("127.0.0.1") for _ in range(3)] == [True, True, False]
    assert len(caplog.records) == 1 and "10.0.0.2" in caplog.text


def test_a_build_farm_behind_one_router_may_start_at_once() -> None:
    handshakes = Handshakes(left=HANDSHAKES_LEFT)
    assert all(handshakes.begin("10.0.0.1") for _ in range(1_000))
    assert not all(handshakes.begin("10.0.0.1") for _ in range(100))


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async def operate(request: ApiRequest) -> Reply:
        return Reply(200, b"ok", "text/plain")

    class Handed(asyncio.Protocol):
        """Stands where aiohttp's protocol does, and knows of no doors."""

    server = await asyncio.get_running_loop().create_server(Lanes(operate, Handed, doors=Doors(most=2, left=0)), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


ASK = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


async def asked(port: int) -> tuple[asyncio.StreamWriter, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(PATIENCE_S):
        try:
            writer.write(ASK)
            return writer, await reader.read(1000)
        except ConnectionResetError:
            return writer, b""


async def test_what_is_too_much_is_closed_unread_and_room_is_found_again(port: int) -> None:
    first, answer = await asked(port)
    assert answer.endswith(b"ok")
    # the second one is handed over: from there on nobody tells the doors when it goes
    second = socket.create_connection(("127.0.0.1", port))
    second.sendall(b"GET /x HTTP/1.1\r\n")
    third, answer = await asked(port)
    assert answer == b""
    third.close()
    second.close()
    async with asyncio.timeout(PATIENCE_S):
        while True:
            again, answer = await asked(port)
            again.close()
            if answer:
                break
    first.close()
