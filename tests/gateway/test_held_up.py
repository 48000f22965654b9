"""The gateway under more than it may be asked: clients are told to wait in the words of their API, and get by when they do."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import boto3
import pytest
from aiohttp import web
from botocore.config import Config
from botocore.exceptions import ClientError

from longshore.gateway.app import Gateway
from longshore.gateway.authorise import Access
from longshore.gateway.buckets import Rate
from longshore.gateway.failures import ELSEWHERE, HELD_S, LOOPBACK, Failures, Uncounted
from longshore.gateway.identify import Identities
from longshore.gateway.limits import RateLimits
from longshore.kit.clock import SteppedClock, SystemClock
from longshore.kit.ids import RandomIds
from longshore.resources import RESOURCE_SIDES
from longshore.services.call import Site
from longshore.store.base import Store
from tests.gateway.conftest import KEY, SECRET, Client


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def gateway(store: Store, site: Site) -> Gateway:
    """Everybody may ask twice, and four times a second after that."""
    clock = SystemClock()
    identities, access = Identities(store, clock, site), Access(store, clock, RESOURCE_SIDES)
    limits = RateLimits(lambda api, operation: ("all", Rate(2, 4)))
    return Gateway(
        store=store,
        blobs=None,  # type: ignore[arg-type]
        clock=clock,
        ids=RandomIds(),
        site=site,
        identities=identities,
        access=access,
        signing_secret=b"s" * 32,
        limiter=limits,
    )


async def test_clients_are_told_in_the_words_of_their_api_and_when_to_come_back(client: Client) -> None:
    async def third(send: Callable[[], Any]) -> Any:
        for _ in range(3):
            answered = await send()
        assert answered.headers["Retry-After"] == "1" and 1 <= int(answered.headers["x-amz-retry-after"]) <= 250
        return answered

    told = await third(lambda: client.json("ListClusters"))
    assert told.status == 400 and json.loads(told.body) == {"__type": "ThrottlingException", "message": "Rate exceeded"}
    told = await third(lambda: client.query("Action=GetCallerIdentity&Version=2011-06-15"))
    assert told.status == 400 and "<Code>Throttling</Code><Message>Rate exceeded</Message>" in told.text
    told = await third(lambda: client.query("Action=DescribeVpcs&Version=2016-11-15", service="ec2"))
    assert told.status == 503 and "<Code>RequestLimitExceeded</Code>" in told.text


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
async def test_sdks_get_by_with_their_own_ways_to_hold_back(client: Client, mode: str) -> None:
    retries = {"mode": mode, "max_attempts": 8 if mode != "legacy" else 7}
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    sdk = boto3.client("ecs", endpoint_url=client.url, config=Config(retries=retries), **keys)  # type: ignore[call-overload]
    answers = await asyncio.to_thread(lambda: [sdk.list_clusters() for _ in range(3)])
    tried = sum(answer["ResponseMetadata"]["RetryAttempts"] for answer in answers)
    assert tried > 0 and all(answer["clusterArns"] == [] for answer in answers)


async def test_who_does_not_retry_sees_the_error(client: Client) -> None:
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    sdk = boto3.client("ecs", endpoint_url=client.url, config=Config(retries={"total_max_attempts": 1}), **keys)  # type: ignore[call-overload]

    def ask() -> str:
        try:
            for _ in range(3):
                sdk.list_clusters()
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""

    assert await asyncio.to_thread(ask) == "ThrottlingException"


# ── failures ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def held(failures: Failures, remote: str) -> asyncio.Task[None]:
    waits = asyncio.ensure_future(failures.hold(remote))
    await asyncio.sleep(0)
    return waits


async def test_failures_of_one_address_wait_once_there_are_many_and_those_of_others_do_not() -> None:
    clock, time = SteppedClock(), Time()
    failures = Failures(clock, time)
    for _ in range(int(ELSEWHERE.burst)):
        await failures.hold("10.0.0.9")
    waits = await held(failures, "10.0.0.9")
    await failures.hold("10.0.0.10")
    await failures.hold("127.0.0.1")
    await clock.step(HELD_S * 0.9)
    assert not waits.done()
    await clock.step(HELD_S * 0.2)
    assert waits.done()
    time.now += 1.0
    for _ in range(int(ELSEWHERE.per_s)):
        await failures.hold("10.0.0.9")
    waits = await held(failures, "10.0.0.9")
    assert not waits.done()
    waits.cancel()


async def test_a_run_of_tests_on_this_machine_does_not_wait_for_its_wrong_keys() -> None:
    failures = Failures(SteppedClock(), Time())
    for _ in range(int(LOOPBACK.burst)):
        await failures.hold("127.0.0.1")


async def test_where_failures_are_not_counted_nobody_waits() -> None:
    uncounted = Uncounted(SteppedClock(), Time())
    for _ in range(int(LOOPBACK.burst) + 10):
        await uncounted.hold("10.0.0.9")


class Spent(Failures):
    """Every failure is one too many; `held_up` counts them."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.held_up = 0

    async def hold(self, remote: str) -> None:
        assert remote == "127.0.0.1"
        self.held_up += 1


@pytest.fixture
async def door(store: Store, site: Site) -> AsyncIterator[tuple[Spent, Client]]:
    """A gateway whose failures are counted, with a door beside the APIs that answers as it is asked."""
    clock, spent = SystemClock(), Spent()
    gateway = Gateway(
        store=store,
        blobs=None,  # type: ignore[arg-type]
        clock=clock,
        ids=RandomIds(),
        site=site,
        identities=Identities(store, clock, site),
        access=Access(store, clock, RESOURCE_SIDES),
        signing_secret=b"s" * 32,
        failures=spent,
    )

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=int(request.path.rpartition("/")[2]))

    gateway.mount("/v2/", answer)
    runner = web.ServerRunner(web.Server(gateway.handle, access_log=None, auto_decompress=False))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield spent, Client(f"http://127.0.0.1:{runner.addresses[0][1]}", session)
    await runner.cleanup()


async def test_only_what_nobody_signed_is_held_back_at_the_apis(door: tuple[Spent, Client]) -> None:
    spent, client = door
    await client.json("ListClusters")
    await client.json("DescribeServices", b"{}")
    await client.json("NoSuchOperation")
    assert spent.held_up == 0
    await client.json("ListClusters", secret="wrong")
    await client.json("ListClusters", key="AKIANOBODY")
    await client.json("ListClusters", skew_s=-4000.0)
    async with client.session.post(client.url, data=b"{}"):
        pass
    assert spent.held_up == 4


async def test_refusals_of_other_doors_are_held_back_but_not_the_question_which_password_there_is(door: tuple[Spent, Client]) -> None:
    spent, client = door
    login = {"Authorization": "Basic " + base64.b64encode(b"AWS:guess").decode()}
    for status, headers, held_up in ((200, login, 0), (404, login, 0), (401, {}, 0), (401, login, 1), (403, {}, 2), (400, {}, 3)):
        async with client.session.get(f"{client.url}/v2/{status}", headers=headers) as answered:
            assert answered.status == status
        assert spent.held_up == held_up
