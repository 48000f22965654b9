"""The data channel: frames as AWS's plugin writes them, and streams that lose, repeat and disorder nothing."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.aws import data_channel
from longshore.aws.data_channel import Incoming, Malformed, Message, Outgoing, pack, unpack

#: an input message of the public plugin, its places counted by hand: header length, type in 32 bytes, schema, time, sequence,
#: flags, the UUID's second half before its first, digest, payload type, payload length, payload
_PLUGIN = (
    bytes.fromhex(
        "00000074" + b"input_stream_data".ljust(32).hex() + "00000001" + "0000018bcfe56800" + "0000000000000007" + "0000000000000000"
        "a508b5f073f31b16dd01e56bff48483e" + "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" + "00000001" + "00000005"
    )
    + b"hello"
)


def message(sequence: int, payload: bytes = b"x") -> Message:
    return Message(
        kind=data_channel.INPUT, sequence=sequence, payload=payload, payload_type=1, id="dd01e56b-ff48-483e-a508-b5f073f31b16", created=1
    )


def test_a_frame_of_the_plugin_is_read_and_written_to_the_byte() -> None:
    read = unpack(_PLUGIN)
    assert (read.kind, read.sequence, read.payload, read.payload_type) == (data_channel.INPUT, 7, b"hello", data_channel.DATA)
    assert (read.id, read.created) == ("dd01e56b-ff48-483e-a508-b5f073f31b16", 1_700_000_000_000)
    assert pack(read) == _PLUGIN


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        _PLUGIN[:119],
        _PLUGIN[:-1],
        _PLUGIN + b"!",
        _PLUGIN[:-5] + b"jello",
        b"\xff" * 4 + _PLUGIN[4:],
        _PLUGIN[:4] + b"\xff" * 32 + _PLUGIN[36:],
    ],
    ids=["nothing", "half a header", "too short", "too long", "another payload", "no header length", "no type"],
)
def test_what_is_no_frame_is_malformed(frame: bytes) -> None:
    with pytest.raises(Malformed):
        unpack(frame)


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_parse_or_be_malformed(frame: bytes) -> None:
    try:
        unpack(frame)
    except Malformed:
        pass


@given(st.lists(st.binary(min_size=1, max_size=5), max_size=40), st.integers(0, 2**32), st.integers(1, 8))
def test_a_stream_arrives_whole_and_in_order_over_a_line_that_loses_and_repeats(pieces: list[bytes], seed: int, window: int) -> None:
    drawn = random.Random(seed)
    outgoing, incoming = Outgoing(window), Incoming(4)
    waiting, arrived, now = list(pieces), [], 0.0
    for _ in range(2000):
        while waiting and outgoing.has_room:
            sequence = outgoing.number()
            outgoing.sent(sequence, pack(message(sequence, waiting.pop(0))), now - 1)
        now += 1
        frames = outgoing.overdue(now)
        drawn.shuffle(frames)
        for frame in frames:
            if drawn.random() < 0.3:
                continue
            heard = unpack(frame)
            acknowledge, ready = incoming.take(heard)
            arrived += [one.payload for one in ready]
            if acknowledge and drawn.random() < 0.7:
                answer = unpack(data_channel.acknowledgement(heard, heard.id, 1))
                outgoing.acknowledge(data_channel.acknowledged(answer))
        if not waiting and outgoing.is_through:
            break
    assert arrived == pieces
    assert outgoing.is_through


def test_more_than_a_window_is_never_under_way() -> None:
    outgoing = Outgoing(2)
    for _ in range(2):
        assert outgoing.has_room
        outgoing.sent(outgoing.number(), b"", 0.0)
    assert not outgoing.has_room
    outgoing.acknowledge(1)
    assert outgoing.has_room


def test_a_client_answers_each_action_it_is_asked_for() -> None:
    answer = data_channel.handshake_response("1.0", data_channel.handshake_request("2.0", "InteractiveCommands"))
    assert b'"ActionType":"SessionType","ActionStatus":1' in answer
    with pytest.raises(Malformed):
        data_channel.handshake_response("1.0", b'{"RequestedClientActions": [1]}')
