"""The seam to whatever runs containers: Docker Engine, or a fake one in tests and simulations.

Small on purpose: the agent decides, the runtime does one thing at a time and tells what is there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec


class RuntimeFailure(Exception):
    """The engine refused or failed; the text is the engine's own."""


class NoSuchContainer(RuntimeFailure):
    """There is no such container (any more)."""


class NoSuchImage(RuntimeFailure):
    """The image is not there: neither here nor, when it was asked for, in the registry."""


class NotAllowed(RuntimeFailure):
    """The registry wants other credentials."""


class NameTaken(RuntimeFailure):
    """Another container has this name."""


class InUse(RuntimeFailure):
    """An image or a volume that something else still needs."""


class RuntimeUnavailable(RuntimeFailure):
    """The engine does not answer."""


class PublishedPort(msgspec.Struct, frozen=True):
    container_port: int
    host_port: int
    protocol: str
    host_ip: str


class Probe(msgspec.Struct, frozen=True):
    """One run of a health check."""

    at: float
    exit_code: int
    output: str = ""


class ContainerState(msgspec.Struct, frozen=True):
    """What the engine says of one container."""

    id: str
    name: str
    image: str
    image_id: str
    status: str  # created | running | paused | restarting | exited | dead
    labels: dict[str, str]
    created_at: float
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""
    started_at: float | None = None
    finished_at: float | None = None
    health: str = ""  # "" | starting | healthy | unhealthy
    health_output: str = ""
    #: the last few health checks, oldest first
    probes: tuple[Probe, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    ip_address: str = ""

    @property
    def is_running(self) -> bool:
        return self.status in ("running", "paused", "restarting")

    @property
    def has_ended(self) -> bool:
        return self.status in ("exited", "dead")


class RuntimeEvent(msgspec.Struct, frozen=True):
    """Something happened to a container: start, die, oom, health_status, destroy. Events are hints; `inspect` is the truth.

    The first event of every stream is `connected`: from here on nothing is missed, and what happened before may be asked for.
    """

    container_id: str
    action: str
    labels: dict[str, str]
    at: float


class RegistryAuth(msgspec.Struct, frozen=True):
    username: str
    password: str
    server: str

    def __repr__(self) -> str:
        return f"RegistryAuth({self.username}@{self.server})"


class LocalImage(msgspec.Struct, frozen=True):
    """An image the engine holds."""

    id: str
    #: the registry digests it is known by, as repository@sha256:…; none when it was built here
    digests: tuple[str, ...] = ()
    size_bytes: int = 0


class EngineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine can do."""

    #: minor number of the newest version of its API: 41 for 1.41
    api_minor: int = 0
    log_drivers: frozenset[str] = frozenset()
    volume_drivers: frozenset[str] = frozenset()
    #: apparmor, selinux, seccomp …
    security: frozenset[str] = frozenset()
    #: all containers of a task can have one limit together
    limits_groups: bool = False


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a running container has used: since its start, except for memory."""

    #: seconds since the epoch when it was read
    at: float
    cpu_ns: int
    #: logical CPUs of the machine
    cpus: int
    memory_bytes: int
    rx_bytes: int = 0
    tx_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


class Attached(msgspec.Struct, frozen=True, kw_only=True):
    """A container in one network."""

    #: bridge, host, none, or the network's own name
    network: str
    address: str = ""
    prefix_length: int = 0
    gateway: str = ""
    mac_address: str = ""


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    #: of a volume; "" for a path of the host
    name: str = ""
    source: str
    destination: str


class Anatomy(msgspec.Struct, frozen=True, kw_only=True):
    """What a container is made of, beside its state."""

    #: bridge, host, none, container:ID, or a network's name
    network_mode: str = ""
    networks: tuple[Attached, ...] = ()
    mounts: tuple[Mount, ...] = ()
    log_driver: str = ""
    log_options: dict[str, str] = {}


class Chunk(msgspec.Struct, frozen=True):
    """Output of a container or of a command in it. With a terminal all of it is standard output."""

    data: bytes
    is_error: bool = False


class Execution(Protocol):
    """A command that runs in a container. Its methods raise RuntimeFailure when the engine goes away."""

    async def read(self) -> Chunk | None:
        """The next output, waiting for it; None when there is no more."""

    async def write(self, data: bytes) -> None:
        """To its standard input; returns when there is room for more. Nothing happens when it does not listen any more."""

    async def end_input(self) -> None: ...

    async def resize(self, columns: int, rows: int) -> None:
        """Of its terminal; nothing happens without one."""

    async def exit_code(self) -> int | None:
        """After the output's end; None when it runs on."""

    async def close(self) -> None:
        """Ends the command if it still runs, and lets go of it."""


class Runtime(Protocol):
    """Every method raises RuntimeUnavailable when the engine does not answer and RuntimeFailure, or a kind of it, when it refuses."""

    async def version(self) -> str: ...

    async def facts(self) -> EngineFacts: ...

    async def pull(self, image: str, auth: RegistryAuth | None) -> None:
        """Raises NoSuchImage and NotAllowed in the registry's words."""

    async def image(self, image: str) -> LocalImage | None:
        """The local image of that name, id or digest; None when it is not here."""

    async def registry_digest(self, image: str, auth: RegistryAuth | None) -> str:
        """The digest (sha256:…) its registry has for `image` now, without pulling it. Raises as `pull` does."""

    async def remove_image(self, image: str) -> None:
        """Not when anything uses it (InUse); nothing happens when it is gone already."""

    async def load_image(self, image: str, archive: bytes) -> None:
        """An image of that name with the files of a tar archive."""

    async def create(self, name: str, config: Mapping[str, Any]) -> str:
        """Create from a Docker Engine create body ({…Config, "HostConfig": …}); returns the container's id.

        Raises NameTaken and NoSuchImage.
        """

    async def start(self, container_id: str) -> None:
        """Also starts a container that has ended once more; nothing happens when it runs."""

    async def stop(self, container_id: str, timeout_s: int) -> None:
        """The image's stop signal, and SIGKILL after `timeout_s`; returns when it has ended."""

    async def remove(self, container_id: str) -> None:
        """Kills it if it runs; its anonymous volumes go with it. Nothing happens when it is gone already."""

    async def inspect(self, container_id: str) -> ContainerState:
        """By id or name."""

    async def containers(self, labels: dict[str, str]) -> list[ContainerState]:
        """Every container, running or not, that carries all of `labels`."""

    async def create_volume(self, name: str, driver: str, options: dict[str, str], labels: dict[str, str]) -> None:
        """Nothing happens when it is there already."""

    async def has_volume(self, name: str) -> bool: ...

    async def remove_volume(self, name: str) -> None:
        """Not when anything uses it (InUse); nothing happens when it is gone already."""

    async def create_network(self, name: str, subnet: str, labels: dict[str, str], gateway: str = "") -> None:
        """A bridge of this machine whose containers have addresses in `subnet`; `gateway` is the machine's own, the first of them
        unless it is given. Nothing happens when it is there already."""

    async def remove_network(self, name: str) -> None:
        """Not when a container is in it (InUse); nothing happens when it is gone already."""

    async def let_cross(self, pool: str, *, allowed: bool) -> bool:
        """Whether containers of different bridges with addresses in `pool` reach each other from now on."""

    async def subnets(self) -> dict[str, tuple[str, ...]]:
        """Every network the engine knows, with its address ranges."""

    async def create_group(self, name: str, cpus: float, memory_mib: int) -> str:
        """One limit for several containers (0: none); what their CgroupParent has to be, "" where that cannot be done."""

    async def remove_group(self, name: str) -> None:
        """Nothing happens when it is gone already."""

    async def usage(self, container_id: str) -> Usage:
        """Raises NoSuchContainer for one that does not run."""

    async def anatomy(self, container_id: str) -> Anatomy:
        """By id or name."""

    async def at_address(self, address: str) -> ContainerState | None:
        """The running container, anybody's, that has this address in one of its networks."""

    async def statistics(self, container_id: str) -> dict[str, Any]:
        """One sample in the form of Docker Engine's statistics. Raises NoSuchContainer for a container that does not run."""

    async def execute(self, container_id: str, command: Sequence[str], *, tty: bool) -> Execution:
        """Begin a command in a running container."""

    def logs(self, container_id: str, *, follow: bool = False, tail: int | None = None, timestamps: bool = False) -> AsyncIterator[Chunk]:
        """What the container has written, the last `tail` lines of it; with `follow` until it ends. RuntimeFailure: not to be read."""

    def events(self, labels: dict[str, str]) -> AsyncIterator[RuntimeEvent]:
        """Events of containers that carry all of `labels`, until the engine goes away (RuntimeUnavailable)."""

    async def close(self) -> None: ...
