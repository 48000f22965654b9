"""What a worker has remembered of applications' cookies, carried over to the one that takes its place.

HAProxy would tell the next worker itself by way of a port of its own, where anybody on the machine could tell it as well. So the
table is read before a reload, and written again after it: by the servers' addresses, since numbers are given anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from longshore.balancer.runtime import Runtime

#: what one reload carries over of each table, the latest first: more would hold it up
MOST_KEYS = 5000
_ROW = re.compile(r"^0x[0-9a-f]+: key=([^\s;\\]+) use=\d+ exp=(\d+) server_id=\d+ server_key=(\S+:\d+)$", re.MULTILINE)


class Remembered(msgspec.Struct, frozen=True):
    key: str
    #: ADDRESS:PORT
    address: str
    expires_ms: int


def rows_in(answer: str) -> list[Remembered]:
    """Of `show table`, those that can be said again, the latest first, and no more than are carried over."""
    rows = [Remembered(key, address, int(expires)) for key, expires, address in _ROW.findall(answer)]
    return sorted(rows, key=lambda row: -row.expires_ms)[:MOST_KEYS]


async def recall(runtime: Runtime, backends: Iterable[str]) -> dict[str, list[Remembered]]:
    """By backend, what the worker that serves has remembered. Raises RuntimeFailed."""
    return {backend: rows_in(await runtime.command(f"show table {backend}")) for backend in backends}


async def remind(runtime: Runtime, remembered: Mapping[str, list[Remembered]], numbers: Mapping[str, Mapping[str, int]]) -> None:
    """Has another worker remember it; `numbers`: backend -> ADDRESS:PORT -> the server's number there. Raises RuntimeFailed."""
    for backend, rows in remembered.items():
        for row in rows:
            number = numbers.get(backend, {}).get(row.address)
            if number:
                await runtime.command(f"set table {backend} key {row.key} data.server_id {number}")
