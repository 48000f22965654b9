"""Addresses by which containers reach load balancers: one of each on the machine's loopback interface, link-local ones.

127.0.2.N is the machine's alone: in a container it is the container. Packets to 169.254.171.N leave a container by its default route,
come in on its bridge and find the address here, as those to the agent's do (agent/metadata/entrance.py). Only the superuser may put
addresses there; without, load balancers listen for the machine alone, and their state says so.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
from collections.abc import Iterable
from ipaddress import IPv4Address
from pathlib import Path

from msgspec.structs import replace

from longshore.balancer.snapshot import Snapshot
from longshore.balancer.words import address_of

log = logging.getLogger("longshore.balancer")


def linked(snapshot: Snapshot, network: str) -> Snapshot:
    """With each load balancer's address for containers."""
    if not network:
        return snapshot
    fronts = (replace(front, link=address_of(front.load_balancer.slot, network)) for front in snapshot.fronts)
    return replace(snapshot, fronts=tuple(fronts))


class Links:
    """`mine` is a file that remembers which addresses this installation uses: others are none of its business."""

    def __init__(self, network: str, mine: Path) -> None:
        #: what the addresses begin with; "" where there are to be none
        self.network = network
        self._mine = mine
        self._known: set[str] = set()

    async def keep(self, wanted: Iterable[str]) -> None:
        """Just these of this installation's addresses are there from now on, as far as that is possible."""
        if not self.network or os.geteuid() != 0:
            return
        wanted = set(wanted)
        there, mine = await _addresses(), self._read()
        for address in sorted(wanted):
            if address in there or await _ip("addr", "add", f"{address}/32", "dev", "lo"):
                mine.add(address)
        for address in sorted(mine - wanted):
            # HAProxy may not have let go of it yet, and another installation on this machine may use it: later, then
            if not is_listened_on(address) and (address not in there or await _ip("addr", "del", f"{address}/32", "dev", "lo")):
                mine.discard(address)
        self._write(mine)

    async def drop(self) -> None:
        await self.keep(())

    def _read(self) -> set[str]:
        try:
            return set(self._mine.read_text().split())
        except OSError:
            return set()

    def _write(self, mine: set[str]) -> None:
        if mine == self._known:
            return
        try:
            self._mine.write_text("".join(f"{address}\n" for address in sorted(mine)))
            self._known = mine
        except OSError as error:
            log.error("which addresses are this installation's could not be written down: %s", error)


def is_listened_on(address: str, table: Path = Path("/proc/net/tcp")) -> bool:
    """Whether any socket of this machine listens at the address."""
    wanted = f"{int.from_bytes(IPv4Address(address).packed, sys.byteorder):08X}:"
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return False
    return any(len(words := line.split()) > 3 and words[1].startswith(wanted) and words[3] == "0A" for line in lines)


async def _addresses() -> set[str]:
    """What is on the loopback interface."""
    try:
        process = await asyncio.create_subprocess_exec(
            "ip", "-4", "-o", "addr", "show", "dev", "lo", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return set()
    said, _ = await process.communicate()
    return set(re.findall(r"inet ([0-9.]+)", said.decode(errors="replace")))


async def _ip(*arguments: str) -> bool:
    """Whether `ip` did it; False also where there is none."""
    try:
        process = await asyncio.create_subprocess_exec(
            "ip", *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return False
    return await process.wait() == 0
