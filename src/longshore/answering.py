"""What answers requests, each under the paths that are its own: the APIs, the registry, agents' sockets, and the routes of our own.

All of it asks the same two things first: who is it (`identities`), and may they (`access`).
"""

from __future__ import annotations

from functools import partial

from longshore.balancing import Balancing
from longshore.config import DataDirectory
from longshore.control.deployments.outlook import outlook
from longshore.gateway.accounts import ROUTE as ACCOUNTS
from longshore.gateway.accounts import Accounts
from longshore.gateway.agents.exec_offers import AGENT_ROUTE
from longshore.gateway.agents.sessions import AgentSessions
from longshore.gateway.app import Gateway
from longshore.gateway.auditing.route import ROUTE as AUDIT
from longshore.gateway.auditing.route import AuditRoute
from longshore.gateway.authorise import Access
from longshore.gateway.balancers import ROUTE as BALANCERS
from longshore.gateway.balancers import Balancers
from longshore.gateway.claim_keys import ClaimKeys
from longshore.gateway.exec import CLIENT_ROUTE, ExecSessions
from longshore.gateway.failures import Failures
from longshore.gateway.identify import Identities
from longshore.gateway.keys import ROUTE as KEYS
from longshore.gateway.keys import KeysRoute
from longshore.gateway.limits import limiter_of
from longshore.gateway.machines import ROUTE as MACHINES
from longshore.gateway.machines import Machines
from longshore.gateway.measuring import PAGE as METRICS_PAGE
from longshore.gateway.measuring import PREFIX as MEASURED
from longshore.gateway.measuring import Measuring
from longshore.gateway.names import ROUTE as NAMES
from longshore.gateway.names import NamesRoute
from longshore.gateway.own import OwnRoutes
from longshore.gateway.trust_files import TrustFiles
from longshore.gateway.upkeep import PREFIX as UPKEEP
from longshore.gateway.upkeep import Upkeep
from longshore.kit.fetching import Fetcher
from longshore.kit.said import say
from longshore.opening import Holdings
from longshore.registry.garbage import GarbageCollector
from longshore.registry.registry import Registry
from longshore.resources import RESOURCE_SIDES
from longshore.running import Setting
from longshore.services.ecr.pull_through.cache import PullThroughCache
from longshore.services.elbv2.claims import KEYS_ROUTE
from longshore.services.elbv2.trust_stores import CONTENT_ROUTE
from longshore.services.iam.recording import Recorder
from longshore.services.sts.web_identity.issuers import Issuers


class Answering:
    def __init__(self, setting: Setting, held: Holdings, balancing: Balancing, cache: PullThroughCache, garbage: GarbageCollector) -> None:
        self._setting = setting
        self._held = held
        self._balancing = balancing
        self._cache = cache
        self._garbage = garbage
        self.failures = Failures(setting.clock)
        self._limiter = limiter_of(setting.config.limits)
        self._identities = Identities(held.store, setting.clock, setting.site, held.keys)
        self._access = self._made_access()
        self.sessions = AgentSessions(held.store, setting.clock, setting.ids, setting.site, self._identities, self._access, held.keys)
        self.registry = self._made_registry()
        self.gateway = self._made_gateway()
        self.measuring = self._made_measuring()
        self._mount_registry()
        self._mount_agents()
        self._mount_balancing()
        self._mount_upkeep()

    async def let_go(self) -> None:
        """Whoever only waits would be waited for: agents, further machines, who watches."""
        await self.measuring.close()
        await self.names.close()
        await self._balancers.close()
        await self.sessions.close()

    def _made_access(self) -> Access:
        """What decides, and tells whoever records decisions."""
        clock, running = self._setting.clock, self._setting.running
        recorder = Recorder(self._held.store, clock)
        running.ends_with(recorder.close)
        running.begin(recorder.run(), "recorder")
        access = Access(self._held.store, clock, RESOURCE_SIDES, recorder)
        access.limiter = self._limiter
        return access

    def _made_registry(self) -> Registry:
        config, clock, _, site, running = self._setting
        registry = Registry(
            store=self._held.store,
            blobs=self._held.blobs,
            clock=clock,
            site=site,
            secret=self._held.keys,
            authorise=self._access.denial,
            owner=self._identities.owner,
            ended=self._identities.has_ended,
            admit=lambda principal, action: self._limiter.admit(principal, "ecr", action),
            incomplete_images=config.incomplete_images,
            cache=self._cache,
            watch=self._held.auditing.pulls,
        )
        running.ends_with(registry.close)
        return registry

    def _made_gateway(self) -> Gateway:
        config, clock, ids, site, running = self._setting
        held = self._held
        issuers = Issuers(Fetcher(DataDirectory(config.data_dir).ca_file), clock)
        running.ends_with(issuers.close)
        return Gateway(
            store=held.store,
            blobs=held.blobs,
            clock=clock,
            ids=ids,
            site=site,
            identities=self._identities,
            access=self._access,
            signing_secret=held.keys,
            pull_through=self._cache,
            archive=held.archive,
            events=held.events,
            utilisation=self.sessions.utilisation,
            scheduler=partial(outlook, warm_up_s=site.warm_up_s),
            traffic=self._balancing.balancer.traffic,
            audit=held.auditing.log,
            watcher=held.auditing.auditor,
            entries=held.auditing.entries,
            limiter=self._limiter,
            failures=self.failures,
            issuers=issuers,
        )

    def _made_measuring(self) -> Measuring:
        return Measuring(
            store=self._held.store,
            metrics=self._held.metrics,
            collector=self._balancing.collector,
            places=self._balancing.balancer.places,
            identities=self._identities,
            access=self._access,
            clock=self._setting.clock,
            site=self._setting.site,
        )

    def _mount_registry(self) -> None:
        clock, site, held, mount = self._setting.clock, self._setting.site, self._held, self.gateway.mount
        mount("/v2/", self.registry.handle)
        mount("/_layers/", self.registry.handle)
        upkeep = Upkeep(
            store=held.store,
            blobs=held.blobs,
            collector=self._garbage,
            identities=self._identities,
            access=self._access,
            clock=clock,
            site=site,
        )
        mount(UPKEEP, upkeep.handle)

    def _mount_agents(self) -> None:
        """Machines: how they come, what they are told, and the ways into their containers."""
        config, clock, ids, site, running = self._setting
        store, mount = self._held.store, self.gateway.mount
        root_secret = config.credentials.secret_access_key
        mount(MACHINES, Machines(store, self._identities, clock, ids, site, self._held.keys, root_secret).handle)
        mount("/acs/", self.sessions.handle_control)
        mount("/tcs/", self.sessions.handle_telemetry)
        into_containers = ExecSessions(store, clock, ids, self._identities, self._access)
        mount(CLIENT_ROUTE, into_containers.handle_client)
        mount(AGENT_ROUTE, into_containers.handle_agent)
        running.ends_with(into_containers.close)

    def _mount_balancing(self) -> None:
        """What is told of load balancers beside their APIs: names, the hosts that serve them, what they did."""
        config, clock, _, site, running = self._setting
        store, keys, mount = self._held.store, self._held.keys, self.gateway.mount
        self.names = NamesRoute(store, self._identities, link_network=config.link_network, own_address=config.load_balancer_address)
        mount(NAMES, self.names.handle)
        self._balancers = Balancers(
            store=store,
            seats=self._balancing.seats,
            identities=self._identities,
            access=self._access,
            clock=clock,
            site=site,
            secret=keys,
        )
        mount(BALANCERS, self._balancers.handle)
        running.begin(self._balancers.keep_leases(), "balancer-leases")
        mount(CONTENT_ROUTE, TrustFiles(store, clock, keys).handle)
        mount(KEYS_ROUTE, ClaimKeys(keys).handle)
        mount(MEASURED, self.measuring.handle)
        mount(METRICS_PAGE, self.measuring.handle)

    def _mount_upkeep(self) -> None:
        """What an operator asks: accounts, who did what, keys, whether all is well."""
        _, clock, ids, site, _ = self._setting
        held, identities, access, mount = self._held, self._identities, self._access, self.gateway.mount
        mount(ACCOUNTS, Accounts(store=held.store, identities=identities, access=access, clock=clock, ids=ids, site=site).handle)
        audit = AuditRoute(audit=held.auditing.log, identities=identities, access=access, clock=clock, site=site)
        mount(AUDIT, audit.handle)
        keys = KeysRoute(
            store=held.store,
            keyring=held.keyring,
            identities=identities,
            access=access,
            clock=clock,
            site=site,
            handed=lambda key: say(event="master-key", key=key),
        )
        mount(KEYS, keys.handle)
        own = OwnRoutes(
            held.store, held.blobs, self.sessions, identities, clock, site, held.founding, held.archive, held.events, held.metrics
        )
        mount("/_longshore/", own.handle)  # the last: what stands under it has been asked for by then
