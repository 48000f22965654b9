"""Identity providers are asked seldom, by few bytes, and only for what somebody registered; what is wrong with them is told to nobody."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from longshore.kit.clock import SteppedClock
from longshore.kit.fetching import FetchFailed
from longshore.kit.jose import Token, read
from longshore.services.iam.federation import OpenIdProvider
from longshore.services.sts.errors import IDPCommunicationError, InvalidIdentityToken
from longshore.services.sts.web_identity.issuers import AGAIN_S, DISCOVERY, FRESH_S, STALE_S, Issuers
from tests.services.sts.idp import CLIENT, ISSUER, Provider, SigningKey

REGISTERED = OpenIdProvider("1" * 12, ISSUER, 0.0, (CLIENT,))


class Asked:
    def __init__(self, provider: Provider | None = None) -> None:
        self.clock = SteppedClock()
        self.provider = provider or Provider()
        self.issuers = Issuers(self.provider, self.clock)

    def token(self, key: SigningKey | None = None) -> Token:
        return read((key or self.provider.keys[0]).token({"iss": ISSUER}))

    async def kids(self, key: SigningKey | None = None, registered: OpenIdProvider = REGISTERED) -> list[str]:
        return [found.kid for found in await self.issuers.keys(registered, self.token(key))]

    @property
    def times(self) -> int:
        """How often the key set was fetched."""
        return self.provider.asked.count(f"{ISSUER}/keys")


async def test_keys_are_found_by_discovery_and_remembered() -> None:
    asked = Asked()
    assert await asked.kids() == ["one"] and await asked.kids() == ["one"]
    assert asked.provider.asked == [f"{ISSUER}{DISCOVERY}", f"{ISSUER}/keys"]
    await asked.clock.step(FRESH_S)
    assert await asked.kids() == ["one"] and asked.times == 2


async def test_a_key_that_was_rotated_in_is_fetched_at_once_but_not_again_and_again() -> None:
    asked = Asked()
    await asked.kids()
    two = SigningKey("two", number=1)
    asked.provider.keys.append(two)
    assert await asked.kids(two) == ["one"], "it was asked a moment ago"
    await asked.clock.step(AGAIN_S)
    assert await asked.kids(two) == ["one", "two"] and asked.times == 2
    for _ in range(20):
        await asked.kids(SigningKey("nobody's", number=1))
    assert asked.times == 2
    await asked.clock.step(AGAIN_S)
    for _ in range(20):
        await asked.kids(SigningKey("nobody's", number=1))
    assert asked.times == 3


async def test_a_key_that_was_taken_out_is_gone_after_the_next_look() -> None:
    asked = Asked(Provider(ISSUER, SigningKey("one"), SigningKey("two", number=1)))
    assert await asked.kids() == ["one", "two"]
    del asked.provider.keys[1]
    await asked.clock.step(FRESH_S)
    assert await asked.kids() == ["one"]


async def test_many_who_come_at_once_wait_for_one_answer() -> None:
    asked = Asked()
    asked.provider.patience.clear()
    waiting = [asyncio.create_task(asked.kids()) for _ in range(50)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # who leaves does not take the others' answer along
    asked.provider.patience.set()
    assert await asyncio.gather(*waiting[1:]) == [["one"]] * 49
    assert asked.times == 1


async def test_a_provider_that_is_away_is_gone_by_its_last_keys_for_an_hour() -> None:
    asked = Asked()
    await asked.kids()
    asked.provider.instead[DISCOVERY] = FetchFailed("no route")
    await asked.clock.step(FRESH_S)
    assert await asked.kids() == ["one"]
    await asked.clock.step(STALE_S - FRESH_S)
    with pytest.raises(IDPCommunicationError):
        await asked.kids()
    asked.provider.instead.clear()
    with pytest.raises(IDPCommunicationError):
        await asked.kids()  # not asked again before a few seconds are over
    await asked.clock.step(AGAIN_S)
    assert await asked.kids() == ["one"]


async def test_a_clock_that_was_set_back_keeps_no_keys_fresh() -> None:
    asked = Asked()
    await asked.kids()
    asked.clock._now -= 10_000
    asked.provider.keys[:] = [SigningKey("two", number=1)]
    assert await asked.kids() == ["two"]


@pytest.mark.parametrize(
    ("instead", "error"),
    [
        ({DISCOVERY: FetchFailed("slow", timed_out=True)}, IDPCommunicationError),
        ({"/keys": FetchFailed("refused")}, IDPCommunicationError),
        ({DISCOVERY: 404}, InvalidIdentityToken),
        ({DISCOVERY: 302}, InvalidIdentityToken),
        ({DISCOVERY: b"<html>"}, InvalidIdentityToken),
        ({DISCOVERY: b"[" * 65_000}, InvalidIdentityToken),
        ({DISCOVERY: b" " * 70_000}, InvalidIdentityToken),
        ({DISCOVERY: {"issuer": "https://other.example.com", "jwks_uri": f"{ISSUER}/keys"}}, InvalidIdentityToken),
        ({DISCOVERY: {"issuer": f"{ISSUER}/", "jwks_uri": f"{ISSUER}/keys"}}, InvalidIdentityToken),
        ({DISCOVERY: {"issuer": ISSUER}}, InvalidIdentityToken),
        ({DISCOVERY: {"issuer": ISSUER, "jwks_uri": "http://idp.example.com/keys"}}, InvalidIdentityToken),
        ({DISCOVERY: {"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"}}, InvalidIdentityToken),
        ({DISCOVERY: {"issuer": ISSUER, "jwks_uri": "https://user:secret@idp.example.com/keys"}}, InvalidIdentityToken),
        ({DISCOVERY: {"issuer": ISSUER, "jwks_uri": "http://127.0.0.1.example.com/keys"}}, InvalidIdentityToken),
        ({"/keys": {"keys": []}}, InvalidIdentityToken),
        ({"/keys": {"keys": [SigningKey().jwk(use="enc")]}}, InvalidIdentityToken),
        ({"/keys": b" " * 300_000}, InvalidIdentityToken),
        ({"/keys": 500}, InvalidIdentityToken),
    ],
)
async def test_what_a_provider_does_wrong_is_told_in_the_same_words(instead: dict[str, Any], error: type[Exception]) -> None:
    asked = Asked()
    asked.provider.instead |= instead
    with pytest.raises(error) as refused:
        await asked.kids()
    assert "example.com" not in str(refused.value)
    count = len(asked.provider.asked)
    for _ in range(10):
        with pytest.raises(error):
            await asked.kids()
    assert len(asked.provider.asked) == count, "it is not asked again at once"


async def test_two_accounts_that_trust_a_provider_differently_share_no_keys() -> None:
    asked = Asked()
    await asked.kids()
    await asked.kids(registered=OpenIdProvider("2" * 12, ISSUER, 0.0, (CLIENT,), ("aa" * 20,)))
    assert asked.times == 2
    await asked.kids(registered=OpenIdProvider("3" * 12, ISSUER, 0.0, ("another",)))
    assert asked.times == 2


async def test_a_provider_on_this_machine_may_speak_plain_http() -> None:
    url = "http://127.0.0.1:8080/realm"
    asked = Asked(Provider(url))
    assert await asked.kids(registered=OpenIdProvider("1" * 12, url, 0.0, (CLIENT,))) == ["one"]
    url = "http://idp.example.com"
    asked = Asked(Provider(url))
    with pytest.raises(InvalidIdentityToken):
        await asked.kids(registered=OpenIdProvider("1" * 12, url, 0.0, (CLIENT,)))
    assert not asked.provider.asked


@pytest.mark.parametrize(
    ("issuer", "jwks", "asked_for"),
    [
        (ISSUER, "https://keys.example.com/all", True),
        (ISSUER, "http://127.0.0.1:2375/containers/json", False),
        (ISSUER, "http://localhost/keys", False),
        ("http://127.0.0.1:8080/realm", "http://127.0.0.1:8080/other", True),
        ("http://127.0.0.1:8080/realm", "http://127.0.0.1:2375/containers/json", False),
        ("http://127.0.0.1:8080/realm", "http://127.0.0.1:80800/keys", False),
        ("https://127.0.0.1:8080/realm", "http://127.0.0.1:8080/keys", False),
    ],
)
async def test_a_document_does_not_make_us_ask_what_else_listens_on_this_machine(issuer: str, jwks: str, asked_for: bool) -> None:
    provider = Provider(issuer)
    provider.document["jwks_uri"] = jwks
    issuers = Issuers(provider, SteppedClock())
    registered = OpenIdProvider("1" * 12, issuer, 0.0, (CLIENT,))
    token = read(provider.keys[0].token({"iss": issuer}))
    if asked_for:
        assert [key.kid for key in await issuers.keys(registered, token)] == ["one"]
    else:
        with pytest.raises(InvalidIdentityToken):
            await issuers.keys(registered, token)
    assert (jwks in provider.asked) is asked_for
