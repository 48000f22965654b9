"""The door that all containers of a machine knock at: 169.254.170.2, shared by all agents there.

The machine gets the address: the superuser's agents put it on the loopback interface; others have the engine make a bridge of which
it is the gateway. Packets from containers then come in by the ordinary way, whatever bridge they are on, and no rule of a firewall is
needed. Every agent listens, on the same ports (SO_REUSEPORT), so the kernel gives a connection to any of them; who gets one of
another agent's container hands it over, through that agent's socket in a directory that only their user may enter. None leads, so none
is missed. The last to go takes the address away, unless tasks run on that ask for names there (agent/names).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from longshore.agent.metadata.link import ADDRESS, OTHER_PORT, PLATFORM_PORT, USUAL_PORT
from longshore.agent.names.book import Book
from longshore.kit.clock import Clock
from longshore.runtime.base import Runtime, RuntimeFailure

log = logging.getLogger("longshore.agent")

#: of the bridge that has the address, where an agent may not change the machine's interfaces itself
NETWORK, SUBNET = "longshore-link", "169.254.170.0/24"
_LOOK_S = 15.0


class NoEntrance(Exception):
    """Containers cannot reach this agent; the text says why."""


class Entrance:
    """Opened with `open`: two listening sockets on the machine's side, and the names of two for the other agents."""

    def __init__(self, directory: Path, requests: socket.socket, platform: socket.socket) -> None:
        self._directory = directory
        self.requests = requests
        self.platform = platform
        self.port = int(requests.getsockname()[1])

    def socket_of(self, instance_id: str, what: str) -> Path:
        """Where the agent of an instance takes over; `what` is requests or platform."""
        return self._directory / f"{instance_id}.{what}"

    @classmethod
    async def open(cls, runtime: Runtime, *, user_id: int, directory: Path | None = None) -> Entrance:
        """Raises NoEntrance."""
        where = directory or run_directory(user_id)
        try:
            _prepare(where, user_id)
            with _locked(where):
                await _ensure_address(runtime, where, user_id)
                requests = _requests_socket()
                try:
                    return cls(where, requests, _listening(PLATFORM_PORT))
                except BaseException:
                    requests.close()
                    raise
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "something else, or another user's agent, listens there" if taken else error.strerror or str(error)
            raise NoEntrance(f"{ADDRESS}: {why}") from error
        except RuntimeFailure as error:
            raise NoEntrance(f"{ADDRESS}: the engine makes no network with this address: {error}") from error

    async def keep(self, runtime: Runtime, clock: Clock) -> None:
        """For ever: whoever takes the address away (another program that puts the machine's interfaces in order) is made good."""
        while True:
            await clock.sleep(_LOOK_S)
            try:
                if not _has_address():
                    log.warning("%s is gone from this machine, and is put there again", ADDRESS)
                    await _ensure_address(runtime, self._directory, os.geteuid())
            except (OSError, RuntimeFailure, NoEntrance) as error:
                log.error("containers do not reach this agent: %s", error)

    async def close(self, runtime: Runtime) -> None:
        """Lets go of the door, and takes the address away when nobody else listens there."""
        self.requests.close()
        self.platform.close()
        with contextlib.suppress(OSError, RuntimeFailure), _locked(self._directory):
            last = _nobody_listens(self.port) and not Book(self._directory).pages()
            if last and os.geteuid() == 0 and (self._directory / "address").exists():
                (self._directory / "address").unlink()
                await _ip("addr", "del", f"{ADDRESS}/32", "dev", "lo")
            elif last:
                await runtime.remove_network(NETWORK)


def run_directory(user_id: int) -> Path:
    """Of the agents of one user on this machine."""
    return Path("/run/longshore") if user_id == 0 else Path(f"/tmp/longshore-{user_id}")


def _prepare(directory: Path, user_id: int) -> None:
    """Raises NoEntrance when the directory is not this user's alone: whoever can enter it may speak for any container."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user_id or found.st_mode & 0o077:
        raise NoEntrance(f"{directory} is not a directory of this user's alone")


async def _ensure_address(runtime: Runtime, directory: Path, user_id: int) -> None:
    if _has_address():
        return
    if user_id == 0:
        added = await _ip("addr", "add", f"{ADDRESS}/32", "dev", "lo")
        if _has_address():  # by us, or by another agent at the same moment
            if added:
                (directory / "address").touch()
            return
    await runtime.create_network(NETWORK, SUBNET, {"longshore.link": "true"}, gateway=ADDRESS)
    if not _has_address():
        raise NoEntrance(f"the engine's networks are not on this machine, or not to be reached: none has {ADDRESS}")


def _has_address() -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((ADDRESS, 0))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            return False
    return True


async def _ip(*arguments: str) -> bool:
    """Whether `ip` did it; False also where there is none."""
    try:
        process = await asyncio.create_subprocess_exec(
            "ip", *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return False
    return await process.wait() == 0


def _requests_socket() -> socket.socket:
    try:
        return _listening(USUAL_PORT)
    except PermissionError:
        return _listening(OTHER_PORT)


def _listening(port: int) -> socket.socket:
    made = socket.socket()
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.setblocking(False)
        made.bind((ADDRESS, port))  # who does not listen yet is given no connection
    except BaseException:
        made.close()
        raise
    return made


def _nobody_listens(port: int) -> bool:
    """Whoever does, or is about to, keeps a socket that shares its port with nobody from being bound there. So does a connection that
    has just ended; the address stays then, which harms nobody."""
    with socket.socket() as probe:
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Nobody comes or goes meanwhile: the address is there when sockets are bound to it. Held for a moment only."""
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
