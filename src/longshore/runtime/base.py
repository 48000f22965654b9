"""The seam to whatever runs containers: Docker Engine, or a fake one in tests and simulations.

Small on purpose: the agent decides, the runtime does one thing at a time and tells what is there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

import msgspec


class RuntimeFailure(Exception):
    """The engine refused or failed; the text is the engine's own."""


class NoSuchContainer(RuntimeFailure):
    """There is no such container (any more)."""


class RuntimeUnavailable(RuntimeFailure):
    """The engine does not answer."""


class PublishedPort(msgspec.Struct, frozen=True):
    container_port: int
    host_port: int
    protocol: str
    host_ip: str


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
    ports: tuple[PublishedPort, ...] = ()
    ip_address: str = ""


class RuntimeEvent(msgspec.Struct, frozen=True):
    """Something happened to a container: start, die, oom, health_status, destroy. Events are hints; `inspect` is the truth."""

    container_id: str
    action: str
    labels: dict[str, str]
    at: float


class RegistryAuth(msgspec.Struct, frozen=True):
    username: str
    password: str
    server: str


class Runtime(Protocol):
    async def version(self) -> str: ...

    async def pull(self, image: str, auth: RegistryAuth | None) -> None: ...

    async def image_digest(self, image: str) -> str | None:
        """The registry digest of a local image (sha256:…), "" when it has none, None when the image is not there."""

    async def create(self, name: str, config: dict[str, Any]) -> str:
        """Create from a Docker Engine create body ({…Config, "HostConfig": …}); returns the container's id."""

    async def start(self, container_id: str) -> None: ...

    async def stop(self, container_id: str, timeout_s: int) -> None: ...

    async def remove(self, container_id: str) -> None: ...

    async def inspect(self, container_id: str) -> ContainerState: ...

    async def list(self, labels: dict[str, str]) -> list[ContainerState]:
        """Every container, running or not, that carries all of `labels`."""

    async def create_volume(self, name: str, driver: str, options: dict[str, str], labels: dict[str, str]) -> None: ...

    async def remove_volume(self, name: str) -> None: ...

    async def images(self) -> list[tuple[str, list[str], float, int]]:
        """(image id, tags, created at, size in bytes) of local images."""

    async def remove_image(self, image: str) -> None: ...

    async def stats(self, container_id: str) -> dict[str, Any]:
        """One sample of the engine's statistics."""

    def events(self, labels: dict[str, str]) -> AsyncIterator[RuntimeEvent]: ...

    async def close(self) -> None: ...
