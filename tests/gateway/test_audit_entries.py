"""What comes in by other doors than the APIs': routes of our own and agents' sockets leave records, too; and the log's own route."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from longshore.aws.sigv4 import sign
from longshore.gateway.attempt import Limiter
from longshore.gateway.buckets import Rate
from longshore.gateway.limits import RateLimits
from tests.gateway.test_auditing import ACCOUNT, ANN, OTHER, REGION, ROOT, STRANGER, House, built


class Wired(House):
    url: str
    http: aiohttp.ClientSession

    async def get(
        self, path: str, query: str = "", key: tuple[str, str] | None = ROOT, method: str = "GET"
    ) -> tuple[int, list[dict[str, Any]]]:
        """The JSON lines of the answer."""
        url = f"{self.url}{path}{f'?{query}' if query else ''}"
        async with self.http.request(
            method, aiohttp.client.URL(url, encoded=True), headers=self.signed(path, query, key, method)
        ) as answer:
            return answer.status, [json.loads(line) for line in (await answer.read()).splitlines() if line]

    def signed(self, path: str, query: str, key: tuple[str, str] | None, method: str = "GET") -> dict[str, str]:
        headers = {"Host": self.url.removeprefix("http://"), "User-Agent": "tests/1"}
        if key is None:
            return headers
        more = sign(
            method,
            path,
            query,
            headers.items(),
            b"",
            access_key_id=key[0],
            secret_access_key=key[1],
            region=REGION,
            service="longshore",
            now=self.clock.now(),
        )
        return {**headers, **more}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Wired]:
    async for made in wired(tmp_path):
        yield made


async def wired(tmp_path: Path, limiter: Limiter | None = None) -> AsyncIterator[Wired]:
    async for plain in built(tmp_path, limiter=limiter):
        made = Wired(plain.clock, plain.gateway, plain.auditing, plain.log)
        runner = web.ServerRunner(web.Server(made.gateway.handle, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as made.http:
            yield made
        await runner.cleanup()


async def test_who_uses_a_route_of_our_own_is_recorded_with_what_it_came_to(house: Wired) -> None:
    assert (await house.get("/_longshore/accounts"))[0] == 200
    assert (await house.get("/_longshore/accounts", "id=22", method="POST"))[0] == 400
    assert (await house.get("/_longshore/accounts", key=ANN))[0] == 400
    listed, admitted, failed, denied = house.records()
    assert (listed["eventSource"], listed["eventName"], listed["readOnly"]) == ("longshore", "ListAccounts", True)
    assert (admitted["eventName"], admitted.get("errorCode"), admitted["requestParameters"]["id"]) == ("CreateAccountKey", None, "22")
    assert failed["requestID"] == admitted["requestID"] and failed["errorCode"] == "ValidationException"
    assert denied["errorCode"] == "AccessDenied" and denied["userIdentity"]["userName"] == "ann"


async def test_whoever_is_not_known_at_a_route_of_our_own_is_counted_with_the_strangers(house: Wired) -> None:
    for _ in range(3):
        await house.get("/_longshore/accounts", key=None)
    (record,) = house.records()
    assert record["userIdentity"] == {"type": "Unknown"} and record["eventName"] == "GET /_longshore/accounts"


async def test_who_asks_too_much_of_a_route_of_our_own_is_recorded_once_and_then_counted(tmp_path: Path) -> None:
    async for house in wired(tmp_path, RateLimits(lambda api, operation: (operation, Rate(1, 1)), lambda: 0.0)):
        for _ in range(9):
            assert (await house.get("/_longshore/accounts", key=ANN))[0] == 400
        denied, held_up = house.records()
        assert (denied["errorCode"], held_up["errorCode"]) == ("AccessDenied", "ThrottlingException")
        assert held_up["userIdentity"]["userName"] == "ann"
        house.auditing.auditor.tick(at_the_end=True)
        (counted,) = house.records()[2:]
        assert (counted["additionalEventData"]["furtherAttempts"], counted["eventSource"]) == (7, "longshore")


async def test_what_a_url_is_signed_with_is_in_no_record(house: Wired) -> None:
    await house.get("/_longshore/accounts", "X-Amz-Security-Token=abc&id=1&token=hunter2", method="POST")
    assert house.records()[0]["requestParameters"] == {"method": "POST", "path": "/_longshore/accounts", "id": "1"}


async def test_a_route_is_not_answered_where_nothing_can_be_recorded(house: Wired) -> None:
    house.log.directory.rename(house.log.directory.with_name("gone"))
    await house.clock.step(3600)
    assert (await house.get("/_longshore/accounts"))[0] == 503
    house.log.directory.with_name("gone").rename(house.log.directory)


async def things_happened(house: Wired) -> None:
    await house.ask("ecs", "CreateCluster", {"clusterName": "web"})
    await house.clock.step(60)
    await house.ask("ecs", "DeleteCluster", {"cluster": "web"}, ANN)
    await house.clock.step(60)
    await house.ask("ecs", "DeleteCluster", {"cluster": "none"})
    await house.ask("iam", "CreateUser", {"UserName": "bob"})
    await house.ask("ecs", "ListTasks", {}, STRANGER)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("who=ann", ["DeleteCluster"]),
        (f"who=arn%3Aaws%3Aiam%3A%3A{ACCOUNT}%3Auser%2Fann", ["DeleteCluster"]),
        (f"who={ANN[0]}", ["DeleteCluster"]),
        (f"who={ACCOUNT}&action=DeleteCluster", ["DeleteCluster", "DeleteCluster"]),
        (f"who={OTHER}", ["ListTasks"]),
        ("who=333333333333", []),
        ("action=DeleteCluster", ["DeleteCluster", "DeleteCluster"]),
        ("action=ecs%3ADeleteCluster&who=root", ["DeleteCluster"]),
        ("action=iam%3ADeleteCluster", []),
        ("resource=web", ["CreateCluster", "DeleteCluster"]),
        ("resource=user%2Fbob", ["CreateUser"]),
        ("outcome=denied", ["DeleteCluster"]),
        ("outcome=errors", ["DeleteCluster", "DeleteCluster", "ListTasks"]),
        ("since=1700000001&until=1700000060", ["DeleteCluster"]),
        ("account=999999999999", []),
        ("limit=1&action=CreateUser", ["CreateUser"]),
    ],
)  # fmt: skip
async def test_records_are_found_by_who_what_when_and_outcome_the_oldest_first(house: Wired, query: str, found: list[str]) -> None:
    await things_happened(house)
    status, lines = await house.get("/_longshore/audit", query)
    assert status == 200 and [line["eventName"] for line in lines if line["eventSource"] != "longshore"] == found


@pytest.mark.parametrize("query", ["who=x&colour=red", "since=yesterday", "limit=-1", "limit=100000", "outcome=good", f"who={'x' * 3000}"])
async def test_what_is_not_understood_is_refused(house: Wired, query: str) -> None:
    status, (answer,) = await house.get("/_longshore/audit", query)
    assert (status, answer["error"]) == (400, "ValidationException")


async def test_the_log_is_shown_to_those_alone_who_may(house: Wired) -> None:
    for path in ("/_longshore/audit", "/_longshore/audit/digests"):
        status, (answer,) = await house.get(path, key=ANN)
        assert (status, answer["error"]) == (400, "AccessDeniedException")
    status, (digests,) = await house.get("/_longshore/audit/digests")
    assert status == 200 and digests["publicKey"].startswith("-----BEGIN PUBLIC KEY-----")
    assert (await house.get("/_longshore/audit/nothing"))[0] == 404
    assert (await house.get("/_longshore/audit", method="POST"))[0] == 405


async def test_whoever_follows_sees_each_record_once_also_over_the_change_of_files(house: Wired) -> None:
    await house.ask("ecs", "CreateCluster", {"clusterName": "before"})
    query = "action=CreateCluster&follow=yes"
    url = aiohttp.client.URL(f"{house.url}/_longshore/audit?{query}", encoded=True)
    seen: list[str] = []
    async with house.http.get(url, headers=house.signed("/_longshore/audit", query, ROOT)) as answer, asyncio.timeout(10):
        for number in range(6):
            while len(seen) < number + 1:
                if line := (await answer.content.readline()).strip():
                    seen.append(json.loads(line)["requestParameters"]["clusterName"])
            if number % 2:
                await house.clock.step(3600)
                await house.log.tick()
            await house.ask("ecs", "ListClusters", {})
            await house.ask("ecs", "CreateCluster", {"clusterName": f"c{number}"})
    assert seen == ["before", "c0", "c1", "c2", "c3", "c4"]
