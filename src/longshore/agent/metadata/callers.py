"""Who asks: which container, if any, is at the other end of a connection that reached this machine.

Knowing an id is not enough to be given anything: whoever asks must be of the task that the id is of. A container with an address of its
own is known by it. One that shares the machine's network is known by its process: the kernel's table of connections names the
socket, /proc names who holds it, and the control group of that process names its container. All of it is looked up anew each time,
because addresses pass from one container to the next; what is remembered only says where to look first.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import struct
from pathlib import Path
from typing import NamedTuple

from longshore.runtime.base import ContainerState, NoSuchContainer, Runtime

_PROC = Path("/proc")
#: what a caller was connected to before the rules of ecs-init led it to a port of an agent
_REDIRECTED_DOOR = ("169.254.170.2", 80)
_CONTAINER = re.compile(r"(?:^|[/-])([0-9a-f]{64})(?:\.scope)?(?:/|$)")
_MOST_REMEMBERED = 1024


class Peer(NamedTuple):
    """The other end of a connection, and which of our addresses it came to: sockets with different doors may share a port."""

    address: str
    port: int
    door: tuple[str, int]


class Caller(NamedTuple):
    """`container` is None for a process of the machine itself; then `user_id` is its user, or None when nobody could be found."""

    container: ContainerState | None
    user_id: int | None = None

    @property
    def key(self) -> str:
        return self.container.id if self.container is not None else f"uid:{self.user_id}"


class Callers:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        #: address -> id of the container that had it last
        self._remembered: dict[str, str] = {}

    async def find(self, peer: Peer) -> Caller:
        """Raises RuntimeFailure when the engine does not tell."""
        state = await self._at(peer.address)
        if state is not None:
            return Caller(state)
        owners = await asyncio.to_thread(owners_of, peer)
        containers = {owner.container_id for owner in owners}
        if len(containers) != 1:
            return Caller(None, None)  # nobody, or a socket that several hold who do not belong together
        (container_id,) = containers
        if not container_id:
            return Caller(None, max(owner.user_id for owner in owners))
        return Caller(await self._running(container_id))

    async def _at(self, address: str) -> ContainerState | None:
        known = self._remembered.get(address)
        if known is not None:
            state = await self._running(known)
            if state is not None and state.ip_address == address:
                return state
            del self._remembered[address]
        state = await self._runtime.at_address(address)
        if state is not None:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[address] = state.id
        return state

    async def _running(self, container_id: str) -> ContainerState | None:
        try:
            state = await self._runtime.inspect(container_id)
        except NoSuchContainer:
            return None
        return state if state.is_running else None


class Owner(NamedTuple):
    """A process that holds a socket; `container_id` is empty for one of the machine itself."""

    user_id: int
    container_id: str


def owners_of(peer: Peer, proc: Path = _PROC) -> list[Owner]:
    """Of the socket in the machine's own network whose own end is `peer`; those of /proc alone that this process may see."""
    inode = _inode(peer, proc)
    if inode is None:
        return []
    wanted, owners = f"socket:[{inode}]", []
    for process in proc.iterdir():
        if process.name.isdigit() and _holds(process, wanted):
            try:
                owners.append(Owner(process.stat().st_uid, container_of((process / "cgroup").read_text())))
            except OSError:
                continue  # it has just ended
    return owners


def container_of(cgroup: str) -> str:
    """The container whose control groups these are, by /proc/PID/cgroup; the outermost, which is the engine's own."""
    for line in cgroup.splitlines():
        found = _CONTAINER.search(line.split(":", 2)[-1])
        if found is not None:
            return found[1]
    return ""


def _inode(peer: Peer, proc: Path) -> int | None:
    """None, too, where several sockets fit: then nobody can tell which of them it is."""
    found: set[int] = set()
    for table in ("tcp", "tcp6"):
        own = _in_table(peer.address, peer.port, table)
        doors = {_in_table(*door, table) for door in (peer.door, _REDIRECTED_DOOR)}
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            # local address, remote address, state (01: established), …, inode
            if len(columns) > 9 and columns[1] == own and columns[2] in doors and columns[3] == "01":
                found.add(int(columns[9]))
    return found.pop() if len(found) == 1 else None


def _in_table(host: str, port: int, table: str) -> str:
    """An address as the kernel writes it: 32-bit words in the machine's byte order; empty where it cannot stand in that table."""
    address = ipaddress.ip_address(host)
    if table == "tcp":
        return f"{_words(address.packed)}:{port:04X}" if address.version == 4 else ""
    packed = address.packed if address.version == 6 else ipaddress.ip_address(f"::ffff:{host}").packed
    return f"{_words(packed)}:{port:04X}"


def _words(packed: bytes) -> str:
    return "".join(f"{word:08X}" for (word,) in struct.iter_unpack("=I", packed))


def _holds(process: Path, wanted: str) -> bool:
    try:
        with os.scandir(process / "fd") as descriptors:
            return any(_target(entry.path) == wanted for entry in descriptors)
    except OSError:
        return False


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
