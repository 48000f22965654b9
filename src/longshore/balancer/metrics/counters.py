"""HAProxy's counters (`show stat`, in CSV), and what was counted between two looks at them. Pure.

A worker's counters begin at zero, so each is compared with what the same worker said before, by its process id; what one that is new
says has all been counted since. They are kept per proxy and, of a backend's servers, per zone: servers come and go, zones stay.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping

import msgspec

#: of a row: what only grows
COUNTERS = (
    *("stot", "bin", "bout", "dcon", "dses", "dreq", "ereq", "econ", "eresp", "wretr", "cli_abrt", "srv_abrt"),
    *("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "req_tot", "conn_tot", "connect", "ssl_failed_handshake"),
)
#: of a row: what goes up and down
GAUGES = ("scur", "qcur", "rtime", "used_conn_cur", "idle_conn_cur")

Counts = dict[str, int]


class Place(msgspec.Struct, frozen=True, gc=False):
    """What counts belong to: a frontend or backend as such, or a backend's servers in one zone."""

    proxy: str
    #: FRONTEND, BACKEND or SERVERS
    side: str
    zone: str = ""


class Row(msgspec.Struct, frozen=True, gc=False):
    proxy: str
    #: FRONTEND, BACKEND, or a server's name
    name: str
    counters: tuple[int, ...]
    gauges: tuple[int, ...]


def rows_in(answer: str) -> list[Row]:
    """Raises ValueError for what is no table of HAProxy's."""
    lines = csv.reader(answer.removeprefix("# ").splitlines())
    header = {name: number for number, name in enumerate(next(lines, []))}
    if "pxname" not in header:
        raise ValueError(answer[:100])
    counters = [header.get(name) for name in COUNTERS]
    gauges = [header.get(name) for name in GAUGES]
    return [Row(row[0], row[1], _numbers(row, counters), _numbers(row, gauges)) for row in lines if len(row) > 2]


def _numbers(row: list[str], columns: Iterable[int | None]) -> tuple[int, ...]:
    # There are columns that rows of some kind leave empty, and that other versions lack.
    return tuple(int(row[column] or 0) if column is not None and column < len(row) else 0 for column in columns)


class Counting:
    """What has been counted since it was asked last."""

    def __init__(self) -> None:
        #: worker -> (proxy, name) -> counters
        self._before: dict[int, dict[tuple[str, str], tuple[int, ...]]] = {}

    def look(self, workers: Mapping[int, Iterable[Row]], place: Callable[[Row], Place]) -> dict[Place, Counts]:
        """`workers` are those that answered; one that did not is over, or answers the next time."""
        found: dict[Place, Counts] = {}
        for worker, rows in workers.items():
            before = self._before.get(worker, {})
            # Servers that are gone are forgotten: a worker that serves for months sees many.
            counted = self._before[worker] = {}
            for row in rows:
                known = before.get((row.proxy, row.name))
                counted[(row.proxy, row.name)] = row.counters
                # A server that was deleted and added again begins at zero, too.
                if known is None or any(now < then for now, then in zip(row.counters, known, strict=True)):
                    known = (0,) * len(row.counters)
                if row.counters != known:
                    counts = found.setdefault(place(row), {})
                    for name, now, then in zip(COUNTERS, row.counters, known, strict=True):
                        if now != then:
                            counts[name] = counts.get(name, 0) + now - then
        return found

    def begin_at(self, workers: Mapping[int, Iterable[Row]]) -> None:
        """What was counted before somebody looked at all is not told of any minute."""
        for worker, rows in workers.items():
            self._before[worker] = {(row.proxy, row.name): row.counters for row in rows}

    def forget_all_but(self, workers: Iterable[int]) -> None:
        kept = set(workers)
        self._before = {worker: rows for worker, rows in self._before.items() if worker in kept}


def added(into: dict[Place, Counts], further: Mapping[Place, Counts]) -> None:
    for place, counts in further.items():
        known = into.setdefault(place, {})
        for name, count in counts.items():
            known[name] = known.get(name, 0) + count
