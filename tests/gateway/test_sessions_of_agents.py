"""Sessions that Longshore itself gives out, to tasks and to machines, when they are ended before their time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from longshore.aws.sigv4 import ExpiredToken
from longshore.gateway.agents.ending import RESET_S
from longshore.gateway.agents.roles import LOOK_S
from longshore.gateway.machines import ROUTE, Machines
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import RandomIds
from longshore.services.ecs.machines.sessions import LASTING_S, ROLE_NAME
from longshore.services.iam import model as iam
from longshore.services.sts.model import Revocation
from longshore.services.sts.revocations import ROLES_S, revoke
from tests.gateway.platform import ACCOUNT, INSTANCE, SIGNING_SECRET, Platform, platform_on, until
from tests.gateway.stock_agent import StockAgent
from tests.gateway.test_machines import HERE, SECRET, SITE, Keys, activation, ecs, instance_of, keys_of, let_in, machine, renew
from tests.gateway.test_role_credentials import bearer, renewing


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    async with platform_on(SteppedClock()) as made:
        await made.cluster()
        machines = Machines(made.store, made.gateway._identities, made.clock, RandomIds(), SITE, SIGNING_SECRET, SECRET)
        made.gateway.mount(ROUTE, machines.handle)
        yield made


async def end(platform: Platform, role: str = "", key: str = "") -> None:
    now = platform.clock.now()
    roles = platform.store.list(iam.ROLES, "arn", f"arn:aws:iam::{ACCOUNT}:role/{role}")
    subject = roles[0].role_id if roles else key
    row = Revocation(ACCOUNT, subject, role or key, now, now, "root", now + ROLES_S, platform.store.revision + 1)
    await platform.store.transact(lambda tx: revoke(tx, row))


async def test_a_tasks_session_ends_and_its_agent_is_sent_another_within_a_minute(platform: Platform) -> None:
    await platform.instance()
    await platform.definition(task_role_arn=await platform.role("app"), execution_role_arn=await platform.role("exec"))
    await platform.task(1)
    sent, _, job = await renewing(platform)
    old = next(one["roleCredentials"] for one in sent if one["roleType"] == "TaskApplication")
    await end(platform, "app")
    with pytest.raises(ExpiredToken):
        bearer(platform, old)
    await platform.clock.step(LOOK_S)
    await until(lambda: len(sent) == 3, "that of the role alone")
    new = sent[-1]["roleCredentials"]
    assert new["credentialsId"] == old["credentialsId"] and bearer(platform, new).role_arn.endswith(":role/app")
    job.cancel()


async def test_a_machines_session_ends_its_sockets_close_and_it_does_not_renew_itself(platform: Platform) -> None:
    code, _ = await activation(platform)
    keys = keys_of(await let_in(platform, code, HERE))
    arn = await instance_of(platform, keys, HERE)
    async with StockAgent(platform, arn, keys=keys) as agent:
        await until(lambda: platform.seen(arn).agent_connected)
        await end(platform, key=keys.key)
        await agent.until_closed()
    assert (await ecs(platform, "DiscoverPollEndpoint", keys, cluster="demo")).status == 400
    assert (await renew(platform, keys)).content["error"] == "ExpiredTokenException"
    await platform.clock.step(LASTING_S + 13 * 3600)
    assert (await renew(platform, keys)).status >= 400, "nor when nobody would think of it any more"


async def test_all_machines_sessions_end_with_their_role_and_those_of_the_platform_come_back(platform: Platform) -> None:
    own = await machine(platform, HERE)
    await end(platform, ROLE_NAME)
    assert (await renew(platform, own)).status >= 400
    again: Keys = await machine(platform, HERE)
    assert (await ecs(platform, "DiscoverPollEndpoint", again, cluster="demo")).status == 200


@pytest.mark.parametrize("goes", ["deleted", "inactive", "its user", "reset"])
async def test_the_sockets_of_an_agent_are_closed_with_the_key_that_opened_them(platform: Platform, goes: str) -> None:
    user = iam.User(ACCOUNT, "agents", "AIDAAGENTSAGENTSAGENT", 0.0)
    key = iam.AccessKey("AKIAAGENTSAGENTSAGEN", ACCOUNT, user.arn, "secret", 0.0)
    policy = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}}
    rows = [(iam.USERS, user), (iam.ACCESS_KEYS, key), (iam.INLINE_POLICIES, iam.InlinePolicy(user.arn, "p", json.dumps(policy)))]
    await platform.store.transact(lambda tx: [tx.put(kind, row) for kind, row in rows])
    await platform.instance()
    async with StockAgent(platform, keys=(key.access_key_id, "secret", None)) as agent:
        await until(lambda: platform.seen(INSTANCE).agent_connected)
        if goes == "its user":
            await platform.store.transact(lambda tx: tx.delete(iam.USERS, user.key))
        elif goes == "inactive":
            await platform.store.transact(lambda tx: tx.put(iam.ACCESS_KEYS, replace(key, status="Inactive")))
        else:
            await platform.store.transact(lambda tx: tx.delete(iam.ACCESS_KEYS, key.access_key_id))
        again = platform.clock.now() + RESET_S
        await until(lambda: sum(at == again for at, *_ in platform.clock._sleepers) >= 1, "it is looked again")
        if goes == "reset":
            await platform.store.transact(lambda tx: tx.put(iam.ACCESS_KEYS, key))
        await platform.clock.step(RESET_S)
        if goes == "reset":
            await agent.settled()
        else:
            await agent.until_closed()
