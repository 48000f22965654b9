"""What the credentials of one machine open, and what they do not: nothing of another machine, whatever its role is allowed.

The attack that these tests are named for is known as ECScape: on one host's credentials, poll for the tasks of all others, and be
given the credentials of their roles.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from longshore.aws.sigv4 import sign
from longshore.config import local_code
from longshore.gateway.machines import ROUTE, Machines
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import RandomIds
from longshore.services.call import Site
from longshore.services.ecs.machines.model import ACTIVATIONS, MACHINES
from longshore.services.ecs.machines.sessions import LASTING_S, RENEWABLE_S, ROLE_NAME
from longshore.services.iam import model as iam
from tests.gateway.platform import ACCOUNT, CLUSTER, INSTANCE, KEY, REGION, SECRET, SIGNING_SECRET, Platform, platform_on, until
from tests.gateway.stock_agent import StockAgent, control_url, refusal, signed_headers, telemetry_url

HERE, THERE = "i-00000000000000001", "i-00000000000000002"
SITE = Site(ACCOUNT, REGION, ("us-test-1a",), "http://127.0.0.1:4566", 4566)


class Keys(NamedTuple):
    key: str
    secret: str
    token: str | None = None


ROOT = Keys(KEY, SECRET)


class Answered(NamedTuple):
    status: int
    content: dict[str, Any]

    @property
    def denied(self) -> bool:
        return str(self.content.get("__type", "")).endswith("AccessDeniedException")


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    async with platform_on(SteppedClock()) as made:
        await made.cluster()
        machines = Machines(made.store, made.gateway._identities, made.clock, RandomIds(), SITE, SIGNING_SECRET, SECRET)
        made.gateway.mount(ROUTE, machines.handle)
        yield made


async def posted(platform: Platform, keys: Keys, service: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    """Status and body of what a signed request to an API is answered."""
    signed = sign(
        "POST",
        "/",
        "",
        [("host", platform.url.partition("//")[2]), *headers.items()],
        body,
        access_key_id=keys.key,
        secret_access_key=keys.secret,
        session_token=keys.token,
        region=REGION,
        service=service,
        now=platform.clock.now(),
    )
    async with platform.http.post(f"{platform.url}/", data=body, headers={**headers, **signed}) as answer:
        return answer.status, await answer.read()


async def ecs(platform: Platform, operation: str, keys: Keys, **request: Any) -> Answered:
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{operation}"}
    status, answer = await posted(platform, keys, "ecs", json.dumps(request).encode(), headers)
    return Answered(status, json.loads(answer or b"{}"))


async def let_in(platform: Platform, code: str, instance_id: str) -> Answered:
    async with platform.http.post(f"{platform.url}{ROUTE}", data=json.dumps({"code": code, "instanceId": instance_id})) as answer:
        return Answered(answer.status, json.loads(await answer.read()))


async def renew(platform: Platform, keys: Keys) -> Answered:
    host = platform.url.partition("//")[2]
    signed = sign(
        "PUT",
        ROUTE,
        "",
        [("host", host)],
        b"{}",
        access_key_id=keys.key,
        secret_access_key=keys.secret,
        session_token=keys.token,
        region=REGION,
        service="longshore",
        now=platform.clock.now(),
    )
    async with platform.http.put(f"{platform.url}{ROUTE}", data=b"{}", headers=signed) as answer:
        return Answered(answer.status, json.loads(await answer.read()))


def keys_of(answer: Answered) -> Keys:
    assert answer.status == 200, answer
    return Keys(answer.content["accessKeyId"], answer.content["secretAccessKey"], answer.content["sessionToken"])


async def machine(platform: Platform, instance_id: str) -> Keys:
    return keys_of(await let_in(platform, local_code(SECRET, instance_id), instance_id))


async def registered(platform: Platform, keys: Keys, instance_id: str, **more: Any) -> Answered:
    document = json.dumps({"instanceId": instance_id})
    resources = [{"name": "CPU", "type": "INTEGER", "integerValue": 2048}, {"name": "MEMORY", "type": "INTEGER", "integerValue": 2048}]
    return await ecs(
        platform,
        "RegisterContainerInstance",
        keys,
        cluster="demo",
        instanceIdentityDocument=document,
        instanceIdentityDocumentSignature="",
        totalResources=resources,
        **more,
    )


async def instance_of(platform: Platform, keys: Keys, instance_id: str) -> str:
    answer = await registered(platform, keys, instance_id)
    assert answer.status == 200, answer
    return str(answer.content["containerInstance"]["containerInstanceArn"])


@pytest.fixture
async def victim(platform: Platform) -> str:
    """A task with a role on the other machine; returns its ARN."""
    arn = await instance_of(platform, await machine(platform, THERE), THERE)
    await platform.definition(task_role_arn=await platform.role("app"))
    return await platform.task(1, instance=arn)


async def opens(platform: Platform, keys: Keys, arn: str, url_of: Any) -> bool:
    url = url_of(platform, arn)
    status, body = await refusal(platform, url, signed_headers(platform, url, key=keys.key, secret=keys.secret, token=keys.token))
    assert status == 403 and "AccessDeniedException" in body
    return False


async def everything_allowed(platform: Platform) -> None:
    """To the role of machines: as careless as can be."""
    arn = f"arn:aws:iam::{ACCOUNT}:role/{ROLE_NAME}"
    allowed = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
    await platform.store.transact(lambda tx: tx.put(iam.INLINE_POLICIES, iam.InlinePolicy(arn, "careless", allowed)))


# ── another machine's ──


@pytest.mark.parametrize("careless", [False, True], ids=["as made", "allowed everything"])
async def test_ecscape_a_machine_neither_polls_nor_reports_nor_registers_for_another(
    platform: Platform, victim: str, careless: bool
) -> None:
    attacker = await machine(platform, HERE)
    await instance_of(platform, attacker, HERE)
    if careless:
        await everything_allowed(platform)
    target = platform.seen_task(victim).container_instance_arn
    for url_of in (control_url, telemetry_url):
        assert not await opens(platform, attacker, target, url_of)
    stopped = {"cluster": "demo", "task": victim, "status": "STOPPED", "reason": ""}
    record = {"cluster": "demo", "task": victim, "containers": []}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("DiscoverPollEndpoint", {"cluster": "demo", "containerInstance": target}),
        ("SubmitTaskStateChange", stopped),
        ("SubmitTaskStateChange", {**stopped, "task": victim.rsplit("/", 1)[-1]}),
        ("SubmitContainerStateChange", {"cluster": "demo", "task": victim, "containerName": "main", "status": "STOPPED"}),
        ("LongshoreSubmitTaskRecord", record),
        ("DeregisterContainerInstance", {"cluster": "demo", "containerInstance": target, "force": True}),
        ("UpdateContainerInstancesState", {"cluster": "demo", "containerInstances": [target], "status": "DRAINING"}),
    ]
    before = platform.store.revision
    for operation, request in asked:
        answer = await ecs(platform, operation, attacker, **request)
        assert answer.denied, (operation, answer)
    assert (await registered(platform, attacker, THERE)).denied
    assert (await registered(platform, attacker, HERE, containerInstanceArn=target)).denied
    assert (await registered(platform, attacker, "")).denied, "a machine that does not say its name is none"
    assert platform.store.revision == before


async def test_a_machine_is_given_its_own_tasks_with_their_credentials(platform: Platform, victim: str) -> None:
    own = await machine(platform, THERE)  # it has started anew
    target = platform.seen_task(victim).container_instance_arn
    async with StockAgent(platform, target, keys=own) as agent:
        await agent.until_told(victim, "RUNNING")
    done = await ecs(platform, "SubmitTaskStateChange", own, cluster="demo", task=victim, status="RUNNING", reason="")
    assert done.status == 200 and platform.seen_task(victim).last_status == "RUNNING"


async def test_agents_with_the_policy_aws_has_for_them_keep_to_what_they_registered_themselves(platform: Platform, victim: str) -> None:
    keys = []
    for name in ("one", "two"):
        user, key = iam.User(ACCOUNT, name, f"AIDA{name.upper():0<17}", 0.0), Keys(f"AKIA{name.upper():0<16}", f"{name}'s own secret")
        await platform.store.transact(lambda tx, user=user: tx.put(iam.USERS, user))  # type: ignore[misc]
        row = iam.AccessKey(key.key, ACCOUNT, user.arn, key.secret, 0.0)
        policy = iam.Attachment("arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role", user.arn, ACCOUNT)
        await platform.store.transact(lambda tx, row=row, policy=policy: (tx.put(iam.ACCESS_KEYS, row), tx.put(iam.ATTACHMENTS, policy)))  # type: ignore[misc]
        keys.append(key)
    one, two = keys
    mine = await instance_of(platform, one, "i-00000000000000003")
    assert await instance_of(platform, one, "i-00000000000000003") == mine, "who registered it comes back to it"
    target = platform.seen_task(victim).container_instance_arn
    for arn in (mine, target):
        assert not await opens(platform, two, arn, control_url)
        assert (await ecs(platform, "DiscoverPollEndpoint", two, cluster="demo", containerInstance=arn)).denied
    assert (await registered(platform, two, "i-00000000000000003")).denied
    leave = json.dumps(
        {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecs:LongshoreActForContainerInstance", "Resource": mine}}
    )
    owner = f"arn:aws:iam::{ACCOUNT}:user/two"
    await platform.store.transact(lambda tx: tx.put(iam.INLINE_POLICIES, iam.InlinePolicy(owner, "leave", leave)))
    assert (await ecs(platform, "DiscoverPollEndpoint", two, cluster="demo", containerInstance=mine)).status == 200
    assert (await ecs(platform, "DiscoverPollEndpoint", two, cluster="demo", containerInstance=target)).denied


async def test_a_tasks_own_credentials_do_not_make_it_an_agent(platform: Platform, victim: str) -> None:
    await platform.role("app")
    arn = f"arn:aws:iam::{ACCOUNT}:role/app"
    agents = iam.Attachment("arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role", arn, ACCOUNT)
    await platform.store.transact(lambda tx: tx.put(iam.ATTACHMENTS, agents))
    target = platform.seen_task(victim).container_instance_arn
    async with StockAgent(platform, target, keys=await machine(platform, THERE)) as agent:
        await agent.until_told(victim, "RUNNING")
        given = agent.of_type("PayloadMessage")[0]["tasks"][0]["roleCredentials"]
    session = Keys(given["accessKeyId"], given["secretAccessKey"], given["sessionToken"])
    assert not await opens(platform, session, target, control_url)


# ── codes and renewals ──


async def activation(platform: Platform, **request: Any) -> tuple[str, str]:
    made = await ecs(platform, "LongshoreCreateActivation", ROOT, **request)
    return str(made.content["activationCode"]), str(made.content["activation"]["activationId"])


async def test_a_code_lets_in_as_many_machines_as_it_says_and_none_after_its_time(platform: Platform) -> None:
    code, identifier = await activation(platform)
    assert (await let_in(platform, code, HERE)).status == 200
    assert (await let_in(platform, code, THERE)).content["error"] == "AccessDeniedException"
    listed = (await ecs(platform, "LongshoreListActivations", ROOT)).content["activations"]
    assert [(one["activationId"], one["registrationsCount"], one["instanceIds"]) for one in listed] == [(identifier, 1, [HERE])]
    assert code not in json.dumps(listed) and code not in repr(platform.store.list(ACTIVATIONS))
    late, _ = await activation(platform, expiresInMinutes=5)
    await platform.clock.step(301)
    assert (await let_in(platform, late, THERE)).status == 400


@pytest.mark.parametrize("wrong", ["", "lsa-", "x" * 300, local_code("not the root's", HERE), local_code(SECRET, THERE)])
async def test_a_code_that_is_none_lets_nobody_in(platform: Platform, wrong: str) -> None:
    answer = await let_in(platform, wrong, HERE)
    assert answer.content["error"] == "AccessDeniedException" and platform.store.list(MACHINES) == []


@pytest.mark.parametrize("name", ["", "i-1", "../../etc", "i-" + "g" * 17, INSTANCE])
async def test_a_machine_has_an_instances_name(platform: Platform, name: str) -> None:
    code, _ = await activation(platform)
    assert (await let_in(platform, code, name)).status == 400 and platform.store.list(MACHINES) == []


async def test_a_new_code_does_not_take_over_a_machine_that_is_in(platform: Platform) -> None:
    own = await machine(platform, HERE)
    code, _ = await activation(platform)
    assert (await let_in(platform, code, HERE)).content["error"] == "AccessDeniedException"
    assert (await ecs(platform, "DiscoverPollEndpoint", own, cluster="demo")).status == 200


async def test_a_session_renews_itself_also_after_its_end_and_not_for_ever(platform: Platform) -> None:
    first = await machine(platform, HERE)
    await platform.clock.step(LASTING_S + 60)
    assert (await ecs(platform, "DiscoverPollEndpoint", first, cluster="demo")).status == 400
    second = keys_of(await renew(platform, first))
    assert (await ecs(platform, "DiscoverPollEndpoint", second, cluster="demo")).status == 200
    await platform.clock.step(LASTING_S + RENEWABLE_S + 60)
    assert (await renew(platform, second)).content["error"] == "AccessDeniedException"


async def test_nobody_renews_what_is_not_a_machines(platform: Platform, victim: str) -> None:
    assert (await renew(platform, ROOT)).status >= 400
    forged = (await machine(platform, HERE))._replace(secret="not its secret")
    assert (await renew(platform, forged)).status >= 400
    target = platform.seen_task(victim).container_instance_arn
    async with StockAgent(platform, target) as agent:
        await agent.until_told(victim, "RUNNING")
        given = agent.of_type("PayloadMessage")[0]["tasks"][0]["roleCredentials"]
    task = Keys(given["accessKeyId"], given["secretAccessKey"], given["sessionToken"])
    assert (await renew(platform, task)).content["error"] == "AccessDeniedException"


async def test_a_revoked_activation_ends_its_machines_sessions_at_once(platform: Platform) -> None:
    code, identifier = await activation(platform)
    keys = keys_of(await let_in(platform, code, HERE))
    arn = await instance_of(platform, keys, HERE)
    async with StockAgent(platform, arn, keys=keys) as agent:
        await until(lambda: platform.seen(arn).agent_connected)
        gone = await ecs(platform, "LongshoreDeleteActivation", ROOT, activationId=identifier)
        await agent.until_closed()
    assert gone.content["activation"]["instanceIds"] == [HERE]
    assert (await ecs(platform, "DiscoverPollEndpoint", keys, cluster="demo")).status == 400
    assert (await renew(platform, keys)).content["error"] == "AccessDeniedException"


async def test_a_machine_that_is_let_in_anew_has_no_older_session(platform: Platform) -> None:
    old = await machine(platform, HERE)
    await platform.clock.step(1)
    new = await machine(platform, HERE)
    assert (await ecs(platform, "DiscoverPollEndpoint", old, cluster="demo")).status == 400
    assert (await ecs(platform, "DiscoverPollEndpoint", new, cluster="demo")).status == 200


async def test_the_role_of_machines_is_made_once_and_stays_as_it_was_changed(platform: Platform) -> None:
    await machine(platform, HERE)
    key = iam.user_key(ACCOUNT, ROLE_NAME)
    role = platform.store.get(iam.ROLES, key)
    assert role is not None
    await platform.store.transact(lambda tx: tx.put(iam.ROLES, replace(role, description="ours")))
    await machine(platform, THERE)
    kept = platform.store.get(iam.ROLES, key)
    assert kept is not None and kept.description == "ours"


async def test_an_instance_of_an_earlier_version_belongs_to_who_registers_it_next(platform: Platform) -> None:
    await platform.instance(ec2_instance_id=HERE)
    own = await machine(platform, HERE)
    async with StockAgent(platform, keys=own):
        await until(lambda: platform.seen().agent_connected)
    await instance_of(platform, own, HERE)
    assert platform.seen().registered_by.endswith(f":assumed-role/{ROLE_NAME}/{HERE}")
    assert platform.seen().cluster_arn == CLUSTER


# ── a code and the id of a machine that is there ──


async def test_a_code_is_no_way_to_an_instance_that_is_registered_already(platform: Platform) -> None:
    """Whoever has a code says what the machine's id is: that of one which joined with keys of its own, or with the same code."""
    await instance_of(platform, ROOT, HERE)
    code, _ = await activation(platform, registrationLimit=5)
    assert (await let_in(platform, code, HERE)).content["error"] == "AccessDeniedException"
    await let_in(platform, code, THERE)
    again = keys_of(await let_in(platform, code, THERE))  # whose answer was lost asks again
    arn = await instance_of(platform, again, THERE)
    assert (await let_in(platform, code, THERE)).content["error"] == "AccessDeniedException"
    assert (await ecs(platform, "DiscoverPollEndpoint", again, cluster="demo", containerInstance=arn)).status == 200
    gone = await ecs(platform, "DeregisterContainerInstance", ROOT, cluster="demo", containerInstance=arn)
    assert gone.status == 200 and (await let_in(platform, code, THERE)).status == 200


async def test_a_machine_that_was_let_in_first_does_not_act_for_an_instance_registered_under_its_id_later(platform: Platform) -> None:
    code, _ = await activation(platform)
    squatter = keys_of(await let_in(platform, code, HERE))
    arn = await instance_of(platform, ROOT, HERE)
    for url_of in (control_url, telemetry_url):
        assert not await opens(platform, squatter, arn, url_of)
    assert (await ecs(platform, "DiscoverPollEndpoint", squatter, cluster="demo", containerInstance=arn)).denied
    assert (await registered(platform, squatter, HERE)).denied
