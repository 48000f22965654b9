"""Looking records up, newest first.

Files are walked from their end. What a record must say is looked for in the bytes first, so that a line is read only where it may
be the one; a file whose time is another is not opened. One reading looks at a bounded number of bytes and says where to go on, so
a page may be empty and have more after it. Runs on a thread of the log's own.
"""

from __future__ import annotations

import gzip
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from longshore.audit.closing import Closed
from longshore.audit.layout import Growing, number_of
from longshore.audit.record import seconds_of

#: bytes of records that one reading looks at
MOST_LOOKED_AT = 48 << 20
_MOST_REMEMBERED = 2
#: and at one time: a fraction of a millisecond's work
_PIECE = 256 * 1024


class SeenResource(msgspec.Struct, frozen=True, gc=False, rename={"arn": "ARN"}):
    arn: str = ""
    type: str = ""


class SeenIdentity(
    msgspec.Struct, frozen=True, gc=False, rename={"access_key_id": "accessKeyId", "account_id": "accountId", "user_name": "userName"}
):
    type: str = ""
    arn: str = ""
    access_key_id: str = ""
    user_name: str = ""
    account_id: str = ""

    @property
    def name(self) -> str:
        """Username as LookupEvents has it: a user's name, a session's, root."""
        if self.type == "Root":
            return "root"
        return self.user_name or self.arn.rpartition("/")[2]


class Seen(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "event_id": "eventID",
        "event_time": "eventTime",
        "event_name": "eventName",
        "event_source": "eventSource",
        "read_only": "readOnly",
        "identity": "userIdentity",
        "region": "awsRegion",
        "recipient": "recipientAccountId",
        "error_code": "errorCode",
        "source_ip": "sourceIPAddress",
    },
):
    """What of a record is asked about."""

    event_id: str
    event_time: str
    event_name: str
    event_source: str
    read_only: bool
    identity: SeenIdentity
    region: str
    recipient: str
    source_ip: str = ""
    error_code: str = ""
    resources: tuple[SeenResource, ...] = ()


class Query(msgspec.Struct, frozen=True):
    """`needles` are bytes that every record wanted has in it, the first of them what few others have; `holds` is asked of those
    that have them all. Times in seconds, both ends included."""

    needles: tuple[bytes, ...] = ()
    holds: Callable[[Seen], bool] = lambda seen: True
    since: float = 0.0
    until: float = float("inf")


class Place(NamedTuple):
    """Everything before this byte of this file is yet to be looked at."""

    number: int
    offset: int


class Match(NamedTuple):
    seen: Seen
    line: bytes
    place: Place


class Page(NamedTuple):
    matches: tuple[Match, ...]
    #: None at the beginning of the log
    more: Place | None


_read = msgspec.json.Decoder(Seen).decode


class Reader:
    """Remembers what it unpacked last: the next page is often of the same file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._unpacked: OrderedDict[int, bytes] = OrderedDict()

    def look_up(
        self, closed: tuple[Closed, ...], growing: tuple[Growing, ...], query: Query, limit: int, begin: Place | None = None
    ) -> Page:
        """Up to `limit` matches before `begin`, newest first. Raises OSError where a file cannot be read."""
        matches: list[Match] = []
        budget = MOST_LOOKED_AT
        for number, content in self._files(closed, growing, query, begin):
            end = len(content) if begin is None or number < begin.number else min(begin.offset, len(content))
            stop = max(0, end - budget)
            for match in _matches(content, number, end, stop, query):
                matches.append(match)
                if len(matches) == limit:
                    return Page(tuple(matches), match.place)
            if budget <= end - stop:
                return Page(tuple(matches), Place(number, _reached(content, stop, end, is_first=budget == MOST_LOOKED_AT)))
            budget -= end - stop
        return Page(tuple(matches), None)

    def _files(
        self, closed: tuple[Closed, ...], growing: tuple[Growing, ...], query: Query, begin: Place | None
    ) -> Iterator[tuple[int, bytes]]:
        known = {one.number for one in closed}
        for one in reversed(growing):
            number = number_of(one.file)
            if number is None or number in known or (begin is not None and number > begin.number):
                continue
            yield number, self._open_file(one)
        for file in reversed(closed):
            if begin is not None and (file.number > begin.number or (file.number == begin.number and begin.offset == 0)):
                continue
            if file.newest >= query.since and file.oldest <= query.until:
                yield file.number, self._closed_file(file)

    def _open_file(self, one: Growing) -> bytes:
        try:
            with (self._directory / one.file).open("rb") as file:
                return file.read(one.length)
        except FileNotFoundError:  # closed meanwhile
            number = number_of(one.file)
            assert number is not None
            return self._closed_file(Closed(number, self._directory / f"{one.file}.gz", 0.0, 0.0, 0, 0.0))

    def _closed_file(self, file: Closed) -> bytes:
        content = self._unpacked.get(file.number)
        if content is None:
            try:
                content = gzip.decompress(file.path.read_bytes())
            except FileNotFoundError:  # its time has come, or somebody took it away: verify says which
                return b""
            except (OSError, EOFError, zlib.error):
                return b""
            self._unpacked[file.number] = content
            if len(self._unpacked) > _MOST_REMEMBERED:
                self._unpacked.popitem(last=False)
        return content


def _reached(content: bytes, stop: int, end: int, *, is_first: bool) -> int:
    """Where the line ends that `stop` cuts. If it is the last one, it is left to the next page, which has more room for it; one that is
    longer than all that is looked at (none is) is passed over."""
    reached = content.find(b"\n", stop - 1) + 1 if stop else 0
    if reached < end or not is_first:
        return min(reached, end)
    return content.rfind(b"\n", 0, end - 1) + 1


def _matches(content: bytes, number: int, end: int, stop: int, query: Query) -> Iterator[Match]:
    """Of the lines that end before `end` and begin at `stop` or later (the one that `stop` cuts is not among them)."""
    for begin, finish in _lines(content, query.needles[0] if query.needles else b"\n", end, stop):
        line = content[begin:finish]
        if any(needle not in line for needle in query.needles):
            continue
        try:
            seen = _read(line)
            moment = seconds_of(seen.event_time)
        except (msgspec.MsgspecError, ValueError):
            continue
        if query.since <= moment <= query.until and query.holds(seen):
            yield Match(seen, line, Place(number, begin))


def _lines(content: bytes, needle: bytes, end: int, stop: int) -> Iterator[tuple[int, int]]:
    """Beginning and end of each of them that `needle` is in, the last one first.

    Pieces are taken from the end, but within a piece what is looked for is looked for forwards: that takes a time that goes with the
    piece's length alone, where looking backwards takes that times the needle's, and everything else waits for it.
    """
    first = 0 if not stop else content.find(b"\n", stop - 1) + 1
    if stop and not first:
        return
    bound = content.rfind(b"\n", 0, end) + 1
    while bound > first:
        begin = content.rfind(b"\n", 0, max(first, bound - _PIECE)) + 1
        begin = max(first, begin)
        found, at = [], begin
        while (hit := content.find(needle, at, bound)) >= 0:
            line, at = max(begin, content.rfind(b"\n", 0, hit) + 1), content.find(b"\n", hit) + 1
            found.append((line, at - 1))
        yield from reversed(found)
        bound = begin
