"""One raw line of HAProxy's, taken apart. Pure.

Times are milliseconds, -1 where it did not come to that; captures are bytes as the client sent them.
"""

from __future__ import annotations

import re

import msgspec

from longshore.balancer.render.access_log import CONNECTION, FAILED, REQUEST

#: dates end with the year 9999; a line that claims more would be tried again and again
_END_OF_TIME_US = 253_402_300_000_000_000
_HEX = re.compile(rb"#([0-9A-F]{2})")
_COMMON, _TLS, _REQUEST, _CONNECTION = 8, 5, 15, 8
_REQUEST_FIELDS = 2 + _COMMON + _TLS + _REQUEST
_CONNECTION_FIELDS = 2 + _COMMON + _TLS + _CONNECTION
_FAILED_FIELDS = 2 + _COMMON + _TLS
#: a file is looked at in pieces of whole lines; nothing that HAProxy writes is longer
MOST_BYTES = 65_536


class Malformed(ValueError):
    """A line that says it is one of ours, and is not whole."""


class Line(msgspec.Struct, gc=False):
    kind: str
    mark: str
    worker: int
    #: number among the lines of one frontend and worker
    number: int
    #: microseconds since the epoch, at its end
    ended_us: int
    client: str
    client_port: int
    #: how it ended, two letters: who ended it, and while it was doing what
    flags: str
    received: int
    sent: int
    handshake_ms: int
    tls: str
    cipher: str
    is_resumed: bool
    connection: str
    backend: str = ""
    server: str = ""
    target: str = ""
    target_port: int = 0
    status: int = -1
    request_ms: int = -1
    queue_ms: int = -1
    connect_ms: int = -1
    response_ms: int = -1
    total_ms: int = -1
    #: PRIORITY|BACKEND, or empty when no rule was looked at
    rule: str = ""
    is_first: bool = False
    request: bytes = b""
    captured: tuple[bytes, ...] = ()
    answered: tuple[bytes, ...] = ()

    @property
    def priority(self) -> str:
        return self.rule.partition("|")[0]

    @property
    def has_target(self) -> bool:
        return bool(self.target)

    @property
    def is_of_target(self) -> bool:
        """Whether the status came from the target. HAProxy's own answers are said to have been ended by itself, or by something
        that went wrong before the target's answer had begun."""
        return self.has_target and self.status >= 100 and self.flags[1] in "-DL"

    @property
    def left_early(self) -> bool:
        """Whether the client went away before there was an answer: what a load balancer notes as 460."""
        return self.flags[0] == "C" and (self.status < 0 or self.flags[1] in "RQCH")

    def capture(self, number: int) -> bytes:
        return self.captured[number] if number < len(self.captured) else b""


def parsed(raw: bytes) -> Line | None:
    """None for what is no line of ours. Raises Malformed."""
    if raw[:1] != b"@":
        return None
    fields = raw.split(b"\t")
    kind = fields[0][1:].decode(errors="replace")
    expected = {REQUEST: _REQUEST_FIELDS, CONNECTION: _CONNECTION_FIELDS, FAILED: _FAILED_FIELDS}.get(kind)
    if expected is None or len(fields) < expected:
        raise Malformed(f"{len(fields)} fields of kind {kind[:8]!r}")
    try:
        line = _begun(kind, fields)
        if kind == REQUEST:
            _request(line, fields[2 + _COMMON + _TLS :])
        elif kind == CONNECTION:
            _connection(line, fields[2 + _COMMON + _TLS :])
        took_us = 1000 * (max(line.total_ms, 0) + max(line.handshake_ms, 0))
        if not took_us <= line.ended_us < _END_OF_TIME_US:
            raise ValueError("it is of no time that has a date")
    except (ValueError, IndexError) as problem:
        raise Malformed(str(problem)) from None
    return line


def _begun(kind: str, fields: list[bytes]) -> Line:
    flags = _word(fields[7]) or "--"
    return Line(
        kind=kind,
        mark=fields[1].decode("ascii"),
        worker=int(fields[2]),
        number=int(fields[3]),
        ended_us=int(fields[4]),
        client=_word(fields[5]),
        client_port=_number(fields[6], 0),
        flags=flags if len(flags) >= 2 else "--",
        received=_number(fields[8], 0),
        sent=_number(fields[9], 0),
        handshake_ms=_number(fields[10], -1),
        tls=_word(fields[11]),
        cipher=_word(fields[12]),
        is_resumed=fields[13] == b"1",
        connection=_word(fields[14]),
    )


def _request(line: Line, fields: list[bytes]) -> None:
    backend, server, address, port, status, *rest = fields
    _target(line, backend, server, address, port)
    line.status = _number(status, -1)
    line.request_ms, line.queue_ms, line.connect_ms, line.response_ms, line.total_ms = (_number(field, -1) for field in rest[:5])
    line.rule = _word(rest[5])
    line.is_first = rest[6] == b"1"
    line.request = unescaped(rest[7])
    line.captured = _captures(rest[8])
    line.answered = _captures(rest[9])


def _connection(line: Line, fields: list[bytes]) -> None:
    _target(line, *fields[:4])
    line.queue_ms, line.connect_ms, line.total_ms = (_number(field, -1) for field in fields[4:7])
    line.captured = _captures(fields[7])


def _target(line: Line, backend: bytes, server: bytes, address: bytes, port: bytes) -> None:
    line.backend, line.server = _word(backend), _word(server)
    if line.server and not line.server.startswith("<"):
        line.target, line.target_port = _word(address), _number(port, 0)


def _word(field: bytes) -> str:
    return "" if field == b"-" else field.decode("ascii", errors="replace")


def _number(field: bytes, otherwise: int) -> int:
    # a `+` says that it is of something that was still going on
    return otherwise if field in (b"-", b"") else int(field.lstrip(b"+"))


def _captures(field: bytes) -> tuple[bytes, ...]:
    """`{a|b|c}`, in which HAProxy writes `{`, `|` and `}` as `#XX`."""
    return tuple(unescaped(part) for part in field[1:-1].split(b"|")) if field.startswith(b"{") else ()


def unescaped(field: bytes) -> bytes:
    return _HEX.sub(lambda found: bytes((int(found[1], 16),)), field) if b"#" in field else field
