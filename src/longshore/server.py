"""The server: every part behind the one port, put together and taken apart in order.

Read `Server.start` from top to bottom and you have seen the whole house: what the data directory holds, the load balancers, what answers
requests, the port in front of it, and the controllers behind it. Each part is built in a module of its own, named as it is here.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal

from longshore import __version__
from longshore.answering import Answering
from longshore.balancer.controller import Balancer
from longshore.balancing import Balancing
from longshore.config import DataDirectory, ServerConfig
from longshore.control.certificates.controller import Certificates
from longshore.control.deployments.controller import Deployments
from longshore.control.event_stream.controller import EventStream
from longshore.control.expiry.controller import Expiry
from longshore.control.instances.controller import Instances
from longshore.control.keys.controller import KeyRotation
from longshore.control.lifecycle.controller import Lifecycle
from longshore.control.loop import Controller, Loop
from longshore.control.rebalance.controller import Rebalances
from longshore.control.registry_events.controller import RegistryEvents
from longshore.control.replication.controller import Replicator
from longshore.control.reports.controller import Reports
from longshore.control.scanning.controller import Scanning
from longshore.control.targets.controller import Targets
from longshore.gateway.catalogue import preload
from longshore.kept import CannotStart, check_exposure
from longshore.kit.certificates import Authority, CertificateProblem
from longshore.kit.clock import SystemClock
from longshore.kit.descriptors import allow_descriptors
from longshore.kit.ids import RandomIds
from longshore.kit.said import say
from longshore.kit.sealing import Keys, derived_key
from longshore.listening import Listener, listen
from longshore.opening import Holdings, open_holdings
from longshore.registry.garbage import GarbageCollector
from longshore.registry.registry import Registry
from longshore.registry.verification import scrub
from longshore.running import Running, Setting
from longshore.scanner.choose import NotInstalled, choose
from longshore.scanner.seam import Scanner
from longshore.services.call import Site
from longshore.services.ecr.pull_through.cache import PullThroughCache
from longshore.services.ecr.remote.connection import Remotes
from longshore.services.elbv2.seats import Seats

log = logging.getLogger("longshore.server")

#: seconds after RUNNING at which a task without any health check counts as healthy: as in ECS, and in --dev mode
WARM_UP_S = 40.0
DEV_WARM_UP_S = 2.0
#: open files and sockets at once: a layer on its way to a client takes three, and hundreds pull at once
DESCRIPTORS = 16_384


def serve(config: ServerConfig, handed: str = "") -> int:
    """`handed` is the master key, where it came from the environment of whoever started all this."""
    allow_descriptors(DESCRIPTORS)
    try:
        return asyncio.run(_run(config, handed))
    except CannotStart as problem:
        say(event="failed", part="server", cause=problem.cause, fix=problem.fix)
        log.error("%s; %s", problem.cause, problem.fix)
        return 1


async def _run(config: ServerConfig, handed: str) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(wanted, stop.set)
    async with Server(config, handed) as server:
        say(event="ready", part="server", endpoint=config.endpoint, haproxy_pid=server.balancer.pid)
        await server.until(stop)
    return 0


class Server:
    """An asynchronous context: started inside, stopped (gracefully) on leaving."""

    def __init__(self, config: ServerConfig, handed: str = "") -> None:
        self._handed = handed
        self._running = Running()
        self._setting = Setting(config, SystemClock(), RandomIds(), site_of(config), self._running)
        self._held: Holdings | None = None
        self._listener: Listener | None = None
        self.balancer: Balancer

    async def __aenter__(self) -> Server:
        try:
            check_exposure(self._setting.config)
            await self.start()
        except BaseException:
            await self._take_apart()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._take_apart()

    async def start(self) -> None:
        """Raises CannotStart."""
        config, clock, ids, _, running = self._setting
        held = self._held = await open_holdings(self._setting, self._handed)
        self._make_authority(held.keys)

        seats = Seats(held.store)
        await seats.begin(clock.now())
        balancing = Balancing(self._setting, held, seats)
        self.balancer = balancing.balancer

        remotes = Remotes(clock, f"longshore-{derived_key(held.keys, 'via').hex()[:16]}")
        running.ends_with(remotes.close)
        cache = PullThroughCache(
            store=held.store,
            blobs=held.blobs,
            clock=clock,
            remotes=remotes,
            secret=held.keys,
            refresh_s=config.storage.upstream_refresh_s,
            spool=config.data_dir / "run",
        )
        running.ends_with(cache.close)
        garbage = GarbageCollector(store=held.store, blobs=held.blobs, clock=clock, settings=config.storage)

        answering = Answering(self._setting, held, balancing, cache, garbage)
        self._listener = await self._listen(held.keys, answering)
        await balancing.begin()

        for controller in self._controllers(held, remotes):
            running.begin(Loop(controller, held.store, clock, ids).run(), controller.name)
        running.begin(EventStream(held.store, held.events, clock, ids).run(), EventStream.name)
        running.begin(garbage.run(), "garbage")
        running.begin(held.auditing.keep(), "audit")
        if config.storage.scrub_bytes_per_s:
            running.begin(scrub(held.store, held.blobs, clock, config.storage.scrub_bytes_per_s), "scrub")
        running.begin(_preload(answering.registry), "preload", short=True)
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        log.info("Longshore %s answers at %s (account %s, region %s)", __version__, config.endpoint, config.account_id, config.region)

    async def _listen(self, keys: Keys, answering: Answering) -> Listener:
        return await listen(self._setting, keys, answering)

    def _controllers(self, held: Holdings, remotes: Remotes) -> list[Controller]:
        """Who decides what to do about it. Raises CannotStart."""
        config, clock, ids, site, _ = self._setting
        store, blobs, keys = held.store, held.blobs, held.keys
        return [
            Deployments(store, clock, ids, site),
            Rebalances(store, clock, ids, site),
            Instances(store, clock, site),
            Targets(store, clock, ids),
            Expiry(store, clock, held.archive, config.history),
            Lifecycle(store, clock, site),
            RegistryEvents(store, clock),
            Reports(store, clock),
            Replicator(store, blobs, clock, ids, remotes, keys),
            Scanning(store, blobs, clock, _scanner(config)),
            Certificates(store, clock, lambda now: self._authority(now, keys), keys),
            KeyRotation(store, clock, held.keyring, DataDirectory(config.data_dir).relock),
            self.balancer,
        ]

    def _authority(self, now: float, keys: Keys) -> Authority:
        """Raises CertificateProblem and OSError."""
        return DataDirectory(self._setting.config.data_dir).authority(now, keys)

    def _make_authority(self, keys: Keys) -> None:
        """So that there is one to trust before the first certificate is asked for."""
        try:
            self._authority(self._setting.clock.now(), keys)
        except (CertificateProblem, OSError) as problem:
            log.error("no certificates can be issued: %s", problem)

    async def until(self, stop: asyncio.Event) -> None:
        """Returns when `stop` is set; raises when a loop ends, which none ever should."""
        await self._running.until(stop)

    async def _take_apart(self) -> None:
        """Loops, load balancers, sockets, requests, the store: in this order. Before all of it the port is closed, since agents whose
        sockets are closed must not come back to a server that goes; and nobody waits for events of one."""
        if self._held is not None:
            self._held.events.end_waiting()
        if self._listener is not None:
            self._listener.close()
        await self._running.end()


def site_of(config: ServerConfig) -> Site:
    return Site(
        account_id=config.account_id,
        region=config.region,
        zones=config.zones,
        endpoint=config.endpoint,
        port=config.port,
        dev=config.dev,
        warm_up_s=DEV_WARM_UP_S if config.dev else WARM_UP_S,
        collection_grace_s=config.storage.grace_s,
        lost_after_s=config.lost_after_s,
        load_balancer_domain=config.load_balancer_domain,
    )


def _scanner(config: ServerConfig) -> Scanner:
    """Raises CannotStart."""
    wanted = config.scanning
    try:
        return choose(wanted.scanner, config.data_dir / "scanner", wanted.vulnerability_database)
    except NotInstalled:
        raise CannotStart(f"the scanner {wanted.scanner} is not installed", "install it, or choose another --scanner") from None


async def _preload(registry: Registry) -> None:
    await registry.prepare()
    await preload()
