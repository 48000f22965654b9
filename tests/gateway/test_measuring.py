"""The routes for what is measured: who may see it, with which proof, and what they answer."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from longshore.aws.sigv4 import sign
from longshore.balancer.access_log.legend import Legend, Place, encoded
from longshore.balancer.metrics.collector import Collector
from longshore.balancer.process import HAProxy
from longshore.balancer.render.places import Places
from longshore.balancer.runtime import Runtime
from longshore.balancer.snapshot import Snapshot
from longshore.gateway.authorise import Access
from longshore.gateway.identify import Identities
from longshore.gateway.measuring import PAGE, PREFIX, Measuring
from longshore.kit.clock import SteppedClock, SystemClock
from longshore.services.call import Site
from longshore.services.elbv2.model import LOAD_BALANCERS, LoadBalancer
from longshore.services.iam import model as iam
from longshore.services.iam.identities import ensure_root
from longshore.store.base import Tx
from longshore.store.memory_metrics import MemoryMetricStore
from longshore.store.metrics import Datum, Series, total
from tests.gateway.platform import ACCOUNT, KEY, REGION, SECRET, Platform, platform_on

ARN = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/web/0123456789abcdef"
STRANGER = "210987654321"


@dataclass
class Office:
    platform: Platform
    metrics: MemoryMetricStore
    places: Places

    def signed(self, path: str, query: str = "", key: str = KEY, secret: str = SECRET) -> tuple[str, dict[str, str]]:
        host = self.platform.url.removeprefix("http://")
        credentials = {"access_key_id": key, "secret_access_key": secret}
        now = self.platform.clock.now()
        headers = sign("GET", path, query, [("Host", host)], b"", region=REGION, service="longshore", now=now, **credentials)
        return f"{self.platform.url}{path}{'?' if query else ''}{query}", headers

    async def ask(self, path: str, query: str = "", key: str = KEY, secret: str = SECRET) -> tuple[int, str]:
        url, headers = self.signed(path, query, key, secret)
        async with self.platform.http.get(url, headers=headers) as answer:
            return answer.status, await answer.text()

    async def scrape(self, **headers: str) -> tuple[int, str]:
        async with self.platform.http.get(f"{self.platform.url}{PAGE}", headers=headers) as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with platform_on(SteppedClock()) as platform:
        store, clock, metrics = platform.store, platform.clock, MemoryMetricStore()
        site, places = Site(ACCOUNT, REGION, ("us-test-1a",), platform.url, 4566), Places(str(tmp_path))
        haproxy = HAProxy("haproxy", places, tmp_path / "log", clock)
        collector = Collector(metrics, clock, haproxy, Runtime(places.runtime_socket), Snapshot, told=tmp_path, scope=f"{REGION}:{ACCOUNT}")
        measuring = Measuring(
            store=store,
            metrics=metrics,
            collector=collector,
            places=places,
            identities=Identities(store, clock, site),
            access=Access(store, clock),
            clock=SystemClock(),
            site=site,
        )
        platform.gateway.mount(PAGE, measuring.handle)
        platform.gateway.mount(PREFIX, measuring.handle)

        def furnish(tx: Tx) -> None:
            now = clock.now()
            tx.put(LOAD_BALANCERS, LoadBalancer(ARN, "web", "application", "internal", "web.test", "Z1", now, "vpc-1", slot=1))
            ensure_root(tx, STRANGER, "AKIASTRANGER", "strangersecret", now)
            arn = f"arn:aws:iam::{ACCOUNT}:user/ann"
            tx.put(iam.USERS, iam.User(ACCOUNT, "ann", "AIDAANN", now))
            tx.put(iam.ACCESS_KEYS, iam.AccessKey("AKIAANN", ACCOUNT, arn, "annsecret", now))

        await store.transact(furnish)
        yield Office(platform, metrics, places)
        await measuring.close()


def basic(key: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode()}


async def allow(office: Office, action: str, resource: str = "*") -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]})
    policy = iam.InlinePolicy(f"arn:aws:iam::{ACCOUNT}:user/ann", "measure", document)
    await office.platform.store.transact(lambda tx: tx.put(iam.INLINE_POLICIES, policy))


async def test_nobody_sees_the_page_without_a_proof_of_who_he_is(office: Office) -> None:
    for headers in ({}, basic(KEY, "wrong"), basic("nobody", SECRET), {"Authorization": "Basic %%%"}, {"Authorization": "Bearer x"}):
        assert (await office.scrape(**headers))[0] in (400, 401, 403)
    status, text = await office.scrape(**basic(KEY, SECRET))
    assert status == 200 and "longshore_store_revision" in text
    assert (await office.ask(PAGE))[0] == 200


async def test_the_page_is_for_whoever_the_account_allows_it(office: Office) -> None:
    assert (await office.scrape(**basic("AKIAANN", "annsecret")))[0] == 400
    assert (await office.scrape(**basic("AKIASTRANGER", "strangersecret")))[0] == 400
    await allow(office, "longshore:GetMetrics")
    assert (await office.scrape(**basic("AKIAANN", "annsecret")))[0] == 200


async def test_a_load_balancers_metrics_are_its_accounts_alone(office: Office) -> None:
    series = Series(f"{REGION}:{ACCOUNT}", "AWS/ApplicationELB", "RequestCount", (("LoadBalancer", "app/web/0123456789abcdef"),), "Count")
    now = int(time.time())  # what the routes go by, since they wait for real
    await office.metrics.append([Datum(series, now - 60, total(3)), Datum(series, now - 120, total(4))])
    status, text = await office.ask(f"{PREFIX}metrics", f"arn={quoted(ARN)}&s=600")
    (told,) = json.loads(text)["series"]
    assert (status, told["metric"], told["sum"], told["samples"]) == (200, "RequestCount", 7, 2)
    assert (await office.ask(f"{PREFIX}metrics", f"arn={quoted(ARN)}", "AKIASTRANGER", "strangersecret"))[0] == 404
    assert (await office.ask(f"{PREFIX}metrics", f"arn={quoted(ARN)}", "AKIAANN", "annsecret"))[0] == 400
    await allow(office, "longshore:GetMetrics", ARN)
    assert (await office.ask(f"{PREFIX}metrics", f"arn={quoted(ARN)}", "AKIAANN", "annsecret"))[0] == 200
    for s in ("0", "abc", "99999999", "-1"):
        assert (await office.ask(f"{PREFIX}metrics", f"arn={quoted(ARN)}&s={s}"))[0] == 400


def prepared(places: Places) -> tuple[Path, str]:
    """(a spool, the mark that its lines name)."""
    listener = ARN.replace("loadbalancer", "listener") + "/1"
    legend = Legend(ARN, "web", "application", listener, "HTTP", 80, "127.0.2.1", Place("logs"), rules={"0": ("forward",)})
    mark, content = encoded(legend)
    Path(places.legends).mkdir()
    Path(places.legend(mark)).write_bytes(content)
    Path(places.spool).write_bytes(b"#1\nbefore\n")
    return Path(places.spool), mark


async def test_what_comes_is_seen_by_whoever_watches(office: Office) -> None:
    spool, mark = prepared(office.places)
    url, headers = office.signed(f"{PREFIX}tail", f"arn={quoted(ARN)}")
    async with office.platform.http.get(url, headers=headers) as answer:
        assert json.loads(await answer.content.readline()) == {"loadBalancer": "app/web/0123456789abcdef", "accessLogs": False}
        writing = asyncio.create_task(write_until(spool, answer, mark))
        line = b""
        while not line.strip():
            line = await asyncio.wait_for(answer.content.readline(), 10)
        writing.cancel()
        seen = json.loads(line)
        assert (seen["status"], seen["path"], seen["target"], seen["ms"]) == ("200", "/a", "10.0.0.1:80", 5)


async def write_until(spool: Path, answer: aiohttp.ClientResponse, mark: str) -> None:
    """One line after the other: when the watching has begun is not known here."""
    common = f"@R\t{mark}\t7\t0\t1530570180186641\t10.0.0.9\t2817\t--\t34\t366\t-1\t-\t-\t0\t-"
    line = f"{common}\ttg-a-1\ti\t10.0.0.1\t80\t200\t0\t0\t0\t5\t5\t0|tg-a-1\t-\tGET /a HTTP/1.1\t{{}}\t{{}}\n"
    while not answer.closed:
        with spool.open("ab") as file:
            file.write(line.encode())
        await asyncio.sleep(0.02)


async def test_only_so_many_watch_and_only_those_who_may(office: Office) -> None:
    assert (await office.ask(f"{PREFIX}tail", f"arn={quoted(ARN)}", "AKIAANN", "annsecret"))[0] == 400
    assert (await office.ask(f"{PREFIX}tail", f"arn={quoted(ARN)}", "AKIASTRANGER", "strangersecret"))[0] == 404
    assert (await office.ask(f"{PREFIX}tail", "arn=x"))[0] == 404
    assert (await office.ask(f"{PREFIX}other"))[0] == 404


def quoted(arn: str) -> str:
    return arn.replace(":", "%3A").replace("/", "%2F")
