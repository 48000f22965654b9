"""Longshore's own routes: health for everybody, reset for the root user in --dev mode."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from longshore.aws.sigv4 import sign
from longshore.gateway.identify import Identities
from longshore.gateway.own import OwnRoutes
from longshore.kit.clock import SteppedClock
from longshore.services.call import Site
from longshore.services.ecs.model import CLUSTERS, CONTAINER_INSTANCES, TASK_DEFINITIONS, TASKS
from longshore.services.iam import model as iam
from longshore.services.iam.identities import ensure_root
from longshore.store.archive import MemoryArchive
from longshore.store.base import Tx
from longshore.store.memory_blobs import MemoryBlobStore
from longshore.store.memory_events import MemoryEventLog
from tests.gateway.platform import ACCOUNT, CLUSTER, INSTANCE, KEY, REGION, SECRET, Platform, platform_on, until
from tests.gateway.stock_agent import StockAgent


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    async with platform_on(SteppedClock()) as made:
        mount(made, dev=True)
        await made.cluster()
        await made.instance()
        await made.definition()
        yield made


def mount(platform: Platform, *, dev: bool) -> None:
    site = Site(ACCOUNT, REGION, ("us-test-1a",), platform.url, 4566, dev=dev)

    def found(tx: Tx, now: float) -> None:
        ensure_root(tx, ACCOUNT, KEY, SECRET, now)

    identities = Identities(platform.store, platform.clock, site)
    keeping = (MemoryArchive(), MemoryEventLog())
    own = OwnRoutes(platform.store, MemoryBlobStore(), platform.sessions, identities, platform.clock, site, found, *keeping)
    platform.gateway.mount("/_longshore/", own.handle)


async def reset(platform: Platform, key: str = KEY, secret: str = SECRET) -> tuple[int, dict[str, Any]]:
    host = platform.url.removeprefix("http://")
    headers = sign(
        "POST",
        "/_longshore/reset",
        "",
        [("Host", host)],
        b"",
        access_key_id=key,
        secret_access_key=secret,
        region=REGION,
        service="longshore",
        now=platform.clock.now(),
    )
    async with platform.http.post(f"{platform.url}/_longshore/reset", headers=headers) as answer:
        return answer.status, json.loads(await answer.read())


async def test_health_needs_no_key_and_counts_what_there_is(platform: Platform) -> None:
    await platform.task(1)
    async with StockAgent(platform) as agent:
        await agent.settled()
        async with platform.http.get(f"{platform.url}/_longshore/health") as answer:
            health = json.loads(await answer.read())
    assert (health["status"], health["agents_connected"], health["tasks"], health["dev"]) == ("ok", 1, 1, True)


async def test_a_reset_stops_the_tasks_forgets_everything_and_keeps_the_connected_machines(platform: Platform) -> None:
    absent = await platform.instance(INSTANCE[:-1] + "0")
    arn = await platform.task(1)
    async with StockAgent(platform) as agent:
        await agent.until_told(arn, "RUNNING")
        await until(lambda: platform.seen().agent_connected)
        status, body = await reset(platform)
        assert (status, body["status"]) == (200, "reset")
        await agent.until_told(arn, "STOPPED")
        assert platform.store.count(TASKS) == platform.store.count(TASK_DEFINITIONS) == 0
        assert platform.store.get(CLUSTERS, CLUSTER) is not None
        assert platform.seen().agent_connected
        assert platform.store.list(CONTAINER_INSTANCES, "cluster", CLUSTER) == [platform.seen()]
        assert platform.store.get(CONTAINER_INSTANCES, absent.arn) is None

        await platform.definition()
        after = await platform.task(2)
        await agent.until_told(after, "RUNNING")
        assert not agent.socket.closed
        assert (await reset(platform))[0] == 200, "the root's key is there again"


@pytest.mark.parametrize(
    ("key", "secret"), [("AKIANOBODY", "x"), (KEY, "wrong"), ("AKIAUSER", "usersecret")], ids=["key", "secret", "user"]
)
async def test_only_the_root_user_resets(platform: Platform, key: str, secret: str) -> None:
    def add_user(tx: Tx) -> None:
        user = tx.put(iam.USERS, iam.User(ACCOUNT, "user", "AIDAUSER", 0.0))
        tx.put(iam.ACCESS_KEYS, iam.AccessKey("AKIAUSER", ACCOUNT, user.arn, "usersecret", 0.0))

    await platform.store.transact(add_user)
    arn = await platform.task(1)
    assert (await reset(platform, key, secret))[0] == 403
    async with platform.http.post(f"{platform.url}/_longshore/reset") as unsigned:
        assert unsigned.status == 403
    assert platform.seen_task(arn)


async def test_there_is_no_reset_outside_of_dev_mode(platform: Platform) -> None:
    mount(platform, dev=False)
    arn = await platform.task(1)
    status, body = await reset(platform)
    assert (status, body["error"]) == (403, "AccessDenied")
    assert platform.seen_task(arn)


async def test_other_methods_and_paths_are_refused(platform: Platform) -> None:
    async with platform.http.get(f"{platform.url}/_longshore/reset") as answer:
        assert answer.status == 405
    async with platform.http.get(f"{platform.url}/_longshore/nothing") as answer:
        assert answer.status == 404
