"""Roles taken on without credentials: with an identity provider's token, as SDKs do it, and what that must not tell to anybody."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import boto3
import pytest
from aiohttp import web
from botocore.config import Config

from longshore.gateway.catalogue import SERVED, served
from longshore.gateway.request import ApiRequest
from longshore.gateway.unsigned import SERVICES
from longshore.kit.fetching import Fetcher
from longshore.services.iam.federation import OPEN_ID_PROVIDERS, OpenIdProvider
from longshore.services.sts.web_identity.issuers import Issuers
from longshore.services.sts.web_identity.tokens import SOURCE_IDENTITY, TAGS
from tests.gateway.place import EVERYTHING, Place, document, furnished, keys_of, trust
from tests.services.sts.idp import CLIENT, HOST, ISSUER, Provider, SigningKey, unsigned
from tests.sweeps.installation import OWNER, REGION, STRANGER, Answer, Keys

VOUCHED = f"arn:aws:iam::{OWNER}:role/vouched"
PROVIDER = f"arn:aws:iam::{OWNER}:oidc-provider/{HOST}"
TAKING_ON = "sts:AssumeRoleWithWebIdentity"
REFUSED = "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity"


class Door:
    """Who comes to it has nothing but a token."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.provider = place.there.provider

    @property
    def now(self) -> float:
        return self.place.there.clock.now()

    async def ask(self, token: str, role: str = VOUCHED, **more: Any) -> Answer:
        asked = {"RoleArn": role, "RoleSessionName": "visit", "WebIdentityToken": token, **more}
        return await self.place.there.ask("sts", "AssumeRoleWithWebIdentity", asked, None)

    async def let_in(self, role: str = VOUCHED, more: Mapping[str, Any] | None = None, **claims: Any) -> Keys:
        answer = await self.ask(self.provider.token(self.now, **claims), role, **(more or {}))
        assert answer.status == 200, answer.message
        return keys_of(answer.parsed)

    async def refusal(self, token: str | None = None, role: str = VOUCHED, **more: Any) -> str:
        answer = await self.ask(self.provider.token(self.now) if token is None else token, role, **more)
        assert answer.status >= 400
        return f"{answer.code}: {answer.message}"

    async def trusted(self, *actions: str, condition: Mapping[str, Any] | None = None, principal: Any = None) -> None:
        written = trust(principal or {"Federated": PROVIDER}, *(actions or (TAKING_ON,)), **({"Condition": condition} if condition else {}))
        await self.place.done("iam", "UpdateAssumeRolePolicy", RoleName="vouched", PolicyDocument=written)


async def register(place: Place, account_id: str = OWNER, url: str = ISSUER, *clients: str) -> None:
    row = OpenIdProvider(account_id, url, place.there.clock.now(), clients or (CLIENT,))
    await place.there.store.transact(lambda tx: tx.put(OPEN_ID_PROVIDERS, row))


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with furnished() as place:
        await register(place)
        await place.done("iam", "CreateRole", RoleName="vouched", AssumeRolePolicyDocument=trust({"Federated": PROVIDER}, TAKING_ON))
        await place.done("iam", "PutRolePolicy", RoleName="vouched", PolicyName="own", PolicyDocument=document(EVERYTHING))
        yield Door(place)


async def test_who_has_a_token_takes_a_role_on_and_is_told_who_it_is(door: Door) -> None:
    answer = await door.ask(door.provider.token(door.now))
    assert answer.status == 200
    given = answer.parsed
    assert (given["SubjectFromWebIdentityToken"], given["Audience"], given["Provider"]) == ("alice@example.com", CLIENT, PROVIDER)
    assert given["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{OWNER}:assumed-role/vouched/visit"
    assert given["Credentials"]["Expiration"].timestamp() == door.now + 3600
    me = await door.place.done("sts", "GetCallerIdentity", keys_of(given))
    assert me["Arn"] == given["AssumedRoleUser"]["Arn"]
    assert await door.place.may(keys_of(given))
    for operation, more in (("GetSessionToken", {}), ("GetFederationToken", {"Name": "guest"})):
        assert "with session credentials" in await door.place.refusal(operation, keys_of(given), **more)


@pytest.mark.parametrize("changed", ["role", "trust", "no role", "account", "action", "provider", "everybody", "the account"])
async def test_roles_that_are_not_to_be_had_are_refused_alike(door: Door, changed: str) -> None:
    role = VOUCHED
    match changed:
        case "role":
            role = f"{VOUCHED}x"
        case "trust":
            await door.trusted(condition={"StringEquals": {f"{HOST}:sub": "bob@example.com"}})
        case "no role":
            role = f"arn:aws:iam::{OWNER}:user/ann"
        case "account":
            await register(door.place, STRANGER)
            role = VOUCHED.replace(OWNER, STRANGER)
        case "action":
            await door.trusted("sts:AssumeRole")
        case "provider":
            await door.trusted(principal={"Federated": f"{PROVIDER}/other"})
        case "everybody":
            await door.trusted(principal="*")
        case "the account":
            await door.trusted(principal={"AWS": OWNER})
    assert await door.refusal(role=role) == REFUSED


async def test_a_deny_for_everybody_holds_for_who_has_no_credentials(door: Door) -> None:
    allowed = {"Effect": "Allow", "Principal": {"Federated": PROVIDER}, "Action": TAKING_ON}
    denied = {"Effect": "Deny", "Principal": "*", "Action": "sts:*", "Condition": {"StringEquals": {f"{HOST}:sub": "alice@example.com"}}}
    await door.place.done("iam", "UpdateAssumeRolePolicy", RoleName="vouched", PolicyDocument=document(allowed, denied))
    assert await door.refusal() == REFUSED
    assert await door.place.may(await door.let_in(sub="bob@example.com"))


async def test_an_account_that_does_not_know_the_issuer_lets_nobody_in(door: Door) -> None:
    other = VOUCHED.replace(OWNER, STRANGER)
    said = f"InvalidIdentityToken: No OpenIDConnect provider found in your account for {ISSUER}"
    assert await door.refusal(role=other) == said
    assert await door.refusal(role="not-an-arn-but-long-enough") == said
    await door.place.there.store.transact(lambda tx: tx.delete(OPEN_ID_PROVIDERS, PROVIDER))
    assert await door.refusal() == said
    assert not door.provider.asked, "nobody was asked for keys"


async def test_an_issuer_is_another_with_another_scheme(door: Door) -> None:
    token = door.provider.token(door.now, iss=ISSUER.replace("https", "http"))
    assert "No OpenIDConnect provider found" in await door.refusal(token)


async def test_tokens_that_are_none_are_refused(door: Door) -> None:
    claims = door.provider.claims(door.now)
    assert "ExpiredTokenException" in await door.refusal(door.provider.token(door.now, exp=int(door.now)))
    assert "Incorrect token audience" in await door.refusal(door.provider.token(door.now, aud="other"))
    assert "IDPRejectedClaim" in await door.refusal(door.provider.token(door.now, **{SOURCE_IDENTITY: "a b"}))
    for token in (unsigned(claims), SigningKey(number=1).token(claims)):
        assert (await door.refusal(token)).startswith("InvalidIdentityToken: The token's signature")
    for token in ("abcd", "a.b.c", "x" * 20_000):
        assert "is not a valid JWT" in await door.refusal(token)
    assert "Missing a required claim: iss" in await door.refusal(door.provider.token(door.now, iss=None))
    assert "ValidationError" in await door.refusal("x" * 20_001)
    assert "ProviderId is for OAuth 2.0" in await door.refusal(ProviderId="www.amazon.com")
    assert "MaxSessionDuration" in await door.refusal(DurationSeconds=3601)
    assert "MalformedPolicyDocument" in await door.refusal(Policy="{}")


async def test_a_token_is_good_as_often_as_it_is_shown_until_it_ends(door: Door) -> None:
    token = door.provider.token(door.now)
    first, second = [keys_of((await door.ask(token)).parsed) for _ in range(2)]
    assert first.access_key_id != second.access_key_id
    await door.place.there.clock.step(600)
    assert "Token expired" in await door.refusal(token)
    assert await door.place.may(first), "the session goes on"


async def test_trust_policies_ask_what_the_token_says(door: Door) -> None:
    await door.trusted(condition={"StringEquals": {f"{HOST}:aud": CLIENT}, "StringLike": {f"{HOST}:sub": "repo:ours/*"}})
    assert await door.refusal() == REFUSED
    await door.let_in(sub="repo:ours/web")
    await door.trusted(condition={"ForAnyValue:StringEquals": {f"{HOST}:groups": "ops"}, "StringEquals": {"sts:RoleSessionName": "visit"}})
    assert await door.refusal() == REFUSED
    await door.let_in(groups=["dev", "ops"])
    await door.trusted(condition={"StringEquals": {"aws:FederatedProvider": PROVIDER}, "Null": {"aws:TokenIssueTime": "true"}})
    await door.let_in()


async def test_tags_and_a_source_identity_need_leave_of_their_own(door: Door) -> None:
    tags = {TAGS: {"principal_tags": {"team": ["core"]}, "transitive_tag_keys": ["team"]}}
    asked = door.provider.token(door.now, **tags)
    assert await door.refusal(asked) == "AccessDenied: Not authorized to perform sts:TagSession"
    assert (
        await door.refusal(door.provider.token(door.now, **{SOURCE_IDENTITY: "alice"}))
        == "AccessDenied: Not authorized to perform sts:SetSourceIdentity"
    )
    await door.trusted(TAKING_ON, "sts:TagSession", "sts:SetSourceIdentity", condition={"StringEquals": {"aws:RequestTag/team": "core"}})
    on_team = {"Condition": {"StringEquals": {"aws:PrincipalTag/team": "core", "aws:SourceIdentity": "alice"}}}
    await door.place.done("iam", "PutRolePolicy", RoleName="vouched", PolicyName="own", PolicyDocument=document({**EVERYTHING, **on_team}))
    assert await door.place.may(await door.let_in(**tags, **{SOURCE_IDENTITY: "alice"}))


async def test_policies_of_the_role_go_on_asking_who_it_is(door: Door) -> None:
    own = {"Effect": "Allow", "Action": "ecs:CreateCluster", "Resource": "arn:aws:ecs:*:*:cluster/${idp.example.com/realm:sub}-*"}
    await door.place.done("iam", "PutRolePolicy", RoleName="vouched", PolicyName="own", PolicyDocument=document(own))
    session = await door.let_in(sub="alice")
    assert await door.place.may(session, operation="CreateCluster", clusterName="alice-1")
    assert not await door.place.may(session, operation="CreateCluster", clusterName="bob-1")


async def test_a_session_policy_limits_such_a_session_too(door: Door) -> None:
    only_listing = document({"Effect": "Allow", "Action": "ecs:List*", "Resource": "*"})
    session = await door.let_in(more={"Policy": only_listing})
    assert await door.place.may(session) and not await door.place.may(session, "ec2", "DescribeVpcs")


# ── the unsigned way ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_only_what_proves_itself_otherwise_may_come_unsigned() -> None:
    found = {(name, operation.name) for name in SERVED for operation in served(name).operations.values() if operation.unsigned}
    assert found == {("sts", "AssumeRoleWithWebIdentity")}
    assert {served(api).model.signing_name for api, _ in found} == set(SERVICES)


@pytest.mark.parametrize("action", ["GetCallerIdentity", "AssumeRole", "AssumeRoleWithSAML", "NoSuchAction", "assumerolewithwebidentity"])
async def test_who_does_not_sign_hears_the_same_of_every_other_operation(door: Door, action: str) -> None:
    async def ask(body: bytes, **headers: str) -> tuple[int, bytes]:
        sent = {"host": "127.0.0.1:4566", "content-type": "application/x-www-form-urlencoded", **headers}
        reply = await door.place.there.gateway.answer(ApiRequest("POST", "/", "", tuple(sent.items()), sent, body, "127.0.0.1", False))
        return reply.status, reply.body.partition(b"<RequestId>")[0]

    expected = await ask(b"Action=Nothing&Version=2011-06-15")
    assert b"MissingAuthenticationToken" in expected[1]
    assert await ask(f"Action={action}&Version=2011-06-15".encode()) == expected
    assert await ask(f"Action={action}&Version=2010-05-08".encode()) == expected
    assert await ask(b"Action=AssumeRoleWithWebIdentity&Version=2010-05-08") == expected
    assert await ask(b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&x=" + b"x" * 100_000) == expected
    for much in (b"&a" * 30_000, b"&%" * 30_000, b"&a=%ff" * 10_000):  # more than a form may have, and signed by nobody
        assert await ask(f"Action=%47{action[1:]}&Version=2011-06-15".encode() + much) == expected


async def test_a_signature_that_is_there_must_hold(door: Door) -> None:
    asked = {"RoleArn": VOUCHED, "RoleSessionName": "visit", "WebIdentityToken": door.provider.token(door.now)}
    answer = await door.place.there.ask("sts", "AssumeRoleWithWebIdentity", asked, Keys(door.place.ann.access_key_id, "wrong"))
    assert answer.code == "SignatureDoesNotMatch"
    answer = await door.place.there.ask("sts", "AssumeRoleWithWebIdentity", asked, door.place.ann)
    assert answer.status == 200 and answer.parsed["SubjectFromWebIdentityToken"] == "alice@example.com", "the token says who it is"


# ── over the wire, as programs do it ─────────────────────────────────────────────────────────────────────────────────


class Published:
    """The provider as a server on this machine."""

    def __init__(self) -> None:
        self.runner = web.ServerRunner(web.Server(self._answer))
        self.provider = Provider()

    async def __aenter__(self) -> Published:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.provider = Provider(f"http://127.0.0.1:{self.runner.addresses[0][1]}")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/moved":
            return web.Response(status=302, headers={"Location": f"{self.provider.url}/keys"})
        found = await self.provider.ask(request.method, f"{self.provider.url}{request.path}", most=1 << 20)
        return web.Response(status=found.status, body=found.body, content_type="application/json")


@pytest.fixture
async def published(door: Door) -> AsyncIterator[Published]:
    """The same door over a socket, with a provider to be asked over one, too."""
    async with Published() as published, door.place.there.over_http():
        door.provider = published.provider
        fetcher = Fetcher(timeout_s=1.0)
        door.place.there.gateway._issuers = Issuers(fetcher, door.place.there.clock)
        await register(door.place, OWNER, published.provider.url)
        provider = f"arn:aws:iam::{OWNER}:oidc-provider/{published.provider.url.removeprefix('http://')}"
        await door.trusted(principal={"Federated": provider})
        yield published
        await fetcher.close()


async def test_boto3_finds_its_role_by_a_file_with_a_token(door: Door, published: Published, tmp_path: Path) -> None:
    await door.place.there.clock.step(time.time() - door.now)  # SDKs look at when credentials end
    token, endpoint = tmp_path / "token", f"http://127.0.0.1:{door.place.there.port}"
    token.write_text(published.provider.token(door.now))
    program = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'], boto3.Session().get_credentials().method)"
    found = await run(sys.executable, "-c", program, endpoint=endpoint, token=token)
    assert found.split() == [f"arn:aws:sts::{OWNER}:assumed-role/vouched/visit", "assume-role-with-web-identity"]


async def test_the_aws_cli_takes_a_role_on_without_credentials(door: Door, published: Published, tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{door.place.there.port}"
    (tmp_path / "token").write_text(published.provider.token(door.now))
    cli = Path(sys.executable).with_name("aws")
    if not cli.exists():
        pytest.skip("the AWS CLI is not installed beside this Python")
    given = json.loads(
        await run(
            *(str(cli), "sts", "assume-role-with-web-identity", "--role-arn", VOUCHED, "--role-session-name", "visit"),
            *("--web-identity-token", f"file://{tmp_path / 'token'}", "--output", "json"),
            endpoint=endpoint,
        )
    )
    assert given["AssumedRoleUser"]["Arn"].endswith(":assumed-role/vouched/visit")


async def run(*arguments: str, endpoint: str, token: Path | None = None) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    about = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
    }
    if token is not None:
        about |= {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": VOUCHED, "AWS_ROLE_SESSION_NAME": "visit"}
    process = await asyncio.create_subprocess_exec(
        *arguments, env={**clean, **about}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, error = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, error.decode()
    return out.decode()


async def test_errors_are_boto3s_own(door: Door, published: Published) -> None:
    endpoint = f"http://127.0.0.1:{door.place.there.port}"
    client = boto3.client("sts", endpoint_url=endpoint, region_name=REGION, config=Config(retries={"max_attempts": 0}))

    def ask(token: str) -> None:
        client.assume_role_with_web_identity(RoleArn=VOUCHED, RoleSessionName="visit", WebIdentityToken=token)

    for token, error in (
        (published.provider.token(door.now, exp=1), client.exceptions.ExpiredTokenException),
        (published.provider.token(door.now, aud="other"), client.exceptions.InvalidIdentityTokenException),
        (published.provider.token(door.now, **{SOURCE_IDENTITY: 5}), client.exceptions.IDPRejectedClaimException),
    ):
        with pytest.raises(error):
            await asyncio.to_thread(ask, token)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_provider_that_is_not_ours_vouches_for_people(door: Door, published: Published) -> None:
    import oidc_provider_mock  # which warns of what it uses itself

    bob = oidc_provider_mock.User(sub="bob", claims={"email": "bob@example.com"})
    with oidc_provider_mock.run_server_in_thread(user_claims=[bob]) as other:
        url = f"http://localhost:{other.server_port}"
        token = await id_token(url, "bob", "console")
        await register(door.place, OWNER, url, "console")
        host = url.removeprefix("http://")
        condition = {"StringEquals": {f"{host}:email": "bob@example.com"}}
        await door.trusted(principal={"Federated": f"arn:aws:iam::{OWNER}:oidc-provider/{host}"}, condition=condition)
        await door.place.there.clock.step(time.time() - door.now)
        answer = await door.ask(token)
    assert answer.status == 200, answer.message
    assert (answer.parsed["SubjectFromWebIdentityToken"], answer.parsed["Audience"]) == ("bob", "console")


async def id_token(url: str, sub: str, client_id: str) -> str:
    """As a program gets it that signs somebody in."""
    asked = {
        "client_id": client_id,
        "redirect_uri": "http://localhost/back",
        "response_type": "code",
        "scope": "openid email",
        "state": "s",
    }
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{url}/oauth2/authorize", params=asked, data={"sub": sub}, allow_redirects=False) as answer:
            code = parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": asked["redirect_uri"]}
        async with http.post(f"{url}/oauth2/token", data=form, auth=aiohttp.BasicAuth(client_id, "any")) as answer:
            return str((await answer.json())["id_token"])


async def test_a_provider_that_does_not_answer_is_waited_for_but_a_moment(door: Door, published: Published) -> None:
    published.provider.patience.clear()
    assert (await door.refusal(published.provider.token(door.now))).startswith("IDPCommunicationError")
    published.provider.patience.set()


async def test_redirects_of_a_provider_are_not_followed(door: Door, published: Published) -> None:
    published.provider.document["jwks_uri"] = f"{published.provider.url}/moved"
    assert "Couldn't retrieve verification key" in await door.refusal(published.provider.token(door.now))


async def test_a_slow_provider_holds_up_nobody_else(door: Door, published: Published) -> None:
    published.provider.patience.clear()
    waiting = asyncio.create_task(door.ask(published.provider.token(door.now)))
    for _ in range(3):
        assert (await door.place.ask("sts", "GetCallerIdentity", door.place.ann)).status == 200
    assert not waiting.done()
    published.provider.patience.set()
    assert (await waiting).status == 200
