"""Host ports for ranges of container ports: a run of free ports on the instance's own address.

Single ports are left to the engine, which takes a free one by itself; it has no notion of a run of them.
"""

from __future__ import annotations

import socket
from collections.abc import Container

from longshore.agent import messages
from longshore.agent.acceptance import range_of

#: what the engine itself chooses from, below the kernel's usual range for connections of its own
FIRST, LAST = 49153, 65535


class NoFreePorts(Exception):
    """No run of free ports is long enough."""


def choose_ranges(container: messages.Container, address: str, taken: set[int]) -> dict[str, int]:
    """The first host port for each range of the container; they are added to `taken`. Raises NoFreePorts."""
    chosen: dict[str, int] = {}
    for mapping in container.port_mappings or ():
        if not mapping.container_port_range:
            continue
        first, last = range_of(mapping.container_port_range)
        start = _free_run(last - first + 1, address, mapping.protocol or "tcp", taken)
        taken.update(range(start, start + last - first + 1))
        chosen[mapping.container_port_range] = start
    return chosen


def _free_run(length: int, address: str, protocol: str, taken: Container[int]) -> int:
    start = FIRST
    while start + length - 1 <= LAST:
        busy = next((port for port in range(start, start + length) if port in taken or not _is_free(port, address, protocol)), None)
        if busy is None:
            return start
        start = busy + 1
    raise NoFreePorts(f"no {length} free {protocol} ports in a row on {address}")


def _is_free(port: int, address: str, protocol: str) -> bool:
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
