"""Host ports for ranges of container ports: a run of free ports on the instance's own address.

Single ports are left to the engine, which takes a free one by itself, each time the next: it comes back to one only after all
others. It has no notion of a run of them, so runs are chosen here, and in the same manner: always further on, and what a task had
that has ended rests for a while. A load balancer may not have heard of that end yet, and would send the next task there what was
meant for the one before. When nothing else is left, what rests is given all the same: the platform, which knows who is still on
the way to a port, then waits before it lets anybody reach its new task.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping

from longshore.agent import messages
from longshore.agent.acceptance import range_of

#: what the engine itself chooses from, below the kernel's usual range for connections of its own
FIRST, LAST = 49153, 65535
#: as long as a target group may take to let go of a target
REST_S = 3600.0


class NoFreePorts(Exception):
    """No run of free ports is long enough."""


class Ports:
    """The host ports that ranges of one instance's tasks have, or had until not long ago."""

    def __init__(self, first: int = FIRST, last: int = LAST) -> None:
        self._first, self._last = first, last
        self._taken: set[int] = set()
        #: port → when the task that had it ended, in seconds since the epoch
        self._resting: dict[int, float] = {}
        self._next = first

    def __repr__(self) -> str:
        return f"Ports({len(self._taken)} taken, {len(self._resting)} resting, next {self._next})"

    def take(self, ports: Iterable[int]) -> None:
        for port in ports:
            self._taken.add(port)
            self._resting.pop(port, None)

    def rest(self, ports: Iterable[int], since: float) -> None:
        """Their task has ended."""
        for port in ports:
            self._taken.discard(port)
            self._resting[port] = since

    def choose(self, container: messages.Container, address: str, now: float) -> dict[str, int]:
        """The first host port for each range of the container; they are taken from now on. Raises NoFreePorts."""
        chosen: dict[str, int] = {}
        for mapping in container.port_mappings or ():
            if not mapping.container_port_range:
                continue
            length = length_of(mapping.container_port_range)
            start = self._free_run(length, address, mapping.protocol or "tcp", now)
            self.take(range(start, start + length))
            self._next = start + length
            chosen[mapping.container_port_range] = start
        return chosen

    def _free_run(self, length: int, address: str, protocol: str, now: float) -> int:
        self._resting = {port: since for port, since in self._resting.items() if since + REST_S > now}

        def is_rested(port: int) -> bool:
            return port not in self._taken and port not in self._resting and _is_free(port, address, protocol)

        def is_free(port: int) -> bool:
            return port not in self._taken and _is_free(port, address, protocol)

        for is_good in (is_rested, is_free):
            for first in (self._next, self._first):
                start = _run(length, first, self._last, is_good)
                if start is not None:
                    return start
        raise NoFreePorts(f"no {length} free {protocol} ports in a row on {address}")


def ports_of(host_ranges: Mapping[str, Mapping[str, int]]) -> Iterator[int]:
    """Every host port of a task. `host_ranges`: container → range of its ports → first host port."""
    for ranges in host_ranges.values():
        for span, start in ranges.items():
            yield from range(start, start + length_of(span))


def length_of(span: str) -> int:
    """How many ports a range such as `8000-8010` has."""
    first, last = range_of(span)
    return last - first + 1


def _run(length: int, start: int, last: int, is_good: Callable[[int], bool]) -> int | None:
    """Where the first run of good ports begins, from `start` on and up to `last`."""
    while start + length - 1 <= last:
        bad = next((port for port in range(start, start + length) if not is_good(port)), None)
        if bad is None:
            return start
        start = bad + 1
    return None


def _is_free(port: int, address: str, protocol: str) -> bool:
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
