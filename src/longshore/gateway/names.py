"""Longshore's own route by which agents learn the names of load balancers. The client is the agent.

    GET /_longshore/names?address=ADDRESS&after=MARK     signed; waits a while for what is not MARK any more

The answer is {"mark", "names": {NAME: [ADDRESS…]}}: where containers at the agent with that address reach each load balancer. On the
platform's own machine that is the load balancer's own address there; elsewhere it is where its balancer hosts can be reached by other
machines. Whoever has a key may ask, whatever its policies say: names of load balancers are no secret in AWS either, where everybody
can look them up.
"""

from __future__ import annotations

import asyncio
import hashlib
from ipaddress import ip_address

import msgspec
from aiohttp import web

from longshore.aws.errors import AwsError
from longshore.gateway.answer import Answer
from longshore.gateway.identify import Identities
from longshore.gateway.request import ApiRequest
from longshore.services.elbv2.hosts import BALANCER_HOSTS, address_on, live_addresses
from longshore.services.elbv2.model import LOAD_BALANCERS
from longshore.store.base import Reader, Store, Watch
from longshore.store.watch import WatchClosed

ROUTE = "/_longshore/names"
_WAIT_S = 20.0


class Names(msgspec.Struct, frozen=True):
    #: another one for each change
    mark: str
    names: dict[str, tuple[str, ...]]


class NamesRoute:
    def __init__(self, store: Store, identities: Identities, *, link_network: str, own_address: str = "") -> None:
        """`link_network`: what load balancers' addresses for containers begin with on balancers' machines, "" where there are none;
        `own_address`: where other machines reach this one's load balancers, "" where they do not."""
        self._store = store
        self._identities = identities
        self._link_network = link_network
        self._own_address = own_address
        self._waiting: set[Watch] = set()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def close(self) -> None:
        """Whoever waits is answered: the server stops."""
        for watch in self._waiting:
            watch.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != ROUTE or request.method != "GET":
            return _json(405, {"error": "MethodNotAllowed", "message": f"There is GET {ROUTE}."})
        try:
            self._identities.identify(ApiRequest.of(request, b""))
        except AwsError as error:
            code, status = error.wire("json")
            return _json(status, {"error": code, "message": error.message})
        address, after = request.query.get("address", ""), request.query.get("after", "")
        watch = self._store.watch(LOAD_BALANCERS, BALANCER_HOSTS)
        self._waiting.add(watch)
        try:
            async with asyncio.timeout(_WAIT_S):
                while (found := self._names(self._store, address)).mark == after:
                    await watch.next()
        except (TimeoutError, WatchClosed):
            found = self._names(self._store, address)
        finally:
            self._waiting.discard(watch)
            watch.close()
        return Answer(200, msgspec.json.encode(found), "application/json")

    def _names(self, reader: Reader, address: str) -> Names:
        hosts = reader.list(BALANCER_HOSTS)
        beside = _is_loopback(address) or any(host.address == address and host.state == "connected" for host in hosts)
        names: dict[str, tuple[str, ...]] = {}
        for lb in reader.list(LOAD_BALANCERS):
            found: tuple[str, ...]
            if beside:
                found = (address_on(lb.slot, self._link_network),) if self._link_network else ()
            else:
                found = live_addresses(hosts, self._own_address)
            if found:
                names[lb.dns_name.lower()] = found
        return Names(hashlib.sha256(msgspec.json.encode(names, order="deterministic")).hexdigest()[:16], names)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _json(status: int, body: dict[str, object]) -> Answer:
    return Answer(status, msgspec.json.encode(body), "application/json")
