"""Questions are read as they come, whatever they are; and answered in the form that resolvers read."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Network
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from longshore.agent.names import wire
from longshore.agent.names.book import Book, Page, everywhere, is_ours
from longshore.agent.names.resolver import is_neighbour, upstreams_in


def question(name: str, type: int = wire.A, flags: int = 0x0100) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    return struct.pack("!6H", 7, flags, 1, 0, 0, 0) + labels + struct.pack("!2H", type, 1)


def test_a_question_is_read_without_regard_to_case() -> None:
    found = wire.question_of(question("Web-1.elb.LOCALHOST"))
    assert found is not None and (found.name, found.type, found.id) == ("web-1.elb.localhost", wire.A, 7)


@given(st.binary(max_size=600))
def test_nothing_that_is_sent_does_more_than_be_ignored(message: bytes) -> None:
    found = wire.question_of(message)
    assert found is None or message.endswith(found.raw) or found.raw in message


@given(st.integers(0, 30))
def test_a_question_that_is_cut_short_is_none(length: int) -> None:
    assert wire.question_of(question("web.elb.localhost")[:length]) is None


def test_answers_and_other_operations_are_no_questions() -> None:
    assert wire.question_of(question("a.b", flags=0x8100)) is None
    assert wire.question_of(question("a.b", flags=0x2800)) is None


def test_an_answer_repeats_the_question_and_names_every_address() -> None:
    asked = wire.question_of(question("a.b"))
    assert asked is not None
    said = wire.answer(asked, wire.NO_ERROR, ("169.254.171.1", "10.0.0.7"), 5)
    assert struct.unpack_from("!6H", said)[2:4] == (1, 2) and asked.raw in said
    assert said.endswith(socket.inet_aton("10.0.0.7")) and struct.unpack_from("!I", said, len(asked.raw) + 12 + 6) == (5,)


def test_an_answer_too_long_for_a_datagram_is_to_be_asked_for_again() -> None:
    asked = wire.question_of(question("a.b"))
    assert asked is not None
    short, long = (wire.answer(asked, wire.NO_ERROR, ["10.0.0.7"] * number, 5) for number in (2, 40))
    assert wire.fitting(asked, short) == short
    _, flags, questions, answers, *_ = struct.unpack_from("!6H", told := wire.fitting(asked, long))
    assert flags & 0x8200 == 0x8200 and (questions, answers) == (1, 0) and told.endswith(asked.raw)


def test_every_name_stands_in_both_domains(tmp_path: Path) -> None:
    names = everywhere([Page(str(tmp_path), {"web-1.us-east-1.elb.localhost": ("169.254.171.1",)})])
    assert set(names) == {"web-1.us-east-1.elb.localhost", "web-1.us-east-1.elb.longshore.internal"}


def test_nobody_else_is_asked_for_what_only_we_could_know() -> None:
    assert is_ours("x.elb.localhost") and is_ours("anything.longshore.internal") and is_ours("longshore.internal")
    assert not is_ours("elb.example.com") and not is_ours("notlongshore.internal")


def test_a_page_counts_for_as_long_as_its_agent_has_its_directory(tmp_path: Path) -> None:
    book, agent = Book(tmp_path / "run"), tmp_path / "agent"
    agent.mkdir()
    (tmp_path / "run").mkdir()
    book.write("i-1", Page(str(agent), {"a": ("1.2.3.4",)}))
    assert [page.names for page in book.pages()] == [{"a": ("1.2.3.4",)}]
    agent.rmdir()
    assert book.pages() == []


def test_the_machines_resolvers_are_asked_but_never_this_one() -> None:
    assert upstreams_in("search x\nnameserver 169.254.170.2\nnameserver 127.0.0.53\n# nameserver 1\n", "169.254.170.2") == ["127.0.0.53"]


def test_only_neighbours_are_answered() -> None:
    bridges = [IPv4Network("172.17.0.0/16")]
    assert is_neighbour("172.17.0.9", "169.254.170.2", bridges) and is_neighbour("169.254.170.2", "169.254.170.2", [])
    assert not is_neighbour("203.0.113.9", "169.254.170.2", bridges) and not is_neighbour("::1", "169.254.170.2", bridges)
