"""What gateway and agent say to each other over the socket of one command (or of one stream of logs).

One binary frame, one thing: a letter, then what belongs to it.

    gateway → agent    g          begin (after the client is ready)
                       i<bytes>   for the command's standard input
                       f          its standard input ends
                       s{cols,rows}
    agent → gateway    o<bytes>   standard output (all of it, with a terminal)
                       e<bytes>   standard error
                       k<number>  so many more bytes of input were taken by the command
                       x{code,reason}   it has ended; nothing follows

At most `WINDOW` bytes of input are under way, so that the agent can go on listening while the command does not.
"""

from __future__ import annotations

import msgspec

GO, INPUT, INPUT_ENDS, SIZE = b"g", b"i", b"f", b"s"
STDOUT, STDERR, TAKEN, ENDED = b"o", b"e", b"k", b"x"
WINDOW = 256 * 1024


class Ended(msgspec.Struct, frozen=True, omit_defaults=True):
    """`code` is absent where the command did not end by itself; then `reason` says what happened."""

    code: int | None = None
    reason: str = ""


class Size(msgspec.Struct, frozen=True):
    cols: int
    rows: int


def split(frame: bytes) -> tuple[bytes, bytes]:
    """The letter and what follows it."""
    return frame[:1], frame[1:]
