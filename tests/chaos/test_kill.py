"""kill -9 of the server at random moments under a write load: whatever was acknowledged is there afterwards.

HAProxy belongs to the server and outlives it: a load balancer answers all the while.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import boto3
import pytest

from tests.chaos.server_process import KEY, REGION, SECRET, ServerProcess
from tests.chaos.write_load import REPOSITORY, Book, Load, verify

KILLS = 22
#: load balancer N listens on this with N as its last number
NETWORK = "127.0.78."


@pytest.fixture
async def server(tmp_path: Path, free_port: Callable[..., int]) -> AsyncIterator[ServerProcess]:
    made = ServerProcess(tmp_path, free_port(), haproxy="haproxy", load_balancer_network=NETWORK)
    yield made
    haproxy = tmp_path / "data" / "run" / "haproxy" / "haproxy.pid"
    try:
        await made.stop()
    finally:
        if haproxy.exists():  # the server takes it along when it stops; a failed test may have left it
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(haproxy.read_text()), signal.SIGTERM)


def balanced(server: ServerProcess, port: int) -> None:
    """A load balancer with a listener on `port` that answers by itself."""
    client = boto3.client("elbv2", endpoint_url=server.url, region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET)
    ec2 = boto3.client("ec2", endpoint_url=server.url, region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET)
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
    arn = client.create_load_balancer(Name="steady", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    fixed = {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": "still here"}
    client.create_listener(
        LoadBalancerArn=arn, Protocol="HTTP", Port=port, DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": fixed}]
    )


class Visitor:
    """Asks the load balancer for the same page over and over, on a new connection each time."""

    def __init__(self, port: int) -> None:
        self._url = f"http://{NETWORK}1:{port}/"
        self.answered = 0
        self.failures: list[str] = []

    async def until_first_answer(self) -> None:
        async with asyncio.timeout(20):
            while not self.answered:
                await self._visit()
                await asyncio.sleep(0.05)
        self.failures.clear()

    async def forever(self) -> None:
        while True:
            await self._visit()
            await asyncio.sleep(0.02)

    async def _visit(self) -> None:
        try:
            async with aiohttp.ClientSession() as http, http.get(self._url) as answer:
                if await answer.text() == "still here":
                    self.answered += 1
                else:
                    self.failures.append(f"{answer.status}")
        except aiohttp.ClientError as error:
            self.failures.append(repr(error))


@pytest.mark.engine("haproxy")
async def test_every_acknowledged_write_outlives_the_server_and_load_balancers_serve_on(
    server: ServerProcess, free_port: Callable[..., int]
) -> None:
    moments = random.Random(2)
    port = free_port(f"{NETWORK}1")
    everything = Book()
    facts = await server.start()
    haproxy = facts["haproxy_pid"]
    await asyncio.to_thread(balanced, server, port)
    visitor = Visitor(port)
    await visitor.until_first_answer()
    visits = asyncio.create_task(visitor.forever())
    starts = []

    for turn in range(KILLS):
        written = Book()
        async with aiohttp.ClientSession() as http:
            await server.log_in(http)
            if turn == 0:
                await server.call(http, "ecr", "CreateRepository", {"repositoryName": REPOSITORY})
            load = asyncio.create_task(Load(server, http, written, turn).until_cut_off())
            await acknowledged(written, moments.randrange(1, 200), load)
            await server.kill()
            await load
        if turn % 5 == 4:  # this one is killed while it starts, wherever it is by then
            await server.spawn()
            await asyncio.sleep(moments.uniform(0.2, 0.9))
            await server.kill()
        facts = await server.start()
        starts.append(server.started_in_s)
        assert facts["haproxy_pid"] == haproxy, "HAProxy was not found again, and another one started"
        async with aiohttp.ClientSession() as http:
            await verify(server, http, written)
        merge(everything, written)

    assert everything.acknowledged > 10 * KILLS
    assert len(everything.blobs) > KILLS
    async with aiohttp.ClientSession() as http:
        await verify(server, http, everything)
    visits.cancel()
    assert visitor.answered > 10 * KILLS
    assert visitor.failures == []
    assert max(starts) < 10, starts
    assert await server.stop() == 0
    assert not is_running(haproxy)
    assert "Traceback" not in server.log


async def acknowledged(written: Book, writes: int, load: asyncio.Task[None]) -> None:
    """Returns after that many writes; raises what ended the load before."""
    async with asyncio.timeout(30):
        while written.acknowledged < writes:
            if load.done():
                load.result()
                raise AssertionError("the server went away by itself")
            await asyncio.sleep(0.001)


def is_running(pid: int) -> bool:
    """Zombies are not: in a container nobody may be there to bury them."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def merge(everything: Book, written: Book) -> None:
    everything.clusters |= written.clusters
    everything.deleted_clusters |= written.deleted_clusters
    again = everything.revisions & written.revisions
    assert not again, f"given out twice: {again}"
    everything.revisions |= written.revisions
    everything.repositories |= written.repositories
    everything.blobs |= written.blobs
    everything.images |= written.images
