"""The server: every part behind the one port, put together and taken apart in order.

Read `Server.start` from top to bottom and you have seen the whole house: the store, what must exist from the start, the
controllers, the load balancers, the registry, the agents' sockets and the gateway in front of them.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from longshore import __version__
from longshore.balancer.access_log.process import LogReader
from longshore.balancer.controller import Balancer
from longshore.balancer.hosts_file import HostsFile
from longshore.balancer.metrics.collector import Collector
from longshore.config import LOCAL_DOMAIN, DataDirectory, ServerConfig, Tls
from longshore.control.certificates.controller import Certificates
from longshore.control.deployments.controller import Deployments
from longshore.control.deployments.outlook import outlook
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
from longshore.gateway.accounts import ROUTE as ACCOUNTS
from longshore.gateway.accounts import Accounts
from longshore.gateway.agents.control import forget_sessions
from longshore.gateway.agents.exec_offers import AGENT_ROUTE
from longshore.gateway.agents.sessions import AgentSessions
from longshore.gateway.app import Gateway
from longshore.gateway.auditing.keeping import Auditing, KeptKey
from longshore.gateway.auditing.route import ROUTE as AUDIT
from longshore.gateway.auditing.route import AuditRoute
from longshore.gateway.authorise import Access
from longshore.gateway.balancers import ROUTE as BALANCERS
from longshore.gateway.balancers import Balancers
from longshore.gateway.begun import Begun, http_server, is_worth_a_traceback
from longshore.gateway.catalogue import preload
from longshore.gateway.claim_keys import ClaimKeys
from longshore.gateway.doors import Doors
from longshore.gateway.exec import CLIENT_ROUTE, ExecSessions
from longshore.gateway.failures import Failures
from longshore.gateway.identify import Identities
from longshore.gateway.keys import ROUTE as KEYS
from longshore.gateway.keys import KeysRoute
from longshore.gateway.lane import Lanes
from longshore.gateway.limits import limiter_of
from longshore.gateway.machines import ROUTE as MACHINES
from longshore.gateway.machines import Machines
from longshore.gateway.measuring import PAGE as METRICS_PAGE
from longshore.gateway.measuring import PREFIX as MEASURED
from longshore.gateway.measuring import Measuring
from longshore.gateway.names import ROUTE as NAMES
from longshore.gateway.names import NamesRoute
from longshore.gateway.own import OwnRoutes
from longshore.gateway.tls import SecureListener, ServerCertificate, own_names
from longshore.gateway.trust_files import TrustFiles
from longshore.gateway.upkeep import PREFIX as UPKEEP
from longshore.gateway.upkeep import Upkeep
from longshore.kept import CannotStart, check_exposure
from longshore.kit.certificates import Authority, CertificateProblem
from longshore.kit.clock import SystemClock
from longshore.kit.descriptors import allow_descriptors
from longshore.kit.fetching import Fetcher
from longshore.kit.ids import RandomIds
from longshore.kit.keyring_file import KeyringFile
from longshore.kit.sealing import Keys, derived_key
from longshore.opening import explained, open_archive, open_audit, open_events, open_holdings, open_metrics
from longshore.registry.garbage import GarbageCollector
from longshore.registry.registry import Registry
from longshore.registry.verification import scrub
from longshore.resources import RESOURCE_SIDES
from longshore.scanner.choose import NotInstalled, choose
from longshore.scanner.seam import Scanner
from longshore.services.call import Site
from longshore.services.ec2.defaults import ensure_default_network
from longshore.services.ec2.regions import AWS_REGIONS
from longshore.services.ecr.encryption.keys import ensure_encryption
from longshore.services.ecr.pull_through.cache import PullThroughCache
from longshore.services.ecr.remote.connection import Remotes
from longshore.services.ecs.exec.rules import forget_all as forget_exec_sessions
from longshore.services.elbv2.claims import KEYS_ROUTE
from longshore.services.elbv2.seats import Seats
from longshore.services.elbv2.trust_stores import CONTENT_ROUTE
from longshore.services.iam.identities import ensure_root
from longshore.services.iam.recording import Recorder
from longshore.services.sts.web_identity.issuers import Issuers
from longshore.store.archive import Archive
from longshore.store.base import Store, Tx
from longshore.store.event_log import EventLog
from longshore.store.file_blobs import FileBlobStore
from longshore.store.sqlite_metrics import SqliteMetricStore

log = logging.getLogger("longshore.server")

#: seconds after RUNNING at which a task without any health check counts as healthy: as in ECS, and in --dev mode
WARM_UP_S = 40.0
DEV_WARM_UP_S = 2.0
#: how long requests that have begun may take when the server stops
DRAIN_S = 8.0
#: open files and sockets at once: a layer on its way to a client takes three, and hundreds pull at once
DESCRIPTORS = 16_384


def serve(config: ServerConfig, handed: str = "") -> int:
    """`handed` is the master key, where it came from the environment of whoever started all this."""
    allow_descriptors(DESCRIPTORS)
    try:
        return asyncio.run(_run(config, handed))
    except CannotStart as problem:
        _say(event="failed", part="server", cause=problem.cause, fix=problem.fix)
        log.error("%s; %s", problem.cause, problem.fix)
        return 1


async def _run(config: ServerConfig, handed: str) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(wanted, stop.set)
    async with Server(config, handed) as server:
        _say(event="ready", part="server", endpoint=config.endpoint, haproxy_pid=server.balancer.pid)
        await server.until(stop)
    return 0


class Server:
    """An asynchronous context: started inside, stopped (gracefully) on leaving."""

    def __init__(self, config: ServerConfig, handed: str = "") -> None:
        self._config = config
        self._handed = handed
        self._clock = SystemClock()
        self._ids = RandomIds()
        self._limiter = limiter_of(config.limits)
        self._failures = Failures(self._clock)
        self._site = Site(
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
        #: what signs, seals and encrypts here
        self._secret: Keys = b""
        self._keyring: KeyringFile
        self._audit_key = KeptKey()
        self._auditing: Auditing
        self._undo: list[Callable[[], Awaitable[Any]]] = []
        self._jobs: list[asyncio.Task[Any]] = []
        self._listener: asyncio.Server | SecureListener | None = None
        self._events: EventLog
        self._metrics: SqliteMetricStore
        self._collector: Collector
        self._log_reader: LogReader
        self.balancer: Balancer

    async def __aenter__(self) -> Server:
        try:
            check_exposure(self._config)
            await self.start()
        except BaseException:
            await self._take_apart()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._take_apart()

    async def start(self) -> None:
        config, clock, ids, site = self._config, self._clock, self._ids, self._site
        store, blobs, secret, self._keyring = await open_holdings(config, self._handed, clock, ids, self._undo.append)
        await self._begin(store, secret)
        self._events = events = await open_events(config, self._undo.append)
        archive = await open_archive(config, self._undo.append)
        self._auditing = await open_audit(config, store, clock, ids, site, self._undo.append)
        self._seats = Seats(store)
        await self._seats.begin(clock.now())
        self.balancer = self._made_balancer()
        await self._measure(config.data_dir)
        self._make_authority()
        remotes = Remotes(clock, f"longshore-{derived_key(secret, 'via').hex()[:16]}")
        self._undo.append(remotes.close)
        cache = self._pull_through(store, blobs, remotes, secret)
        collector = GarbageCollector(store=store, blobs=blobs, clock=clock, settings=config.storage)
        gateway, registry, sessions = self._doors(store, blobs, secret, cache, collector, events, archive)
        await self._listen(gateway, registry)
        self._undo.append(sessions.close)

        await self._balance()
        self._begin_measuring()
        self._undo.append(self.balancer.stop)
        self._name_load_balancers(store)
        controllers: list[Controller] = [
            Deployments(store, clock, ids, site),
            Rebalances(store, clock, ids, site),
            Instances(store, clock, site),
            Targets(store, clock, ids),
            Expiry(store, clock, archive, config.history),
            Lifecycle(store, clock, site),
            RegistryEvents(store, clock),
            Reports(store, clock),
            Replicator(store, blobs, clock, ids, remotes, secret),
            Scanning(store, blobs, clock, self._scanner()),
            Certificates(store, clock, self._authority, secret),
            KeyRotation(store, clock, self._keyring, DataDirectory(config.data_dir).relock),
            self.balancer,
        ]
        for controller in controllers:
            self._jobs.append(asyncio.create_task(Loop(controller, store, clock, ids).run(), name=controller.name))
        self._jobs.append(asyncio.create_task(EventStream(store, events, clock, ids).run(), name=EventStream.name))
        self._jobs.append(asyncio.create_task(collector.run(), name="garbage"))
        self._jobs.append(asyncio.create_task(self._auditing.keep(), name="audit"))
        if config.storage.scrub_bytes_per_s:
            self._jobs.append(asyncio.create_task(scrub(store, blobs, clock, config.storage.scrub_bytes_per_s), name="scrub"))
        self._jobs.append(asyncio.create_task(_preload(registry), name="preload"))
        self._undo.append(self._end_jobs)
        self._undo.append(self._stop_accepting)
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        log.info("Longshore %s answers at %s (account %s, region %s)", __version__, config.endpoint, config.account_id, config.region)

    def _pull_through(self, store: Store, blobs: FileBlobStore, remotes: Remotes, secret: Keys) -> PullThroughCache:
        config = self._config
        cache = PullThroughCache(
            store=store,
            blobs=blobs,
            clock=self._clock,
            remotes=remotes,
            secret=secret,
            refresh_s=config.storage.upstream_refresh_s,
            spool=config.data_dir / "run",
        )
        self._undo.append(cache.close)
        return cache

    async def _begin(self, store: Store, secret: Keys) -> None:
        """Raises CannotStart."""
        self._secret = secret
        with explained(self._config.data_dir):
            await store.transact(lambda tx: self._found(tx, self._clock.now()))

    def _authority(self, now: float) -> Authority:
        """Raises CertificateProblem and OSError."""
        return DataDirectory(self._config.data_dir).authority(now, self._secret)

    def _make_authority(self) -> None:
        """So that there is one to trust before the first certificate is asked for."""
        try:
            self._authority(self._clock.now())
        except (CertificateProblem, OSError) as problem:
            log.error("no certificates can be issued: %s", problem)

    def _made_balancer(self) -> Balancer:
        config = self._config
        return Balancer(
            self._seats.own,
            self._clock,
            self._ids,
            self._site,
            config.data_dir / "run" / "haproxy",
            config.haproxy,
            network=config.load_balancer_network,
            link_network=config.link_network,
            public_address=config.load_balancer_address,
            privileged_port_offset=config.privileged_port_offset,
            installation_secret=self._secret,
            authority=DataDirectory(config.data_dir).ca_file,
            log_file=DataDirectory(config.data_dir).log_file("haproxy"),
        )

    async def _balance(self) -> None:
        """Raises CannotStart."""
        try:
            await self.balancer.start()
        except OSError as problem:
            cause = f"the files of load balancers cannot be made: {problem}"
            raise CannotStart(cause, "see to what it names, or choose another --data-dir") from None

    async def _measure(self, path: Path) -> None:
        """What counts requests, and keeps what was counted. Raises CannotStart."""
        self._metrics = await open_metrics(self._config, self._undo.append)
        state, log_file = path / "run" / "access-logs", DataDirectory(path).log_file("access-logs")
        self._collector = self.balancer.measured(self._metrics, state)
        self._log_reader = LogReader(self.balancer.own_places, state, path / "buckets", log_file, self._clock)

    def _name_load_balancers(self, store: Store) -> None:
        """On this machine, where their names do not do that by themselves."""
        config = self._config
        if config.load_balancer_domain != LOCAL_DOMAIN:
            hosts_file = HostsFile(store, config.load_balancer_network, config.data_dir)
            self._jobs.append(asyncio.create_task(hosts_file.run(), name="hosts-file"))
            self._undo.append(hosts_file.forget)

    def _begin_measuring(self) -> None:
        self._undo.append(self._log_reader.stop)  # once HAProxy has written its last line
        self._jobs.append(asyncio.create_task(self._log_reader.run(), name="access-logs"))
        self._jobs.append(asyncio.create_task(self._collector.run(), name="metrics"))

    def _doors(
        self,
        store: Store,
        blobs: FileBlobStore,
        secret: Keys,
        cache: PullThroughCache,
        collector: GarbageCollector,
        events: EventLog,
        archive: Archive,
    ) -> tuple[Gateway, Registry, AgentSessions]:
        """What answers requests, each under the paths that are its own."""
        clock, ids, site = self._clock, self._ids, self._site
        identities, access = Identities(store, clock, site, secret), self._access(store)
        sessions = AgentSessions(store, clock, ids, site, identities, access, secret)
        registry = self._registry(store, blobs, secret, identities, access, cache)
        gateway = Gateway(
            store=store,
            blobs=blobs,
            clock=clock,
            ids=ids,
            site=site,
            identities=identities,
            access=access,
            signing_secret=secret,
            pull_through=cache,
            archive=archive,
            events=events,
            utilisation=sessions.utilisation,
            scheduler=partial(outlook, warm_up_s=site.warm_up_s),
            traffic=self.balancer.traffic if self.balancer is not None else None,
            audit=self._auditing.log,
            watcher=self._auditing.auditor,
            entries=self._auditing.entries,
            limiter=self._limiter,
            failures=self._failures,
            issuers=self._issuers(),
        )
        own = OwnRoutes(store, blobs, sessions, identities, clock, site, self._found, archive, events, self._metrics)
        gateway.mount("/v2/", registry.handle)
        gateway.mount("/_layers/", registry.handle)
        gateway.mount("/acs/", sessions.handle_control)
        gateway.mount("/tcs/", sessions.handle_telemetry)
        into_containers = ExecSessions(store, clock, ids, identities, access)
        gateway.mount(CLIENT_ROUTE, into_containers.handle_client)
        gateway.mount(AGENT_ROUTE, into_containers.handle_agent)
        self._undo.append(into_containers.close)
        upkeep = Upkeep(store=store, blobs=blobs, collector=collector, identities=identities, access=access, clock=clock, site=site)
        gateway.mount(UPKEEP, upkeep.handle)
        self._mount_newcomers(gateway, store, identities, access, secret)
        self._mount_load_balancing(gateway, store, identities, access, secret)
        gateway.mount("/_longshore/", own.handle)
        return gateway, registry, sessions

    def _issuers(self) -> Issuers:
        issuers = Issuers(Fetcher(DataDirectory(self._config.data_dir).ca_file), self._clock)
        self._undo.append(issuers.close)
        return issuers

    def _access(self, store: Store) -> Access:
        """What decides, and tells whoever records decisions."""
        recorder = Recorder(store, self._clock)
        self._undo.append(recorder.close)
        self._jobs.append(asyncio.create_task(recorder.run(), name="recorder"))
        access = Access(store, self._clock, RESOURCE_SIDES, recorder)
        access.limiter = self._limiter
        return access

    def _registry(
        self, store: Store, blobs: FileBlobStore, secret: Keys, identities: Identities, access: Access, cache: PullThroughCache
    ) -> Registry:
        registry = Registry(
            store=store,
            blobs=blobs,
            clock=self._clock,
            site=self._site,
            secret=secret,
            authorise=access.denial,
            owner=identities.owner,
            ended=identities.has_ended,
            admit=lambda principal, action: self._limiter.admit(principal, "ecr", action),
            incomplete_images=self._config.incomplete_images,
            cache=cache,
            watch=self._auditing.pulls,
        )
        self._undo.append(registry.close)
        return registry

    def _mount_newcomers(self, gateway: Gateway, store: Store, identities: Identities, access: Access, secret: Keys) -> None:
        """Where further accounts and machines come from."""
        clock, ids, site = self._clock, self._ids, self._site
        accounts = Accounts(store=store, identities=identities, access=access, clock=clock, ids=ids, site=site)
        gateway.mount(ACCOUNTS, accounts.handle)
        audit = AuditRoute(audit=self._auditing.log, identities=identities, access=access, clock=clock, site=site)
        gateway.mount(AUDIT, audit.handle)
        root_secret = self._config.credentials.secret_access_key
        gateway.mount(MACHINES, Machines(store, identities, clock, ids, site, secret, root_secret).handle)

    def _mount_load_balancing(self, gateway: Gateway, store: Store, identities: Identities, access: Access, secret: Keys) -> None:
        """What is told of load balancers beside their APIs: names, the hosts that serve them, what they did."""
        names = NamesRoute(store, identities, link_network=self._config.link_network, own_address=self._config.load_balancer_address)
        gateway.mount(NAMES, names.handle)
        balancers = Balancers(
            store=store, seats=self._seats, identities=identities, access=access, clock=self._clock, site=self._site, secret=secret
        )
        gateway.mount(BALANCERS, balancers.handle)
        self._jobs.append(asyncio.create_task(balancers.keep_leases(), name="balancer-leases"))
        self._undo.append(balancers.close)
        keys = KeysRoute(
            store=store,
            keyring=self._keyring,
            identities=identities,
            access=access,
            clock=self._clock,
            site=self._site,
            handed=lambda key: _say(event="master-key", key=key),
        )
        gateway.mount(KEYS, keys.handle)
        gateway.mount(CONTENT_ROUTE, TrustFiles(store, self._clock, secret).handle)
        gateway.mount(KEYS_ROUTE, ClaimKeys(secret).handle)
        measuring = Measuring(
            store=store,
            metrics=self._metrics,
            collector=lambda: self._collector,
            places=self.balancer.places,
            identities=identities,
            access=access,
            clock=self._clock,
            site=self._site,
        )
        self._undo.append(measuring.close)
        gateway.mount(MEASURED, measuring.handle)
        gateway.mount(METRICS_PAGE, measuring.handle)

    def _scanner(self) -> Scanner:
        """Raises CannotStart."""
        wanted = self._config.scanning
        try:
            return choose(wanted.scanner, self._config.data_dir / "scanner", wanted.vulnerability_database)
        except NotInstalled:
            raise CannotStart(f"the scanner {wanted.scanner} is not installed", "install it, or choose another --scanner") from None

    async def until(self, stop: asyncio.Event) -> None:
        """Returns when `stop` is set; raises when a controller's loop ends, which none ever should."""
        waiting = asyncio.create_task(stop.wait(), name="stop")
        loops = [job for job in self._jobs if job.get_name() != "preload"]
        done, _ = await asyncio.wait({waiting, *loops}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        for job in done - {waiting}:
            job.result()
            raise RuntimeError(f"the loop of {job.get_name()} ended")

    def _found(self, tx: Tx, now: float) -> None:
        """What exists from the start: the root user's key and the default network; and no agent is connected yet."""
        config = self._config
        ensure_root(tx, config.account_id, config.credentials.access_key_id, config.credentials.secret_access_key, now)
        ensure_default_network(tx, config.account_id, config.region, config.zones, now)
        ensure_encryption(tx, self._secret, always=config.storage.encrypt)
        self._audit_key.ensure(tx)
        forget_sessions(tx, now)
        forget_exec_sessions(tx)

    async def _listen(self, gateway: Gateway, registry: Registry) -> None:
        config = self._config
        begun = Begun(gateway.handle)
        logging.getLogger("aiohttp.server").addFilter(is_worth_a_traceback)
        general = http_server(begun)
        look = partial(self._failures.answer, handler=registry.answer)
        lanes = Lanes(gateway.answer, general, look, registry.senders, begun.expect, Doors())
        loop = asyncio.get_running_loop()
        listener: asyncio.Server | SecureListener
        try:
            if config.tls is None:
                listener = await loop.create_server(lanes, config.host, config.port, backlog=1024)
            else:
                listener = await SecureListener.open(config.host, config.port, lanes, self._certificate(config.tls))
        except OSError as problem:
            raise _cannot_listen(config, problem) from None
        self._listener = listener
        self._jobs.append(asyncio.create_task(lanes.sweep(), name="sweep"))

        async def drain() -> None:
            """No new connections; what has begun is finished, each answer closing its connection."""
            ends = loop.time() + DRAIN_S
            listener.close()
            gateway.drain()
            # aiohttp reads no more of a body once it has been told to close, so what is being sent comes first
            await asyncio.gather(lanes.drain(DRAIN_S), begun.finished(DRAIN_S))
            general.pre_shutdown()
            await general.shutdown(max(1.0, ends - loop.time()))

        self._undo.append(drain)

    def _certificate(self, tls: Tls) -> ssl.SSLContext:
        """What the port proves itself with, kept fresh from now on. Raises CannotStart."""
        config = self._config
        names = own_names(config.host, config.account_id, config.region, AWS_REGIONS)
        try:
            certificate = ServerCertificate(DataDirectory(config.data_dir), tls, names, self._clock, self._secret)
        except CertificateProblem as problem:
            raise CannotStart(f"HTTPS cannot be served: {problem}", "give other files, or start with --no-tls") from None
        except OSError as problem:
            raise CannotStart(f"{problem.filename} cannot be used: {problem.strerror}", "see to its path and its permissions") from None
        self._jobs.append(asyncio.create_task(certificate.keep(), name="certificate"))
        return certificate.context

    async def _stop_accepting(self) -> None:
        """Before anything else is taken apart: agents whose sockets are closed must not come back to a server that goes, and nobody
        waits for events of one."""
        self._events.end_waiting()
        if self._listener is not None:
            self._listener.close()

    async def _end_jobs(self) -> None:
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)

    async def _take_apart(self) -> None:
        """Last in, first out: loops, load balancers, sockets, the listener, the store."""
        while self._undo:
            undo = self._undo.pop()
            try:
                await undo()
            except Exception:  # what is left must still be closed, the store above all
                log.exception("while stopping")


async def _preload(registry: Registry) -> None:
    await registry.prepare()
    await preload()


def _cannot_listen(config: ServerConfig, problem: OSError) -> CannotStart:
    where = f"{config.host}:{config.port}"
    if problem.errno == errno.EADDRINUSE:
        return CannotStart(
            f"another program listens on {where}", f"stop it, or choose another --port (`ss -ltnp 'sport = :{config.port}'` names it)"
        )
    if problem.errno in (errno.EACCES, errno.EPERM):
        return CannotStart(f"this user may not listen on {where}", "choose a --port above 1023, or run as root")
    return CannotStart(f"cannot listen on {where}: {problem.strerror}", "choose another --port or --host")


def _say(**facts: object) -> None:
    sys.stdout.write(msgspec.json.encode(facts).decode() + "\n")
    sys.stdout.flush()
