"""Further accounts: their roots' keys are made by the root of the installation's account, and they share nothing by themselves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from longshore.aws.sigv4 import sign
from longshore.gateway.accounts import Accounts
from longshore.gateway.authorise import Access
from longshore.gateway.buckets import Rate
from longshore.gateway.identify import Identities
from longshore.gateway.limits import RateLimits
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import SeededIds
from longshore.services.call import Site
from longshore.services.ec2 import model as ec2
from longshore.services.iam import model as iam
from longshore.services.sts.sessions import Claims, write_token
from tests.gateway.platform import ACCOUNT, KEY, REGION, SECRET, Platform, platform_on

OTHER = "222222222222"
SITE = Site(ACCOUNT, REGION, ("us-test-1a",), "http://127.0.0.1:4566", 4566)
EVERYTHING = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
ANN, ANNS_SECRET = "AKIAANNANNANNANNANNA", "ann's secret"


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    async with platform_on(SteppedClock()) as made:
        site = Site(ACCOUNT, REGION, ("us-test-1a",), made.url, 4566)
        accounts = Accounts(
            store=made.store,
            identities=Identities(made.store, made.clock, site),
            access=Access(made.store, made.clock),
            clock=made.clock,
            ids=SeededIds(),
            site=site,
        )
        made.gateway.mount("/_longshore/accounts", accounts.handle)
        user = iam.User(ACCOUNT, "ann", "AIDAANNANNANNANNANNAN", 0.0)
        await made.store.transact(lambda tx: tx.put(iam.USERS, user))
        key = iam.AccessKey(ANN, ACCOUNT, user.arn, ANNS_SECRET, 0.0)
        await made.store.transact(lambda tx: tx.put(iam.ACCESS_KEYS, key))
        yield made


async def ask(
    platform: Platform,
    method: str,
    query: str = "",
    key: str = KEY,
    secret: str = SECRET,
    path: str = "/_longshore/accounts",
    token: str | None = None,
) -> tuple[int, dict[str, Any]]:
    headers = sign(
        method,
        path,
        query,
        [("Host", platform.url.removeprefix("http://"))],
        b"",
        access_key_id=key,
        secret_access_key=secret,
        region=REGION,
        service="longshore",
        now=platform.clock.now(),
        session_token=token,
    )
    async with platform.http.request(method, f"{platform.url}{path}{'?' if query else ''}{query}", headers=headers) as answer:
        return answer.status, json.loads(await answer.read())


async def test_an_account_begins_with_its_roots_first_key(platform: Platform) -> None:
    status, made = await ask(platform, "POST", f"id={OTHER}")
    assert (status, made["accountId"]) == (200, OTHER)
    held = platform.store.get(iam.ACCESS_KEYS, made["accessKeyId"])
    assert held is not None
    assert (held.principal_arn, held.secret_access_key) == (f"arn:aws:iam::{OTHER}:root", made["secretAccessKey"])
    assert [vpc.is_default for vpc in platform.store.list(ec2.VPCS) if vpc.account_id == OTHER] == [True]
    status, told = await ask(platform, "GET")
    assert (status, told["accounts"]) == (200, [{"accountId": ACCOUNT, "rootKeys": 1}, {"accountId": OTHER, "rootKeys": 1}])
    assert made["secretAccessKey"] not in json.dumps(told)


async def test_a_root_has_two_keys_at_most(platform: Platform) -> None:
    keys = [await ask(platform, "POST", f"id={OTHER}") for _ in range(3)]
    assert [status for status, _ in keys] == [200, 200, 409]
    assert keys[2][1]["error"] == "TooManyKeys"
    assert len(platform.store.list(iam.ACCESS_KEYS, "principal", f"arn:aws:iam::{OTHER}:root")) == 2


@pytest.mark.parametrize("query", ["", "id=", "id=2", "id=22222222222x", "id=2222222222222", "name=222222222222", "id=%D9%A2%D9%A2"])
async def test_what_is_no_account_id_is_refused(platform: Platform, query: str) -> None:
    revision = platform.store.revision
    status, told = await ask(platform, "POST", query)
    assert (status, told["error"]) == (400, "ValidationException")
    assert platform.store.revision == revision


async def test_nobody_else_may(platform: Platform) -> None:
    """Nor the root of another account."""
    _, made = await ask(platform, "POST", f"id={OTHER}")
    revision = platform.store.revision
    for key, secret in ((ANN, ANNS_SECRET), (made["accessKeyId"], made["secretAccessKey"]), (KEY, "wrong"), ("AKIANOBODY", "x")):
        for method, query in (("GET", ""), ("POST", f"id={OTHER}"), ("POST", f"id={ACCOUNT}")):
            status, told = await ask(platform, method, query, key, secret)
            assert status in (400, 403), (key, method, told)
            assert "accounts" not in told and "secretAccessKey" not in told
    async with platform.http.get(f"{platform.url}/_longshore/accounts") as answer:
        assert answer.status in (400, 403)
    assert platform.store.revision == revision


async def test_who_is_given_the_action_may(platform: Platform) -> None:
    statement = {"Effect": "Allow", "Action": "longshore:ListAccounts", "Resource": "*"}
    policy = iam.InlinePolicy(f"arn:aws:iam::{ACCOUNT}:user/ann", "p", json.dumps({"Version": "2012-10-17", "Statement": statement}))
    await platform.store.transact(lambda tx: tx.put(iam.INLINE_POLICIES, policy))
    assert (await ask(platform, "GET", "", ANN, ANNS_SECRET))[0] == 200
    assert (await ask(platform, "POST", f"id={OTHER}", ANN, ANNS_SECRET))[0] == 400


@pytest.mark.parametrize(
    ("more", "may"), [({}, False), ({"mfa_at": 1.0}, True), ({"federated_name": "guest", "policies": (EVERYTHING,)}, False)]
)
async def test_a_session_makes_itself_no_key_that_outlasts_it(platform: Platform, more: dict[str, Any], may: bool) -> None:
    identities = Identities(platform.store, platform.clock, SITE, b"s" * 32)
    access = Access(platform.store, platform.clock)
    accounts = Accounts(store=platform.store, identities=identities, access=access, clock=platform.clock, ids=SeededIds(), site=SITE)
    platform.gateway.mount("/_longshore/accounts", accounts.handle)
    now = platform.clock.now()
    claims = Claims(ACCOUNT, "ASIAOFTHEROOT", "secret", now, now + 600, begun_with=KEY, user_id=ACCOUNT, **more)
    token = write_token(b"s" * 32, claims)
    assert (await ask(platform, "GET", "", claims.access_key_id, "secret", token=token))[0] == 200
    revision = platform.store.revision
    status, told = await ask(platform, "POST", f"id={ACCOUNT}", claims.access_key_id, "secret", token=token)
    assert (status, platform.store.revision > revision) == (200 if may else 400, may), told


async def test_other_methods_and_paths_are_nothing(platform: Platform) -> None:
    assert (await ask(platform, "DELETE"))[0] == 405
    assert (await ask(platform, "GET", path="/_longshore/accounts/1"))[0] == 404


async def test_who_asks_too_much_is_held_up_here_as_at_the_apis(platform: Platform) -> None:
    access = Access(platform.store, platform.clock)
    access.limiter = RateLimits(lambda api, operation: (operation, Rate(2, 0.001)))
    site = Site(ACCOUNT, REGION, ("us-test-1a",), platform.url, 4566)
    identities = Identities(platform.store, platform.clock, site)
    held = Accounts(store=platform.store, identities=identities, access=access, clock=platform.clock, ids=SeededIds(), site=site)
    platform.gateway.mount("/_longshore/accounts", held.handle)
    assert [(await ask(platform, "GET"))[0] for _ in range(3)] == [200, 200, 400]
    assert (await ask(platform, "GET"))[1] == {"error": "ThrottlingException", "message": "Rate exceeded"}
    assert (await ask(platform, "POST", f"id={OTHER}"))[0] == 200
    assert (await ask(platform, "GET", key=ANN, secret=ANNS_SECRET))[1]["error"] == "AccessDeniedException"
