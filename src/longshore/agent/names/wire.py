"""What little of DNS it takes to answer for load balancers, and to hand everything else on unread. Pure.

Only the question is read (RFC 1035 §4.1); answers are made of it. A message that cannot be read is nobody's, and gets no answer.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import IPv4Address

import msgspec

A, ANY, INTERNET = 1, 255, 1
NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NO_SUCH_NAME, REFUSED = 0, 1, 2, 3, 5
_HEADER = struct.Struct("!6H")
_IS_ANSWER, _AUTHORITATIVE, _TRUNCATED, _RECURSION_WISHED, _RECURSION = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
_OPERATION = 0x7800
#: what fits into one datagram for a client that says nothing of larger ones
_MOST_PLAIN = 512


class Question(msgspec.Struct, frozen=True):
    id: int
    flags: int
    #: in lower case, without the final dot
    name: str
    type: int
    kind: int
    #: as it was asked, to be repeated in the answer
    raw: bytes


def question_of(message: bytes) -> Question | None:
    """None for what is no plain question: an answer, another operation, several questions, or no DNS at all."""
    if len(message) < _HEADER.size:
        return None
    identifier, flags, questions, *_ = _HEADER.unpack_from(message)
    if flags & (_IS_ANSWER | _OPERATION) or questions != 1:
        return None
    labels: list[str] = []
    place = _HEADER.size
    while True:
        if place >= len(message):
            return None
        length = message[place]
        place += 1
        if not length:
            break
        if length > 63 or place + length > len(message) or place > _HEADER.size + 255:
            return None
        labels.append(message[place : place + length].decode("latin-1").lower())
        place += length
    if place + 4 > len(message):
        return None
    type, kind = struct.unpack_from("!2H", message, place)
    return Question(identifier, flags, ".".join(labels), type, kind, message[_HEADER.size : place + 4])


def answer(question: Question, code: int, addresses: Sequence[str] = (), ttl_s: int = 0) -> bytes:
    """Of this server's own; addresses are those of the name that was asked for."""
    flags = _IS_ANSWER | _AUTHORITATIVE | _RECURSION | (question.flags & _RECURSION_WISHED) | code
    # the name is the one at the beginning of the question
    records = [struct.pack("!3HIH", 0xC00C, A, INTERNET, ttl_s, 4) + IPv4Address(address).packed for address in addresses]
    return _HEADER.pack(question.id, flags, 1, len(records), 0, 0) + question.raw + b"".join(records)


def fitting(question: Question, reply: bytes) -> bytes:
    """`reply` when it fits into a datagram; otherwise what tells the client to ask again by TCP."""
    if len(reply) <= _MOST_PLAIN:
        return reply
    flags = _IS_ANSWER | _RECURSION | _TRUNCATED | (question.flags & _RECURSION_WISHED)
    return _HEADER.pack(question.id, flags, 1, 0, 0, 0) + question.raw


def with_id(message: bytes, identifier: int) -> bytes:
    return struct.pack("!H", identifier) + message[2:]
