"""The range of addresses that an instance's tasks get theirs from, and the network behind it.

The range is told at registration and the platform chooses addresses in it; the network is made when the first task needs it. Which
range follows from the instance's id, so that a restart finds the same one, and from what the machine uses already: a range is taken
only where neither a route of the machine nor another network of the engine is.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterable
from ipaddress import IPv4Network
from pathlib import Path

from longshore.agent.sharing import network_name
from longshore.runtime.base import InUse, Runtime, RuntimeFailure

log = logging.getLogger("longshore.agent")

#: addresses that no provider gives out and few local networks use
POOL = IPv4Network("10.192.0.0/11")
PREFIX = 24
#: of the range, nobody's: as in a subnet of EC2
RESERVED = 5
_ROUTES = Path("/proc/net/route")
LABEL = "longshore.instance"


class TaskNetwork:
    def __init__(self, runtime: Runtime, instance_id: str, wished: str = "") -> None:
        """`wished`: a range of the owner's choice."""
        self._runtime = runtime
        self._instance_id = instance_id
        self._wished = wished
        self._making = asyncio.Lock()
        self._made = False
        self.range = ""

    async def choose(self) -> str:
        """The range, as a.b.c.0/24; "" where none is free. Raises RuntimeFailure."""
        subnets = await self._runtime.subnets()
        own = subnets.pop(network_name(self._instance_id), ())
        taken = [*_networks(each for ranges in subnets.values() for each in ranges), *routes(_ROUTES)]
        self.range = own[0] if own else self._wished or free_range(self._instance_id, taken)
        if not self.range:
            log.warning("no range of addresses is free for tasks: the network mode awsvpc is not offered")
        return self.range

    @property
    def places(self) -> int:
        """Tasks with an address of their own that fit here at once."""
        return max(0, IPv4Network(self.range).num_addresses - RESERVED) if self.range else 0

    @property
    def _is_pooled(self) -> bool:
        """The ranges of a machine reach each other where they are of one pool."""
        return bool(self.range) and IPv4Network(self.range).subnet_of(POOL)

    async def make(self) -> None:
        """Raises RuntimeFailure."""
        async with self._making:
            if not self._made:
                await self._runtime.create_network(network_name(self._instance_id), self.range, {LABEL: self._instance_id})
                self._made = True
                if self._is_pooled and not await self._runtime.let_cross(str(POOL), allowed=True):
                    log.warning("tasks of other container instances on this machine cannot reach each other: iptables cannot be used")

    def engine_is_back(self) -> None:
        """Another process, or somebody else, may have removed the network."""
        self._made = False

    async def remove(self) -> None:
        """When nothing uses it; nothing happens when it is gone already."""
        self._made = False
        try:
            await self._runtime.remove_network(network_name(self._instance_id))
            if self._is_pooled and not any(name.startswith(network_name("i-")) for name in await self._runtime.subnets()):
                await self._runtime.let_cross(str(POOL), allowed=False)
        except InUse as error:
            log.info("the network of the tasks stays: %s", error)
        except RuntimeFailure as error:
            log.warning("the network of the tasks is left behind: %s", error)


def free_range(instance_id: str, taken: Iterable[IPv4Network]) -> str:
    """The first free one from where the instance's id says to begin; "" when there is none."""
    busy = [network for network in taken if network.overlaps(POOL)]
    count = 2 ** (PREFIX - POOL.prefixlen)
    start = int.from_bytes(hashlib.sha256(instance_id.encode()).digest()[:8], "big") % count
    size = 2 ** (32 - PREFIX)
    for step in range(count):
        candidate = IPv4Network((int(POOL.network_address) + (start + step) % count * size, PREFIX))
        if not any(candidate.overlaps(network) for network in busy):
            return str(candidate)
    return ""


def routes(table: Path) -> list[IPv4Network]:
    """Where the machine's own routes lead, but for the default route."""
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []
    found = []
    for line in lines:
        fields = line.split()
        if len(fields) > 7:
            destination, mask = (int.from_bytes(bytes.fromhex(fields[column]), "little") for column in (1, 7))
            length = bin(mask).count("1")
            if length:
                found.append(IPv4Network((destination & mask, length), strict=False))
    return found


def _networks(texts: Iterable[str]) -> list[IPv4Network]:
    found = []
    for text in texts:
        try:
            found.append(IPv4Network(text))
        except ValueError:
            continue  # IPv6
    return found
