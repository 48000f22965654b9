"""A container engine that exists only in memory: for tests, simulations and benchmarks of everything around it.

It keeps the promises of `Runtime` that the contract tests check, and does what it is told to: `behave(image, …)` scripts how
containers of an image end, how long they take to start, and whether pulling fails; `exit`, `set_health` and `vanish` make
things happen to a container; `go_down` and `come_back` stop and start the engine itself.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from longshore.kit.clock import Clock, SystemClock
from longshore.runtime.base import (
    Anatomy,
    Attached,
    Chunk,
    ContainerState,
    EngineFacts,
    Execution,
    InUse,
    LocalImage,
    NameTaken,
    NoSuchContainer,
    NoSuchImage,
    PublishedPort,
    RegistryAuth,
    RuntimeEvent,
    RuntimeFailure,
    RuntimeUnavailable,
    Usage,
)

_FIRST_DYNAMIC_PORT = 49153


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """What containers of one image do."""

    pull_failure: RuntimeFailure | None = None
    create_failure: RuntimeFailure | None = None
    start_failure: RuntimeFailure | None = None
    #: ends by itself with this code as soon as it runs; None: runs until it is stopped
    exits_with: int | None = None
    #: on the stop signal; None: it does not listen and is killed (137)
    stops_with: int | None = 0
    start_takes_s: float = 0.0
    #: what commands in it do, and the code they end with; unless given they give back what they are given
    executes: Callable[[FakeExecution], Awaitable[int]] | None = None


class FakeExecution:
    """A command; its program reads `given`, calls `say` and returns its code."""

    def __init__(self, command: Sequence[str], program: Callable[[FakeExecution], Awaitable[int]], *, tty: bool) -> None:
        self.command = tuple(command)
        self.tty = tty
        self.sizes: list[tuple[int, int]] = []
        #: what its standard input has; None is its end
        self.given: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=16)
        self.was_ended = False
        self._output: asyncio.Queue[Chunk | None] = asyncio.Queue(maxsize=16)
        self._running = asyncio.create_task(self._run(program), name=f"exec:{self.command}")

    async def _run(self, program: Callable[[FakeExecution], Awaitable[int]]) -> int:
        try:
            return await program(self)
        finally:
            await self._output.put(None)

    async def say(self, data: bytes, *, is_error: bool = False) -> None:
        await self._output.put(Chunk(data, is_error))

    async def read(self) -> Chunk | None:
        return await self._output.get()

    async def write(self, data: bytes) -> None:
        if not self._running.done():
            await self.given.put(data)

    async def end_input(self) -> None:
        if not self._running.done():
            await self.given.put(None)

    async def resize(self, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))

    async def exit_code(self) -> int | None:
        return await self._running

    async def close(self) -> None:
        if not self._running.done():
            self.was_ended = True
            while not self._output.empty():
                self._output.get_nowait()
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)


async def give_back(execution: FakeExecution) -> int:
    """As `cat`."""
    while (data := await execution.given.get()) is not None:
        await execution.say(data)
    return 0


class FakeRuntime:
    def __init__(self, clock: Clock | None = None, *, has_every_image: bool = True) -> None:
        """With `has_every_image`, every image is there or can be pulled; otherwise only those given to `publish`."""
        self._clock = clock or SystemClock()
        self._has_every_image = has_every_image
        self._behaviours: dict[str, Behaviour] = {}
        self._registry: dict[str, str] = {}
        self._images: dict[str, LocalImage] = {}
        self._containers: dict[str, ContainerState] = {}
        self._wanted_ports: dict[str, list[tuple[int, str, str, str]]] = {}
        self._volumes: dict[str, dict[str, str]] = {}
        self._networks: dict[str, str] = {"bridge": "172.17.0.0/16"}
        #: ranges whose bridges reach each other
        self.crossing: frozenset[str] = frozenset()
        #: control groups by name: (cpus, memory in MiB)
        self.groups: dict[str, tuple[float, int]] = {}
        #: what containers were created from, by name
        self.bodies: dict[str, Mapping[str, Any]] = {}
        self._listeners: set[asyncio.Queue[RuntimeEvent | None]] = set()
        self._next_port = _FIRST_DYNAMIC_PORT
        self._down = False
        #: every call that changes something, in order, e.g. ("start", "web")
        self.calls: list[tuple[str, str]] = []
        #: commands begun, in order
        self.executions: list[FakeExecution] = []
        #: container id → what it wrote
        self.written: dict[str, list[Chunk]] = {}
        self._wrote = asyncio.Event()

    def __repr__(self) -> str:
        return f"FakeRuntime({len(self._containers)} containers)"

    # ── the script ──

    def behave(self, image: str, behaviour: Behaviour) -> None:
        self._behaviours[image] = behaviour

    def publish(self, image: str, digest: str) -> None:
        """The registry has `image` with this digest from now on."""
        self._registry[image] = digest

    def exit(self, container_id: str, code: int, *, oom_killed: bool = False) -> None:
        state = self._container(container_id)
        self._containers[state.id] = replace(
            state, status="exited", exit_code=code, finished_at=self._clock.now(), oom_killed=oom_killed, ports=(), health=""
        )
        self._tell(state, "die")

    def set_health(self, container_id: str, health: str) -> None:
        state = replace(self._container(container_id), health=health)
        self._containers[state.id] = state
        self._tell(state, "health_status")

    def vanish(self, container_id: str) -> None:
        """Somebody else removed it."""
        state = self._containers.pop(self._container(container_id).id)
        self._tell(state, "destroy")

    def go_down(self, *, killing: bool = False) -> None:
        """The engine stops answering; with `killing`, what runs ends with 137."""
        self._down = True
        for queue in self._listeners:
            queue.put_nowait(None)
        if killing:
            for state in list(self._containers.values()):
                if state.is_running:
                    self._containers[state.id] = replace(state, status="exited", exit_code=137, finished_at=self._clock.now(), ports=())

    def come_back(self) -> None:
        self._down = False

    def all(self) -> list[ContainerState]:
        return list(self._containers.values())

    def volumes(self) -> list[str]:
        return list(self._volumes)

    def write(self, container_id: str, data: bytes, *, is_error: bool = False) -> None:
        """The container writes this."""
        self.written.setdefault(self._container(container_id).id, []).append(Chunk(data, is_error))
        self._wrote.set()

    # ── the Runtime ──

    async def version(self) -> str:
        self._check()
        return "fake"

    async def facts(self) -> EngineFacts:
        self._check()
        return EngineFacts(
            api_minor=41,
            log_drivers=frozenset({"json-file", "none"}),
            volume_drivers=frozenset({"local"}),
            limits_groups=True,
        )

    async def pull(self, image: str, auth: RegistryAuth | None) -> None:
        self._check()
        self.calls.append(("pull", image))
        await asyncio.sleep(0)
        failure = self._behaviour(image).pull_failure
        if failure is not None:
            raise failure
        digest = self._registered(image)
        self._images[image] = LocalImage(_image_id(image, digest), (f"{_repository(image)}@{digest}",), 1024)

    async def image(self, image: str) -> LocalImage | None:
        self._check()
        return self._images.get(image) or next(
            (found for found in self._images.values() if found.id == image or image in found.digests), None
        )

    async def registry_digest(self, image: str, auth: RegistryAuth | None) -> str:
        self._check()
        failure = self._behaviour(image).pull_failure
        if failure is not None:
            raise failure
        return self._registered(image)

    async def remove_image(self, image: str) -> None:
        self._check()
        self.calls.append(("remove_image", image))
        names = [name for name, found in self._images.items() if image in (name, found.id, *found.digests)]
        if any(state.image in names for state in self._containers.values()):
            raise InUse(f"conflict: unable to delete {image}: a container uses it")
        for name in names:
            del self._images[name]

    async def load_image(self, image: str, archive: bytes) -> None:
        self._check()
        self._images[image] = LocalImage(_image_id(image, ""), (), len(archive))

    async def create(self, name: str, config: Mapping[str, Any]) -> str:
        self._check()
        image = str(config.get("Image") or "")
        await asyncio.sleep(0)
        self._check()
        if any(state.name == name for state in self._containers.values()):
            raise NameTaken(f'Conflict. The container name "/{name}" is already in use')
        if image not in self._images and not self._has_every_image:
            raise NoSuchImage(f"No such image: {image}")
        failure = self._behaviour(image).create_failure
        if failure is not None:
            raise failure
        container_id = os.urandom(32).hex()
        self.calls.append(("create", name))
        self.bodies[name] = config
        self._wanted_ports[container_id] = _port_bindings(config)
        state = ContainerState(
            id=container_id,
            name=name,
            image=image,
            image_id=_image_id(image, ""),
            status="created",
            labels=dict(config.get("Labels") or {}),
            created_at=self._clock.now(),
            health="starting" if config.get("Healthcheck") else "",
        )
        self._containers[container_id] = state
        return container_id

    async def start(self, container_id: str) -> None:
        self._check()
        state = self._container(container_id)
        behaviour = self._behaviour(state.image)
        if behaviour.start_takes_s:
            await self._clock.sleep(behaviour.start_takes_s)
        await asyncio.sleep(0)
        self._check()
        state = self._container(container_id)
        if state.is_running:
            return
        if behaviour.start_failure is not None:
            raise behaviour.start_failure
        self.calls.append(("start", state.name))
        ports = tuple(
            PublishedPort(port, self._host_port(asked), protocol, host_ip)
            for port, protocol, host_ip, asked in self._wanted_ports[state.id]
        )
        state = replace(
            state, status="running", started_at=self._clock.now(), finished_at=None, exit_code=None, ports=ports, ip_address="172.17.0.2"
        )
        self._containers[state.id] = state
        self._tell(state, "start")
        if behaviour.exits_with is not None:
            self.exit(state.id, behaviour.exits_with)

    async def stop(self, container_id: str, timeout_s: int) -> None:
        self._check()
        state = self._container(container_id)
        self.calls.append(("stop", state.name))
        await asyncio.sleep(0)
        state = self._container(container_id)
        if not state.is_running:
            return
        code = self._behaviour(state.image).stops_with
        if code is None:
            await self._clock.sleep(timeout_s)
            code = 137
        if self._container(container_id).is_running:
            self.exit(container_id, code)

    async def remove(self, container_id: str) -> None:
        self._check()
        found = self._find(container_id)
        if found is not None:
            self.calls.append(("remove", found.name))
            if found.is_running:
                self.exit(found.id, 137)
            del self._containers[found.id]
            self.bodies.pop(found.name, None)
            self._tell(found, "destroy")

    async def inspect(self, container_id: str) -> ContainerState:
        self._check()
        return self._container(container_id)

    async def containers(self, labels: dict[str, str]) -> list[ContainerState]:
        self._check()
        return [state for state in self._containers.values() if labels.items() <= state.labels.items()]

    async def execute(self, container_id: str, command: Sequence[str], *, tty: bool) -> Execution:
        self._check()
        state = self._container(container_id)
        if not state.is_running:
            raise InUse(f"Container {container_id} is not running")
        made = FakeExecution(command, self._behaviour(state.image).executes or give_back, tty=tty)
        self.executions.append(made)
        return made

    async def logs(
        self, container_id: str, *, follow: bool = False, tail: int | None = None, timestamps: bool = False
    ) -> AsyncIterator[Chunk]:
        self._check()
        state = self._container(container_id)
        shown = 0 if tail is None else max(0, len(self.written.get(state.id, ())) - tail)
        while True:
            self._wrote.clear()
            chunks = self.written.get(state.id, [])
            for chunk in chunks[shown:]:
                yield chunk
            shown = len(chunks)
            found = self._find(state.id)
            if not follow or found is None or not found.is_running:
                return
            await self._wrote.wait()

    async def create_volume(self, name: str, driver: str, options: dict[str, str], labels: dict[str, str]) -> None:
        self._check()
        self._volumes.setdefault(name, labels)

    async def has_volume(self, name: str) -> bool:
        self._check()
        return name in self._volumes

    async def remove_volume(self, name: str) -> None:
        self._check()
        self._volumes.pop(name, None)

    async def create_network(self, name: str, subnet: str, labels: dict[str, str], gateway: str = "") -> None:
        self._check()
        self._networks.setdefault(name, subnet)

    async def remove_network(self, name: str) -> None:
        self._check()
        self._networks.pop(name, None)

    async def let_cross(self, pool: str, *, allowed: bool) -> bool:
        self._check()
        self.crossing = self.crossing | {pool} if allowed else self.crossing - {pool}
        return allowed

    async def subnets(self) -> dict[str, tuple[str, ...]]:
        self._check()
        return {name: (subnet,) for name, subnet in self._networks.items()}

    async def create_group(self, name: str, cpus: float, memory_mib: int) -> str:
        self._check()
        self.groups[name] = (cpus, memory_mib)
        return f"/ecs/{name}"

    async def remove_group(self, name: str) -> None:
        self._check()
        self.groups.pop(name, None)

    async def usage(self, container_id: str) -> Usage:
        self._check()
        state = self._container(container_id)
        if not state.is_running:
            raise NoSuchContainer(f"container {container_id} does not run")
        running = max(0.0, self._clock.now() - (state.started_at or state.created_at))
        return Usage(at=self._clock.now(), cpu_ns=int(running * 1e7), cpus=2, memory_bytes=8 * 1024 * 1024)

    async def statistics(self, container_id: str) -> dict[str, Any]:
        used = await self.usage(container_id)
        return {
            "read": datetime.fromtimestamp(used.at, UTC).isoformat(),
            "cpu_stats": {"cpu_usage": {"total_usage": used.cpu_ns}, "online_cpus": used.cpus},
            "memory_stats": {"usage": used.memory_bytes},
            "networks": {"eth0": {"rx_bytes": used.rx_bytes, "tx_bytes": used.tx_bytes}},
        }

    async def anatomy(self, container_id: str) -> Anatomy:
        self._check()
        state = self._container(container_id)
        return Anatomy(network_mode="bridge", networks=(Attached(network="bridge", address=state.ip_address),), log_driver="json-file")

    async def at_address(self, address: str) -> ContainerState | None:
        self._check()
        return next((state for state in self._containers.values() if state.is_running and state.ip_address == address), None)

    async def events(self, labels: dict[str, str]) -> AsyncIterator[RuntimeEvent]:
        self._check()
        queue: asyncio.Queue[RuntimeEvent | None] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            yield RuntimeEvent("", "connected", {}, self._clock.now())
            while (event := await queue.get()) is not None:
                if labels.items() <= event.labels.items():
                    yield event
        finally:
            self._listeners.discard(queue)
        raise RuntimeUnavailable("the event stream ended")

    async def close(self) -> None:
        return

    # ── inside ──

    def _check(self) -> None:
        if self._down:
            raise RuntimeUnavailable("the engine does not answer")

    def _behaviour(self, image: str) -> Behaviour:
        return self._behaviours.get(image) or Behaviour()

    def _registered(self, image: str) -> str:
        digest = self._registry.get(image)
        if digest is None:
            if not self._has_every_image:
                raise NoSuchImage(f"manifest for {image} not found: manifest unknown")
            digest = image.partition("@")[2] or f"sha256:{image.encode().hex():0<64.64}"
        return digest

    def _find(self, container_id: str) -> ContainerState | None:
        found = self._containers.get(container_id)
        return found or next((state for state in self._containers.values() if state.name == container_id), None)

    def _container(self, container_id: str) -> ContainerState:
        found = self._find(container_id)
        if found is None:
            raise NoSuchContainer(f"No such container: {container_id}")
        return found

    def _host_port(self, asked: str) -> int:
        first = asked.partition("-")[0]
        if first:
            return int(first)
        self._next_port += 1
        return self._next_port - 1

    def _tell(self, state: ContainerState, action: str) -> None:
        self._wrote.set()
        event = RuntimeEvent(state.id, action, state.labels, self._clock.now())
        for queue in self._listeners:
            queue.put_nowait(event)


def _port_bindings(config: Mapping[str, Any]) -> list[tuple[int, str, str, str]]:
    """(container port, protocol, host address, host port as asked) of a create body."""
    wanted = []
    for name, bindings in ((config.get("HostConfig") or {}).get("PortBindings") or {}).items():
        port, _, protocol = name.partition("/")
        for binding in bindings:
            wanted.append((int(port), protocol or "tcp", binding.get("HostIp") or "0.0.0.0", str(binding.get("HostPort") or "")))
    return wanted


def _repository(image: str) -> str:
    name = image.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    return f"{head}{slash}{tail.partition(':')[0]}"


def _image_id(image: str, digest: str) -> str:
    return f"sha256:{(digest or image).encode().hex():0<64.64}"
