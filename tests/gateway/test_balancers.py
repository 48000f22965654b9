"""The routes for balancer hosts and for names: who may open them, and what comes over them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import msgspec
import pytest

from longshore.aws.sigv4 import sign
from longshore.gateway.authorise import Access
from longshore.gateway.balancers import ACTION, ROUTE, Balancers
from longshore.gateway.identify import Identities
from longshore.gateway.names import ROUTE as NAMES
from longshore.gateway.names import NamesRoute
from longshore.kit.clock import SteppedClock
from longshore.kit.sealing import seal, unseal
from longshore.services.acm.model import CERTIFICATES, PURPOSE, Certificate
from longshore.services.call import Site
from longshore.services.elbv2.feed import Greeting, Rows
from longshore.services.elbv2.hosts import BALANCER_HOSTS, BalancerHost
from longshore.services.elbv2.model import LOAD_BALANCERS, TARGETS, LoadBalancer, Target, TargetHealth, target_key
from longshore.services.elbv2.seats import Report, Seats
from longshore.services.iam import model as iam
from longshore.services.iam.identities import ensure_root
from longshore.store.base import Tx
from tests.gateway.platform import ACCOUNT, KEY, REGION, SECRET, Platform, platform_on

LB = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/web/0123456789abcdef"
GROUP = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/web/0123456789abcdef"
CERTIFICATE = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/1"
OURS, THEIRS = b"o" * 32, b"t" * 32
PATIENCE_S = 5.0


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    async with platform_on(SteppedClock()) as made, AsyncExitStack() as stack:
        store, clock = made.store, made.clock
        site = Site(ACCOUNT, REGION, ("us-test-1a",), made.url, 4566)
        identities = Identities(store, clock, site)
        seats = Seats(store)
        balancers = Balancers(
            store=store, seats=seats, identities=identities, access=Access(store, clock), clock=clock, site=site, secret=OURS
        )
        stack.push_async_callback(balancers.close)
        made.gateway.mount(NAMES, NamesRoute(store, identities, link_network="169.254.171.").handle)
        made.gateway.mount(ROUTE, balancers.handle)

        def furnish(tx: Tx) -> None:
            now = clock.now()
            tx.put(LOAD_BALANCERS, LoadBalancer(LB, "web", "application", "internal", "Web.elb.test", "Z1", now, "vpc-1", slot=1))
            tx.put(TARGETS, Target(GROUP, "10.0.0.1", 80, now, "10.0.0.1"))
            sealed = seal(OURS, PURPOSE, b"a private key")
            tx.put(
                CERTIFICATES,
                Certificate(arn=CERTIFICATE, domain_name="a.test", type="IMPORTED", status="ISSUED", created_at=now, sealed_key=sealed),
            )
            ensure_root(tx, "210987654321", "AKIASTRANGER", "strangersecret", now)
            tx.put(iam.USERS, iam.User(ACCOUNT, "ann", "AIDAANN", now))
            tx.put(iam.ACCESS_KEYS, iam.AccessKey("AKIAANN", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/ann", "annsecret", now))

        await store.transact(furnish)
        yield made


def signed(platform: Platform, path: str, query: str = "", key: str = KEY, secret: str = SECRET) -> tuple[str, dict[str, str]]:
    host = platform.url.removeprefix("http://")
    credentials = {"access_key_id": key, "secret_access_key": secret}
    headers = sign("GET", path, query, [("Host", host)], b"", region=REGION, service="longshore", now=platform.clock.now(), **credentials)
    return f"{platform.url}{path}{'?' if query else ''}{query}", headers


async def opened(platform: Platform, query: str = "address=10.0.0.7&host=a", key: str = KEY, secret: str = SECRET) -> int:
    url, headers = signed(platform, ROUTE, query, key, secret)
    try:
        async with platform.http.ws_connect(url, headers=headers):
            return 101
    except aiohttp.WSServerHandshakeError as refusal:
        return refusal.status


async def rows_of(socket: aiohttp.ClientWebSocketResponse) -> Rows:
    async with asyncio.timeout(PATIENCE_S):
        return msgspec.json.decode((await socket.receive()).data, type=Rows)


async def test_only_who_is_allowed_is_a_host(platform: Platform) -> None:
    for key, secret in ((KEY, "wrong"), ("nobody", SECRET), ("AKIASTRANGER", "strangersecret"), ("AKIAANN", "annsecret")):
        assert await opened(platform, key=key, secret=secret) in (400, 403)
    document = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ACTION, "Resource": "*"}]})
    policy = iam.InlinePolicy(f"arn:aws:iam::{ACCOUNT}:user/ann", "serve", document)
    await platform.store.transact(lambda tx: tx.put(iam.INLINE_POLICIES, policy))
    assert await opened(platform, key="AKIAANN", secret="annsecret") == 101


@pytest.mark.parametrize("query", ["", "host=", "address=10.0.0.7&host=a%20b", "address=nowhere&host=a", f"host={'a' * 65}"])
async def test_a_host_says_who_it_is_and_where(platform: Platform, query: str) -> None:
    assert await opened(platform, query) == 400


async def test_a_host_is_told_everything_with_keys_sealed_for_it_and_what_it_sees_counts(platform: Platform) -> None:
    url, headers = signed(platform, ROUTE, "address=10.0.0.7&host=a")
    key = target_key(GROUP, "10.0.0.1", 80)
    async with platform.http.ws_connect(url, headers=headers) as socket:
        await socket.send_str(msgspec.json.encode(Greeting(THEIRS)).decode())
        await socket.receive()
        told = {row.key: row for row in (await rows_of(socket)).rows}
        certificate = msgspec.json.decode(told[CERTIFICATE].value, type=Certificate)
        assert unseal(THEIRS, PURPOSE, certificate.sealed_key) == b"a private key"
        up = TargetHealth("healthy", since=1.0)
        await socket.send_str(msgspec.json.encode(Report(health={key: up})).decode())
        (change,) = (await rows_of(socket)).rows
        assert change.key == key and platform.store.get(TARGETS, key).health == up  # type: ignore[union-attr]
        found = platform.store.get(BALANCER_HOSTS, "a")
        assert found is not None and (found.state, found.address) == ("connected", "10.0.0.7")
    url, headers = signed(platform, ROUTE)
    async with asyncio.timeout(PATIENCE_S), platform.http.get(url, headers=headers) as answer:
        assert (await answer.json())["hosts"][0]["id"] == "a"


async def test_a_line_ends_with_the_key_that_opened_it(platform: Platform) -> None:
    jobs = asyncio.create_task(platform.gateway._mounts[ROUTE].__self__.keep_leases())  # type: ignore[attr-defined]
    ours = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ACTION, "Resource": "*"}]})
    await platform.store.transact(
        lambda tx: tx.put(iam.INLINE_POLICIES, iam.InlinePolicy(f"arn:aws:iam::{ACCOUNT}:user/ann", "serve", ours))
    )
    url, headers = signed(platform, ROUTE, "host=a", "AKIAANN", "annsecret")
    async with platform.http.ws_connect(url, headers=headers) as socket:
        await socket.send_str(msgspec.json.encode(Greeting(b"")).decode())
        await socket.receive()
        await platform.clock.step(2)
        assert not socket.closed
        await platform.store.transact(lambda tx: tx.delete(iam.ACCESS_KEYS, "AKIAANN"))
        await platform.clock.step(2)
        async with asyncio.timeout(PATIENCE_S):
            while (await socket.receive()).type not in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING):
                pass
    jobs.cancel()


async def test_names_lead_to_where_the_one_who_asks_reaches_them(platform: Platform) -> None:
    await platform.store.transact(lambda tx: tx.put(BALANCER_HOSTS, BalancerHost("b", "10.0.0.8", "arn")))
    for address, wanted in (("127.0.1.1", "169.254.171.1"), ("10.0.0.8", "169.254.171.1"), ("10.0.0.99", "10.0.0.8")):
        url, headers = signed(platform, NAMES, f"address={address}&after=")
        async with platform.http.get(url, headers=headers) as answer:
            assert (await answer.json())["names"] == {"web.elb.test": [wanted]}


async def test_nobody_without_a_key_is_told_names_and_who_knows_them_waits(platform: Platform) -> None:
    url, headers = signed(platform, NAMES, "address=127.0.1.1&after=", secret="wrong")
    async with platform.http.get(url, headers=headers) as answer:
        assert answer.status in (400, 403)
    url, headers = signed(platform, NAMES, "address=127.0.1.1&after=")
    async with platform.http.get(url, headers=headers) as answer:
        mark = (await answer.json())["mark"]
    url, headers = signed(platform, NAMES, f"address=127.0.1.1&after={mark}")
    asking = asyncio.create_task(platform.http.get(url, headers=headers).__aenter__())
    await platform.store.transact(lambda tx: tx.delete(LOAD_BALANCERS, LB))
    async with asyncio.timeout(PATIENCE_S):
        answer = await asking
        assert (await answer.json())["names"] == {}
        answer.release()
