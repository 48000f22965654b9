"""The process that follows the spool: `python -m longshore.balancer.access_log.reader SPOOL LEGENDS STATE BUCKETS LOG`.

It is as nice as can be: while every processor is busy with requests, it lags behind, and the spool grows. It reads what has come,
whole pieces at a time, and every five minutes (or when there is much) finishes its files. Where it is killed, the next one begins
at the last checkpoint; what was killed had finished nothing since. It ends when whoever started it does, files finished.

Where logs cannot be written, or cannot be written fast enough, lines wait in the spool, as many as there is room for: then the oldest
are left out, and counted as lost. A log is not worth the disk that the platform's store is on.

Minutes that are over go to `STATE/told/` as small files for whoever keeps metrics.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

import msgspec

from longshore.balancer.access_log import formats
from longshore.balancer.access_log.files import LogFiles, move
from longshore.balancer.access_log.legend import Legend, decoded
from longshore.balancer.access_log.line import Line, Malformed, parsed
from longshore.balancer.access_log.spool import Checkpoint, Spool
from longshore.balancer.access_log.tally import Counting, Tally
from longshore.balancer.render.access_log import FAILED, REQUEST
from longshore.kit.logs import log_to_stderr
from longshore.store.metrics import minute_of

log = logging.getLogger("longshore.access_log")

_POLL_S = 0.5
_AGAIN_S = 5.0
_PIECE_BYTES = 8 << 20
#: raw lines after which files are finished before their time
_MOST_BYTES = 256 << 20
#: minutes are told so long after their end: lines of several workers do not come quite in order
_GRACE_S = 5
_OLD_LEGEND_S = 7 * 86_400


class Reader:
    def __init__(self, spool: Path, legends: Path, state: Path, buckets: Path) -> None:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._told = state / "told"
        self._told.mkdir(exist_ok=True, mode=0o700)
        self._legends_at = legends
        self._spool = Spool(spool, state / "checkpoint.json")
        self._files = LogFiles(state / "unfinished", buckets)
        self._counting = Counting()
        self._legends: dict[str, Legend | None] = {}
        self._checkpoint = Checkpoint()

    def open(self) -> None:
        """Goes on where the one before came to. Raises OSError."""
        self._checkpoint = Checkpoint()
        self._checkpoint = self._spool.open()
        move(self._checkpoint.moves)
        self._files.forget()
        self._counting = Counting()
        self._counting.go_on_from(self._checkpoint.numbers)
        own = f"{self._checkpoint.spool}."
        told = [int(path.name.removeprefix(own).removesuffix(".json")) for path in self._told.glob(f"{own}*.json")]
        counted = max([self._checkpoint.counted, *told])
        self._checkpoint = msgspec.structs.replace(self._checkpoint, counted=counted)

    def step(self, now: float) -> int:
        """Deals with what has come; returns how many bytes that were. Raises OSError."""
        begun = self._spool.position
        for position, raw in self._spool.lines(_PIECE_BYTES):
            self._take(position, raw, now)
        read = self._spool.position - begun
        self._tell(now)
        if self._files.is_due(now) or self._spool.position - self._checkpoint.position > _MOST_BYTES:
            self.finish(now)
        return read

    def finish(self, now: float) -> None:
        """Everything that was read is where it belongs. Raises OSError."""
        position, spool = self._spool.position, self._checkpoint.spool
        if position == self._checkpoint.position:
            return
        moves = self._files.finished(now, f"{spool}|{self._checkpoint.position}|{position}")
        self._checkpoint = Checkpoint(spool, position, moves, self._checkpoint.counted, self._counting.positions())
        self._spool.save(self._checkpoint)
        move(moves)
        self._spool.give_back(position)
        self._forget_legends(now)

    def keep_bounded(self, now: float) -> None:
        """Leaves out the oldest lines when more wait than there is room for; the numbers of those that follow tell how many they were.

        Raises OSError. May be called when `open` has failed, too.
        """
        while self._checkpoint.spool and self._spool.waiting() > (room := self._spool.room()):
            self.finish(now)
            left_out = self._spool.leave_out(0 if self._spool.is_followed else room // 2)
            log.error("%d bytes of lines are left out: there is no more room for what waits", left_out)
            self._checkpoint = msgspec.structs.replace(self._checkpoint, position=self._spool.position)
            self._spool.save(self._checkpoint)
            if not self._spool.is_followed:
                self._spool.give_back(self._spool.position)
                break
            self._spool.forget()
            self._checkpoint = self._spool.open()

    def _take(self, position: int, raw: bytes, now: float) -> None:
        is_new = position > self._checkpoint.counted
        try:
            line = parsed(raw)
        except Malformed as problem:
            log.error("a line of %d bytes is not whole: %s", len(raw), problem)
            if is_new:
                self._counting.malformed()
            return
        legend = self._legend(line.mark) if line is not None else None
        if line is None or legend is None:
            return
        self._counting.missing(line, legend, is_new=is_new)
        if is_new:
            self._counting.add(line, legend)
        self._write(line, legend, now)

    def _write(self, line: Line, legend: Legend, now: float) -> None:
        if legend.connection_logs is not None and (line.kind == FAILED or line.is_first):
            self._files.add(legend.connection_logs, legend, "connection", formats.connection_line(line, legend), now)
        if legend.access_logs is None or line.kind == FAILED:
            return
        if legend.type == "classic":
            text = formats.classic_line(line, legend)
        elif line.kind == REQUEST:
            text = formats.application_line(line, legend)
        elif legend.is_tls:
            text = formats.network_line(line, legend)
        else:
            return  # of TCP listeners, network load balancers log nothing
        self._files.add(legend.access_logs, legend, "access", text, now)

    def _legend(self, mark: str) -> Legend | None:
        if mark not in self._legends:
            self._legends[mark] = None
            if len(mark) == 16 and mark.isalnum():
                try:
                    self._legends[mark] = decoded((self._legends_at / f"{mark}.json").read_bytes())
                except (OSError, msgspec.DecodeError) as problem:
                    log.error("lines of %s cannot be told: %s", mark, problem)
        return self._legends[mark]

    def _tell(self, now: float) -> None:
        tally = self._counting.taken(minute_of(now - _GRACE_S))
        if tally != Tally():
            position = self._spool.position
            # What has come since the minute ended goes with it: whoever begins again at the checkpoint leaves out all before.
            rest = self._counting.taken(sys.maxsize)
            tally = Tally([*tally.told, *rest.told], tally.lost, tally.malformed)
            if tally.lost:
                log.error("%d lines of HAProxy's were lost", tally.lost)
            to = self._told / f"{self._checkpoint.spool}.{position}.json"
            beside = self._told / ".beside"
            beside.write_bytes(msgspec.json.encode(tally))
            beside.replace(to)
            self._checkpoint = msgspec.structs.replace(self._checkpoint, counted=position)

    def tell_all(self) -> None:
        """Minutes that are not over, too: the reader ends. Raises OSError."""
        self._tell(sys.maxsize)

    def _forget_legends(self, now: float) -> None:
        for path in self._legends_at.glob("*.json"):
            with contextlib.suppress(OSError):
                if now - path.stat().st_mtime > _OLD_LEGEND_S and path.stem not in self._config():
                    path.unlink()

    def _config(self) -> str:
        try:
            return (self._spool.path.parent / "haproxy.cfg").read_text(errors="replace")
        except OSError:
            return ""

    def next(self, now: float) -> None:
        """Where nothing more can come to this spool, goes on with the next. Raises OSError."""
        if self._spool.is_over() and not self.step(now):
            self.finish(now)
            self._tell(sys.maxsize)
            self._spool.forget()
            self.open()


def follow(reader: Reader, over: threading.Event) -> None:
    """Until `over` is set, then once more to the end."""
    is_open = False
    while not over.is_set():
        try:
            if not is_open:
                reader.open()
                is_open = True
            reader.keep_bounded(time.time())
            if not reader.step(time.time()):
                reader.next(time.time())
                over.wait(_POLL_S)
        except OSError as problem:
            # No room, for instance: everything is still in the spool, as far as there is room for it.
            log.error("logs cannot be written: %s; they are tried again", problem)
            is_open = False
            with contextlib.suppress(OSError):
                reader.keep_bounded(time.time())
            over.wait(_AGAIN_S)
    try:
        if not is_open:
            reader.open()
        while reader.step(time.time()):
            pass
        reader.tell_all()
        reader.finish(time.time())
    except OSError as problem:
        log.error("logs cannot be written: %s; whoever comes next goes on at the last checkpoint", problem)


def main(arguments: list[str]) -> int:
    spool, legends, state, buckets, *log_file = (Path(argument) for argument in arguments)
    log_to_stderr("info", log_file[0] if log_file else None)
    os.nice(19)
    reader = Reader(spool, legends, state, buckets)
    lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)  # one that still ends goes first
    over = threading.Event()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, lambda *_: over.set())
    threading.Thread(target=_until_closed, args=(over,), daemon=True).start()
    follow(reader, over)
    return 0


def _until_closed(over: threading.Event) -> None:
    """Standard input is closed when whoever started us is gone, however that came about."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    over.set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
