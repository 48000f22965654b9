"""Who gets a socket: the signature, the instance and the permission are looked at before anything is opened."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import WSServerHandshakeError
from msgspec.structs import replace
from yarl import URL

from longshore.aws.errors import SignatureDoesNotMatch
from longshore.kit.clock import SteppedClock
from longshore.services.ecs.model import CONTAINER_INSTANCES
from longshore.services.iam import model as iam
from longshore.services.iam.identities import ensure_root
from longshore.store.base import Tx
from tests.gateway.platform import ACCOUNT, INSTANCE, Platform, platform_on, until
from tests.gateway.stock_agent import StockAgent, control_url, open_socket, refusal, signed_headers, telemetry_url

SOCKETS = pytest.mark.parametrize("url_of", [control_url, telemetry_url], ids=["control", "telemetry"])
UrlOf = Callable[..., URL]


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    async with platform_on(SteppedClock()) as made:
        await made.cluster()
        await made.instance()
        yield made


@SOCKETS
@pytest.mark.parametrize(
    "wrong",
    [{"secret": "wrong"}, {"key": "AKIANOBODY"}, {"service": "ecr"}],
    ids=["secret", "key", "service"],
)
async def test_a_wrong_signature_opens_nothing(platform: Platform, url_of: UrlOf, wrong: dict[str, str]) -> None:
    url = url_of(platform)
    status, body = await refusal(platform, url, signed_headers(platform, url, **wrong))
    assert (status, list(body)) == (403, ["AccessDeniedException"])
    assert not platform.seen().agent_connected


@SOCKETS
async def test_a_handshake_that_is_not_signed_is_refused(platform: Platform, url_of: UrlOf) -> None:
    status, body = await refusal(platform, url_of(platform), {})
    assert (status, list(body)) == (403, ["AccessDeniedException"])


@SOCKETS
async def test_a_stale_signature_is_refused(platform: Platform, url_of: UrlOf) -> None:
    url = url_of(platform)
    headers = signed_headers(platform, url)
    await platform.clock.step(16 * 60)
    status, body = await refusal(platform, url, headers)
    assert (status, list(body)) == (403, ["AccessDeniedException"])
    assert "Signature expired" in body["AccessDeniedException"]


@SOCKETS
async def test_a_signature_for_one_instance_opens_no_other(platform: Platform, url_of: UrlOf) -> None:
    other = await platform.instance(INSTANCE[:-1] + "0")
    status, body = await refusal(platform, url_of(platform, other.arn), signed_headers(platform, url_of(platform)))
    assert (status, list(body)) == (403, ["AccessDeniedException"])
    assert " ".join((SignatureDoesNotMatch.__doc__ or "").split())[:40] in body["AccessDeniedException"]


@SOCKETS
@pytest.mark.parametrize("arn", ["", "demo", "arn:", INSTANCE[:-1] + "0", INSTANCE.replace("container-instance", "task"), "a" * 4000])
async def test_an_unknown_instance_is_refused_by_name(platform: Platform, url_of: UrlOf, arn: str) -> None:
    url = url_of(platform, arn)
    status, body = await refusal(platform, url, signed_headers(platform, url))
    assert (status, list(body)) == (400, ["InvalidInstanceException"])


@SOCKETS
async def test_an_instance_of_another_account_is_as_good_as_unknown(platform: Platform, url_of: UrlOf) -> None:
    await platform.store.transact(lambda tx: ensure_root(tx, "999999999999", "AKIAOTHER", "othersecret", 0.0))
    url = url_of(platform)
    status, body = await refusal(platform, url, signed_headers(platform, url, key="AKIAOTHER", secret="othersecret"))
    assert (status, list(body)) == (400, ["InvalidInstanceException"])


@SOCKETS
async def test_an_instance_of_another_region_is_as_good_as_unknown(platform: Platform, url_of: UrlOf) -> None:
    url = url_of(platform)
    status, body = await refusal(platform, url, signed_headers(platform, url, region="us-east-1"))
    assert (status, list(body)) == (400, ["InvalidInstanceException"])


@SOCKETS
async def test_a_deregistered_instance_is_told_so_by_the_name_that_makes_it_wait(platform: Platform, url_of: UrlOf) -> None:
    await platform.deregister()
    url = url_of(platform)
    status, body = await refusal(platform, url, signed_headers(platform, url))
    assert (status, list(body)) == (400, ["InactiveInstanceException"])


async def user_with(platform: Platform, *statements: str) -> None:
    document = f'{{"Version":"2012-10-17","Statement":[{",".join(statements)}]}}'

    def write(tx: Tx) -> None:
        user = tx.put(iam.USERS, iam.User(ACCOUNT, "agent", "AIDAAGENT", 0.0))
        tx.put(iam.INLINE_POLICIES, iam.InlinePolicy(user.arn, "p", document))
        tx.put(iam.ACCESS_KEYS, iam.AccessKey("AKIAAGENT", ACCOUNT, user.arn, "agentsecret", 0.0))

    await platform.store.transact(write)


@pytest.mark.parametrize(
    ("url_of", "action"), [(control_url, "ecs:Poll"), (telemetry_url, "ecs:StartTelemetrySession")], ids=["control", "telemetry"]
)
async def test_a_user_needs_the_permission_for_that_socket_and_that_instance(platform: Platform, url_of: UrlOf, action: str) -> None:
    url = url_of(platform)
    await user_with(platform, f'{{"Effect":"Allow","Action":"{action}","Resource":"{INSTANCE[:-1]}0"}}')
    status, body = await refusal(platform, url, signed_headers(platform, url, key="AKIAAGENT", secret="agentsecret"))
    assert (status, list(body)) == (403, ["AccessDeniedException"])
    assert f"is not authorized to perform: {action} on resource: {INSTANCE}" in body["AccessDeniedException"]
    await user_with(platform, f'{{"Effect":"Allow","Action":"{action}","Resource":"{INSTANCE}"}}')
    socket = await open_socket(platform, url, key="AKIAAGENT", secret="agentsecret")
    await socket.close()
    condition = '"Condition":{"StringLike":{"aws:UserAgent":"*"},"IpAddress":{"aws:SourceIp":"127.0.0.1"}}'
    allowed = f'{{"Effect":"Allow","Action":"{action}","Resource":"*"}}'
    await user_with(platform, allowed, f'{{"Effect":"Deny","Action":"*","Resource":"*",{condition}}}')
    assert (await refusal(platform, url, signed_headers(platform, url, key="AKIAAGENT", secret="agentsecret")))[0] == 403


@SOCKETS
async def test_a_server_that_stops_opens_nothing_more(platform: Platform, url_of: UrlOf) -> None:
    await platform.sessions.close()
    url = url_of(platform)
    status, body = await refusal(platform, url, signed_headers(platform, url))
    assert (status, list(body)) == (503, ["ServerException"])


@SOCKETS
async def test_a_request_that_is_no_handshake_is_refused_and_leaves_nothing_behind(platform: Platform, url_of: UrlOf) -> None:
    url = url_of(platform)
    async with platform.http.get(url, headers=signed_headers(platform, url)) as answer:
        assert answer.status == 400
    assert not platform.seen().agent_connected
    assert platform.sessions.connected_instances == ()


async def test_an_instance_that_is_taken_away_and_comes_back_deregistered_loses_its_session(platform: Platform) -> None:
    async with StockAgent(platform) as agent:
        await until(lambda: platform.seen().agent_connected)
        row = platform.seen()
        await platform.store.transact(lambda tx: tx.delete(CONTAINER_INSTANCES, INSTANCE))
        await platform.store.transact(lambda tx: tx.put(CONTAINER_INSTANCES, replace(row, status="INACTIVE")))
        assert await agent.until_closed() == 1000
        with pytest.raises(WSServerHandshakeError):
            await open_socket(platform, control_url(platform))
