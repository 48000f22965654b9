"""What HAProxy writes down, as it comes, for somebody who watches: read from the end of the spool, which nothing is taken from."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from longshore.balancer.access_log import formats
from longshore.balancer.access_log.legend import Legend, decoded
from longshore.balancer.access_log.line import Line, Malformed, parsed
from longshore.balancer.render.access_log import HOST, REQUEST, USER_AGENT
from longshore.balancer.render.places import Places
from longshore.kit.clock import Clock

_POLL_S = 0.1
_PIECE_BYTES = 1 << 20
#: of one look; who watches more than that sees that there was more
_MOST_LINES = 500


class Seen(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One request."""

    #: microseconds precision, as in access logs
    time: str
    client: str
    method: str
    host: str
    path: str
    status: str
    target_status: str = "-"
    ms: int = -1
    target: str = "-"
    target_group: str = ""
    rule: str = "-"
    actions: str = "-"
    user_agent: str = ""
    #: requests that were left out before this one, since there were too many to show
    skipped: int = 0


async def watched(places: Places, arn: str, clock: Clock) -> AsyncIterator[Seen]:
    """Requests of the load balancer `arn` from now on, until the iteration is closed."""
    spool, legends = _End(Path(places.spool)), _Legends(places, arn)
    try:
        while True:
            skipped, shown = 0, 0
            for raw in spool.lines():
                seen = _seen(raw, legends)
                if seen is not None and shown < _MOST_LINES:
                    shown += 1
                    yield msgspec.structs.replace(seen, skipped=skipped) if skipped else seen
                elif seen is not None:
                    skipped += 1
            await clock.sleep(_POLL_S)
    finally:
        spool.close()


class _End:
    """The end of a file that grows, and that another may take the place of."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._position = -1
        self._rest = b""

    def lines(self) -> list[bytes]:
        if self._descriptor < 0 or self._has_moved():
            is_first = self._position < 0
            self.close()
            with contextlib.suppress(OSError):
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            if self._descriptor < 0:
                return []
            self._position = os.fstat(self._descriptor).st_size if is_first else 0
        end = os.fstat(self._descriptor).st_size
        # Of what has come faster than it can be looked at, the newest counts.
        if end - self._position > _PIECE_BYTES:
            self._position, self._rest = end - _PIECE_BYTES, b""
        piece = os.pread(self._descriptor, _PIECE_BYTES, self._position)
        self._position += len(piece)
        *whole, self._rest = (self._rest + piece).split(b"\n")
        return whole

    def _has_moved(self) -> bool:
        try:
            return os.stat(self._path).st_ino != os.fstat(self._descriptor).st_ino
        except OSError:
            return False

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._rest = -1, b""


class _Legends:
    """Those of one load balancer; None for all others."""

    def __init__(self, places: Places, arn: str) -> None:
        self._places = places
        self._arn = arn
        self._known: dict[str, Legend | None] = {}

    def get(self, mark: str) -> Legend | None:
        if mark not in self._known:
            self._known[mark] = None
            with contextlib.suppress(OSError, msgspec.DecodeError):
                legend = decoded(Path(self._places.legend(mark)).read_bytes()) if mark.isalnum() else None
                self._known[mark] = legend if legend is not None and legend.load_balancer_arn == self._arn else None
        return self._known[mark]


def _seen(raw: bytes, legends: _Legends) -> Seen | None:
    kind, _, rest = raw.partition(b"\t")
    legend = legends.get(rest[:16].decode("ascii", errors="replace")) if kind == f"@{REQUEST}".encode() else None
    if legend is None:
        return None
    try:
        line = parsed(raw)
    except Malformed:
        return None
    return seen_of(line, legend) if line is not None else None


def seen_of(line: Line, legend: Legend) -> Seen:
    method, url, _ = (*formats.request_text(line, legend).split(b" ", 2), b"", b"")[:3]
    path = b"/" + url.partition(b"://")[2].partition(b"/")[2]
    group = legend.groups.get(line.backend.removesuffix(".open"))
    return Seen(
        time=formats.moment(line.ended_us - 1000 * max(line.total_ms, 0)),
        client=f"{line.client}:{line.client_port}",
        method=formats.word(method),
        host=formats.word(line.capture(HOST)),
        path=formats.word(path),
        status="460" if line.left_early else str(line.status) if line.status > 0 else "-",
        target_status=str(line.status) if line.is_of_target else "-",
        ms=line.total_ms,
        target=f"{line.target}:{line.target_port}" if line.has_target else "-",
        target_group=group.arn if group else "",
        rule=line.priority or "-",
        actions=formats.actions_executed(line, legend),
        user_agent=formats.word(line.capture(USER_AGENT)),
    )
