"""Tokens that every request has to bring, looked through by the real HAProxy."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from longshore.services.elbv2.claims import unpadded
from tests.balancer.lab import Lab, Upstream, forward, laboratory, until
from tests.balancer.provider import SECRET, IdentityProvider, Key

pytestmark = pytest.mark.engine("haproxy")


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with laboratory(tmp_path / "haproxy", installation_secret=SECRET) as lab:
        yield lab


@pytest.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    async with IdentityProvider() as provider:
        yield provider


async def guarded(lab: Lab, provider: IdentityProvider, *claims: tuple[str, str, tuple[str, ...]]) -> Upstream:
    """A load balancer that lets through who has a token; returns who answers."""
    lb, upstream = await lab.load_balancer(), await lab.upstream("service")
    group = await lab.group()
    await lab.register(group, upstream)
    await lab.listener(lb, provider.tokens_action(*claims), forward(group))
    await lab.healthy(group, upstream)
    await lab.settled()
    return upstream


async def status(lab: Lab, token: str | None, **more: Any) -> int:
    headers = [] if token is None else [("Authorization", f"Bearer {token}")]
    return (await lab.ask(headers=headers, **more)).status


async def test_a_token_lets_its_bearer_through_and_goes_on_as_it_is(lab: Lab, provider: IdentityProvider) -> None:
    await guarded(lab, provider)
    token = provider.access_token()
    answer = await lab.ask(headers=[("Authorization", f"bearer {token}")])
    assert answer.status == 200
    assert ["authorization", f"bearer {token}"] in answer.seen["headers"]
    assert provider.asked == ["jwks"]


async def test_tokens_that_prove_nothing_are_refused(lab: Lab, provider: IdentityProvider) -> None:
    upstream = await guarded(lab, provider)
    assert await status(lab, provider.access_token()) == 200
    asked = len(upstream.asked)
    now = int(time.time())
    good = provider.access_token()
    head, claims, signature = good.split(".")
    unsigned = f"{unpadded(msgspec.json.encode({'alg': 'none', 'kid': 'one'}))}.{claims}."
    confused = f"{unpadded(msgspec.json.encode({'alg': 'HS256', 'kid': 'one'}))}.{claims}"
    public = (lab.directory / "bodies").glob("*.pem")
    stranger = Key("one")
    attempts: dict[str, str | None] = {
        "none": None,
        "empty": "",
        "garbage": "a.b.c",
        "no signature": f"{head}.{claims}.",
        "alg none": unsigned,
        "a signature without alg": unsigned + signature,
        "another's key": stranger.token(iss=provider.url, exp=now + 60),
        "changed": f"{head}.{unpadded(msgspec.json.encode({'iss': provider.url, 'exp': now + 99, 'sub': 'root'}))}.{signature}",
        "another issuer": provider.access_token(iss="https://elsewhere.test"),
        "an issuer that begins alike": provider.access_token(iss=provider.url + ".evil.test"),
        "no issuer": provider.access_token(iss=None),
        "over": provider.access_token(exp=now - 1),
        "without an end": provider.access_token(exp=None),
        "not yet": provider.access_token(nbf=now + 30),
        "of the future": provider.access_token(iat=now + 30),
        "another algorithm": provider.access_token({"alg": "RS512"}),
    }
    for path in public:
        mac = hmac.new(path.read_bytes(), confused.encode(), hashlib.sha256).digest()
        attempts[f"the public key as a secret ({path.name})"] = f"{confused}.{unpadded(mac)}"
    for what, token in attempts.items():
        assert await status(lab, token) == 401, what
    assert len(upstream.asked) == asked
    assert await status(lab, provider.access_token(nbf=now - 5, iat=now - 5)) == 200
    assert await status(lab, provider.access_token({"kid": None})) == 200


CLAIMS = (
    ("single-string", "client_id", ("one 'quoted' %[x]",)),
    ("string-array", "aud", ("api", "web")),
    ("space-separated-values", "scope", ("read", "write")),
)


async def test_claims_are_what_the_rule_asks_for(lab: Lab, provider: IdentityProvider) -> None:
    await guarded(lab, provider, *CLAIMS)
    good: dict[str, Any] = {"client_id": "one 'quoted' %[x]", "aud": ["x", "web", "api"], "scope": "write other read"}
    assert await status(lab, provider.access_token(**good)) == 200
    wrong: dict[str, list[Any]] = {
        "client_id": [None, "one", "one 'quoted' %[x] ", ["one 'quoted' %[x]"]],
        "aud": [None, ["api"], ["apis", "web"], "api", {"0": "api"}, [["api", "web"]], [], ["x"] * 12],
        "scope": [None, "read", "readwrite", "write unread", ["read", "write"], ""],
    }
    for name, values in wrong.items():
        for value in values:
            assert await status(lab, provider.access_token(**{**good, name: value})) == 401, (name, value)
    nested = {**good, "aud": None, "other": {"aud": ["api", "web"]}, "aud2": '"aud":["api","web"]'}
    assert await status(lab, provider.access_token(**nested)) == 401


async def test_a_new_key_is_known_with_the_first_token_signed_by_it(lab: Lab, provider: IdentityProvider) -> None:
    upstream = await guarded(lab, provider)
    before = provider.access_token()
    assert await status(lab, before) == 200
    lab.balancer._authentication._keys._asked_at.clear()
    provider.keys.insert(0, Key("two"))
    answers = await asyncio.gather(
        *(lab.ask(f"/{number}", headers=[("Authorization", f"Bearer {provider.access_token()}")]) for number in range(8))
    )
    assert [answer.status for answer in answers] == [200] * 8
    assert sorted(answer.seen["path"] for answer in answers) == [f"/{number}" for number in range(8)]
    assert provider.asked == ["jwks"] * 2
    assert await status(lab, before) == 200
    assert len(upstream.asked) == 10


async def test_keys_that_nobody_has_are_not_asked_for_again_and_again(lab: Lab, provider: IdentityProvider) -> None:
    await guarded(lab, provider)
    assert await status(lab, provider.access_token()) == 200
    lab.balancer._authentication._keys._asked_at.clear()
    for number in range(5):
        assert await status(lab, Key(f"stranger-{number}").token(iss=provider.url, exp=int(time.time()) + 60)) == 401
    assert provider.asked == ["jwks"] * 2


@pytest.mark.parametrize(
    "key_set",
    [
        404,
        {"keys": "none"},
        {"keys": [{"kty": "RSA"}] * 11},
        {"more": "x" * 160_000},
        {"keys": [{"kty": "oct", "kid": "one", "k": "AAAA"}]},
    ],
)
async def test_without_keys_it_is_the_servers_error(key_set: Any, lab: Lab, provider: IdentityProvider) -> None:
    provider.key_set = key_set
    upstream = await guarded(lab, provider)
    assert await status(lab, provider.access_token()) == 500
    assert await status(lab, None) == 401
    assert upstream.asked == []


async def test_keys_outlive_who_fetched_them(lab: Lab, provider: IdentityProvider) -> None:
    await guarded(lab, provider)
    token = provider.access_token()
    assert await status(lab, token) == 200
    await lab.close(keep_running=True)
    try:
        assert await status(lab, token) == 200
        assert await status(lab, provider.access_token({"kid": "unheard of"})) in (401, 503)
        provider.key_set = 404
    finally:
        await lab.open()
    worker = await lab.worker()
    await lab.settled()
    assert await status(lab, token) == 200
    assert await lab.worker() == worker
    await until(lambda: provider.asked.count("jwks") >= 2)
    assert await status(lab, token) == 200
