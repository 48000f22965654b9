"""One agent, from its start to its end: `python -m longshore.main agent …` comes here.

Journal → container engine → registration → tasks of the journal → sockets. A platform that does not know the instance any
more (it was reset) is registered with anew, after everything of the old instance has been removed. On SIGTERM the sockets are
closed and the containers run on, to be found again by the next start; on SIGINT the tasks are stopped first.

What its supervisor should know it says on standard output, one JSON line each: that it is ready, or what keeps it from that.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import aiohttp
import msgspec

from longshore.agent.api import Api, CallRefused
from longshore.agent.capabilities import MachineFacts, gpus, has_journal
from longshore.agent.cleanup import Cleanup, Keeping
from longshore.agent.container_spec import Place
from longshore.agent.engine import Engine
from longshore.agent.exec import Sessions
from longshore.agent.identity import Identity as TaskIdentity
from longshore.agent.images import Images
from longshore.agent.journal import Identity, Journal, JournalUnusable
from longshore.agent.machine import MachineCredentials, NotLetIn
from longshore.agent.metadata.doors import Doors
from longshore.agent.registration import Facts, RegistrationRefused, WrongAttributes, register
from longshore.agent.session import ControlSession, Endpoints, InstanceUnknown
from longshore.agent.sockets import Dialer
from longshore.agent.task_network import TaskNetwork
from longshore.agent.telemetry import TelemetrySession
from longshore.config import AgentConfig
from longshore.kit.backoff import backoff_s
from longshore.kit.clock import Clock, SystemClock
from longshore.kit.descriptors import allow_descriptors
from longshore.kit.ids import Ids, RandomIds
from longshore.runtime import pause_image
from longshore.runtime.base import Runtime, RuntimeFailure

T = TypeVar("T")

log = logging.getLogger("longshore.agent")

#: several for each container that asks something, is looked into or written from
DESCRIPTORS = 16_384

#: as the `docker_url` of an agent: containers exist in its memory only
FAKE_ENGINE = "fake:"
#: an engine that does not answer so many times is told about; the agent goes on asking
ENGINE_PATIENCE = 3

EXIT_OK = 0
#: something that may be better the next time
EXIT_FAILED = 1
#: nothing a new start could mend; whoever supervises is not to try again
EXIT_TERMINAL = 5


def main(config: AgentConfig) -> int:
    """Runs until SIGTERM (its tasks run on) or SIGINT (they are stopped first); returns the exit code."""
    allow_descriptors(DESCRIPTORS)
    return asyncio.run(_main(config))


async def _main(config: AgentConfig) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    stop_tasks = asyncio.Event()

    def interrupted() -> None:
        stop_tasks.set()
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        await run_agent(config, stop=stop, stop_tasks=stop_tasks, connected=_Ready(config.name))
    except (WrongAttributes, RegistrationRefused, NotLetIn) as error:
        log.error("%s", error)
        _say(event="failed", part=config.name, cause=str(error), fix="see its log")
        return EXIT_TERMINAL
    except (CallRefused, AlreadyRunning, JournalUnusable, NothingToTrust) as error:
        log.error("%s", error)
        _say(event="failed", part=config.name, cause=str(error), fix="see its log")
        return EXIT_FAILED
    return EXIT_OK


class _Ready:
    """Says on standard output, once, that the instance is connected: its supervisor waits for that."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._said = False

    def __call__(self) -> None:
        if not self._said:
            self._said = True
            _say(event="ready", part=self._name)


def _say(**facts: str) -> None:
    if sys.stdout.isatty():
        return  # nobody but a person is there, who has the log
    sys.stdout.write(msgspec.json.encode(facts).decode() + "\n")
    sys.stdout.flush()


class NothingToTrust(Exception):
    """The file of certificates to trust cannot be read."""


class AlreadyRunning(Exception):
    """Another agent works with the same data directory."""


async def run_agent(
    config: AgentConfig,
    *,
    stop: asyncio.Event,
    stop_tasks: asyncio.Event | None = None,
    connected: Callable[[], None] = lambda: None,
    runtime: Runtime | None = None,
    clock: Clock | None = None,
    ids: Ids | None = None,
    keeping: Keeping | None = None,
    with_doors: bool | None = None,
) -> None:
    """Until `stop` is set; with `stop_tasks` set by then, every task is stopped first. `connected` is called at each connection.
    `with_doors`: containers can ask this agent; None: when the engine is a real one of its own.

    Raises what `registration.register` raises, NotLetIn, AlreadyRunning, JournalUnusable and NothingToTrust."""
    clock, ids = clock or SystemClock(), ids or RandomIds()
    lock = _lock(config.data_dir)
    own_runtime = runtime is None
    runtime = runtime or _runtime(config.docker_url)
    journal = Journal.open(config.data_dir / "journal")
    try:
        agent = Agent(config, runtime, journal, clock, ids, keeping or Keeping())
        agent.connected = connected
        agent.with_doors = own_runtime and config.docker_url != FAKE_ENGINE if with_doors is None else with_doors
        agent.stop_tasks = stop_tasks or agent.stop_tasks
        await agent.run(stop)
    finally:
        journal.close()
        if own_runtime:
            await runtime.close()
        os.close(lock)


class Agent:
    def __init__(self, config: AgentConfig, runtime: Runtime, journal: Journal, clock: Clock, ids: Ids, keeping: Keeping) -> None:
        self._config = config
        self._runtime = runtime
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._keeping = keeping
        self.connected: Callable[[], None] = lambda: None
        self.with_doors = False
        self._doors: Doors | None = None
        self._identity = TaskIdentity(config.address, config.data_dir / "identity-port", clock)
        self._doubt: Callable[[], None] = lambda: None
        self.stop_tasks = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        work = asyncio.create_task(self._work(), name="agent")
        stopping = asyncio.create_task(stop.wait(), name="agent:stop")
        try:
            await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            work.cancel()
            outcome = (await asyncio.gather(work, stopping, return_exceptions=True))[0]
        if isinstance(outcome, Exception):
            raise outcome
        log.info("agent %s stops; its tasks %s", self._config.name, "are stopped" if self.stop_tasks.is_set() else "run on")

    async def _work(self) -> None:
        docker_version = await self._engine_version()
        trust = trusted(self._config.ca_bundle)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as http:
            own = MachineCredentials(http, self._config, self._clock, self._ids)
            self._doubt = own.doubt
            credentials = self._config.credentials or await own.first()
            api = Api(http, self._config.endpoint, self._config.region, credentials, self._clock)
            dialer = Dialer(api, trust)
            try:
                async with asyncio.TaskGroup() as group:
                    if self._config.credentials is None:
                        group.create_task(own.renew(api), name="credentials")
                    group.create_task(self._be_instances(api, dialer, docker_version, trust), name="instance")
            except* (NotLetIn, CallRefused, RegistrationRefused, WrongAttributes, JournalUnusable) as ended:
                raise ended.exceptions[0] from None
            finally:
                await dialer.close()

    async def _be_instances(self, api: Api, dialer: Dialer, docker_version: str, trust: ssl.SSLContext | bool) -> None:
        while True:
            await self._be_instance(api, dialer, docker_version, trust)

    async def _engine_version(self) -> str:
        return await self._until_engine_answers(self._runtime.version)

    async def _facts(self, network: TaskNetwork) -> Facts:
        machine = MachineFacts(
            gpus=gpus(),
            has_journal=has_journal(),
            can_share=pause_image.program(os.uname().machine) is not None,
            task_range=await self._until_engine_answers(network.choose),
            places=network.places,
            serves_roles=self._doors is not None and self._doors.is_open,
            sees_processes=os.geteuid() == 0,
            identity_port=self._identity.port,
        )
        return Facts(engine=await self._until_engine_answers(self._runtime.facts), machine=machine)

    async def _until_engine_answers(self, ask: Callable[[], Awaitable[T]]) -> T:
        failures = 0
        while True:
            try:
                return await ask()
            except RuntimeFailure as error:
                wait = backoff_s(failures, self._ids.fraction(), first_s=0.25, most_s=5.0)
                failures += 1
                log.warning("%s: %s; looking again in %.1f s", self._config.docker_url, error, wait)
                if failures == ENGINE_PATIENCE:
                    cause = f"Docker Engine does not answer at {self._config.docker_url}: {error}"
                    _say(event="failed", part=self._config.name, cause=cause, fix="install and start it (`make setup` does both)")
                await self._clock.sleep(wait)

    async def _be_instance(self, api: Api, dialer: Dialer, docker_version: str, trust: ssl.SSLContext | bool) -> None:
        """Register, and serve until the platform does not know the instance any more."""
        images = Images(self._runtime, api, self._journal, self._clock, self._ids)
        network = TaskNetwork(self._runtime, self._config.instance_id, self._config.task_network)
        engine = Engine(self._config.instance_id, self._runtime, images, self._journal, api, self._clock, self._ids, network)
        doors = self._doors = await Doors.open(self._config, self._runtime, self._clock, trust) if self.with_doors else None
        try:
            if self.with_doors:
                await self._identity.open()
            place = await self._register(api, engine)
            if doors is not None:
                place = msgspec.structs.replace(place, link=doors.link)
            await engine.begin(place, self._config.cluster)
            self._identity.jobs = engine.jobs
            endpoints = Endpoints(api, self._config.cluster, place.container_instance_arn)
            await self._serve(engine, endpoints, api, dialer, docker_version, doors)
        finally:
            await self._identity.close()
            if self.stop_tasks.is_set():
                await engine.stop_everything()
                if doors is not None:
                    doors.forget()
            if doors is not None:
                await doors.close()
            await engine.close()
            await images.close()

    async def _serve(
        self, engine: Engine, endpoints: Endpoints, api: Api, dialer: Dialer, docker_version: str, doors: Doors | None
    ) -> None:
        clock, ids = self._clock, self._ids
        control = ControlSession(engine, self._journal, endpoints, dialer, clock, ids, docker_version)
        telemetry = TelemetrySession(engine, self._runtime, endpoints, dialer, api, clock, ids, docker_version)
        control.connected = self.connected
        control.refused = self._doubt
        sessions = Sessions(engine, self._runtime, dialer, endpoints.container_instance_arn)
        control.session_wanted = sessions.begin
        cleanup = Cleanup(engine, self._runtime, self._journal, clock, self._keeping)
        engine.health_listeners.append(telemetry.health_changed)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(engine.follow_events(), name="engine:events")
                group.create_task(control.run(), name="control")
                group.create_task(telemetry.run(), name="telemetry")
                group.create_task(cleanup.run(), name="cleanup")
                if doors is not None:
                    doors.serve(group, engine, api, endpoints.container_instance_arn)
        except* InstanceUnknown as unknown:
            log.warning("the platform does not know this instance any more: %s", unknown.exceptions[0])
            await self._start_over(engine)
        finally:
            await sessions.close()

    async def _register(self, api: Api, engine: Engine) -> Place:
        """The container instance of the last time if the platform still has it, a new one otherwise."""
        known, facts = self._journal.identity, await self._facts(engine.network)
        same = _without_scheme(known.endpoint) == _without_scheme(self._config.endpoint)
        fits = known.container_instance_arn and known.cluster == self._config.cluster and same
        arn = known.container_instance_arn if fits else None
        try:
            registered = await register(api, self._config, facts, arn, self._clock, self._ids)
        except (CallRefused, RegistrationRefused) as error:
            if arn is None:
                raise
            log.warning("the platform does not take this instance back: %s", error)
            registered = await register(api, self._config, facts, None, self._clock, self._ids)
        place = Place(
            instance_id=self._config.instance_id,
            container_instance_arn=registered.container_instance_arn,
            address=self._config.address,
            region=self._config.region,
        )
        if known.container_instance_arn and known.container_instance_arn != place.container_instance_arn:
            await self._start_over(engine)
        self._journal.identify(Identity(place.container_instance_arn, self._config.cluster, self._config.endpoint))
        self._journal.restart_sequence()
        await self._journal.sync()
        log.info("agent %s is %s, at %s in %s", self._config.name, place.container_instance_arn, place.address, self._config.zone)
        return place

    async def _start_over(self, engine: Engine) -> None:
        """Nothing of another instance is carried on."""
        await engine.abandon_everything()
        await self._journal.start_over()


def _without_scheme(endpoint: str) -> str:
    """A platform stays the same when it begins to speak HTTPS."""
    return endpoint.rpartition("://")[2]


def trusted(ca_bundle: Path | None) -> ssl.SSLContext | bool:
    """What the platform may prove itself with: the system's authorities and those in `ca_bundle`. Raises NothingToTrust."""
    if ca_bundle is None:
        return True
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_bundle)
    except OSError as error:
        raise NothingToTrust(f"{ca_bundle} holds no certificate to trust: {error.strerror or error}") from error
    return context


def _runtime(docker_url: str) -> Runtime:
    if docker_url == FAKE_ENGINE:
        from longshore.runtime.fake import FakeRuntime

        return FakeRuntime()
    from longshore.runtime.docker import DockerRuntime

    return DockerRuntime(docker_url)


def _lock(data_dir: Path) -> int:
    """Held as long as the descriptor is open, and let go by the kernel whatever happens."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalUnusable(f"{data_dir}: {error.strerror or error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AlreadyRunning(f"another agent works with {data_dir}") from None
    return descriptor
