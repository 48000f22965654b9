"""What an identity provider's token must say, and what policies may ask about it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from longshore.kit.jose import Key, keys_in, read
from longshore.services.iam.federation import OpenIdProvider
from longshore.services.sts.errors import ExpiredTokenException, IDPRejectedClaim, InvalidIdentityToken
from longshore.services.sts.web_identity.tokens import AHEAD_S, SOURCE_IDENTITY, TAGS, WebIdentity, checked, conditions_of
from tests.services.sts.idp import CLIENT, HOST, ISSUER, Provider, SigningKey

NOW = 1_700_000_000.0
IDP = Provider()
REGISTERED = OpenIdProvider("1" * 12, ISSUER, 0.0, (CLIENT, "console"))


def keys() -> tuple[Key, ...]:
    return keys_in(msgspec.json.encode({"keys": [key.jwk() for key in IDP.keys]}))


def looked_at(now: float = NOW, **claims: Any) -> WebIdentity:
    return checked(REGISTERED, read(IDP.token(NOW, **claims)), keys(), now)


def test_a_token_says_who_it_is_and_what_policies_may_ask() -> None:
    found = looked_at(email="a@example.com", level=3, admin=True, groups=["ops", "dev"], amr=["pwd", "otp"], nested={"a": 1}, mixed=[1, {}])
    assert (found.provider_arn, found.subject, found.audience) == (
        f"arn:aws:iam::{'1' * 12}:oidc-provider/{HOST}",
        "alice@example.com",
        CLIENT,
    )
    about = found.conditions
    assert about[f"{HOST}:sub"] == ["alice@example.com"] and about[f"{HOST}:aud"] == [CLIENT]
    assert (about[f"{HOST}:groups"], about[f"{HOST}:level"], about[f"{HOST}:admin"]) == (["ops", "dev"], ["3"], ["true"])
    assert not {f"{HOST}:nested", f"{HOST}:mixed"} & set(about)
    assert conditions_of(found.told) == {
        f"{HOST}:aud": [CLIENT],
        f"{HOST}:sub": ["alice@example.com"],
        f"{HOST}:amr": ["pwd", "otp"],
    }


@pytest.mark.parametrize(
    ("claims", "audience", "keys"),
    [
        ({"aud": [CLIENT]}, CLIENT, {"aud": [CLIENT]}),
        ({"aud": ["other", "console", CLIENT]}, "console", {"aud": ["console", CLIENT]}),
        ({"aud": "other", "azp": "console"}, "console", {"aud": ["console"], "azp": ["console"], "oaud": ["other"]}),
    ],
)
def test_a_token_is_for_its_azp_or_else_for_its_aud(claims: dict[str, Any], audience: str, keys: dict[str, list[str]]) -> None:
    found = looked_at(**claims)
    assert found.audience == audience
    assert {name: found.conditions[f"{HOST}:{name}"] for name in keys} == keys


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"aud": "other"}, "Incorrect token audience"),
        ({"aud": None}, "Incorrect token audience"),
        ({"aud": []}, "Incorrect token audience"),
        ({"aud": {"a": CLIENT}}, "Incorrect token audience"),
        ({"aud": CLIENT, "azp": "other"}, "Incorrect token audience"),
        ({"aud": CLIENT, "azp": [CLIENT]}, "Incorrect token audience"),
        ({"iss": "https://other.example.com"}, "Incorrect token issuer"),
        ({"iss": f"{ISSUER}/"}, "Incorrect token issuer"),
        ({"sub": None}, "Missing a required claim: sub"),
        ({"sub": ""}, "Missing a required claim: sub"),
        ({"sub": 7}, "Missing a required claim: sub"),
        ({"sub": "x" * 256}, "at most 255"),
        ({"sub": "a\nb"}, "printable"),
        ({"iat": None}, "Missing a required claim: iat"),
        ({"exp": None}, "Missing a required claim: exp"),
        ({"exp": "tomorrow"}, "The claim exp of the token is not a number"),
        ({"exp": True}, "The claim exp of the token is not a number"),
        ({"iat": int(NOW + AHEAD_S) + 1}, "good from"),
        ({"nbf": int(NOW + AHEAD_S) + 1}, "good from"),
        ({"nbf": "x"}, "The claim nbf of the token is not a number"),
    ],
)
def test_tokens_that_say_the_wrong_thing_are_refused(claims: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidIdentityToken, match=words):
        looked_at(**claims)


def test_a_token_is_over_when_it_says_so_and_may_be_a_little_ahead() -> None:
    looked_at(NOW + 599)
    with pytest.raises(ExpiredTokenException, match="must be before the expiration date/time 1700000600"):
        looked_at(NOW + 600)
    looked_at(iat=int(NOW + AHEAD_S), nbf=int(NOW + AHEAD_S))
    looked_at(exp=1e300)


def test_nothing_is_told_of_a_token_that_is_not_signed() -> None:
    mine = SigningKey(number=1)
    for claims in (IDP.claims(NOW), IDP.claims(NOW, aud="other"), IDP.claims(NOW, exp=1)):
        with pytest.raises(InvalidIdentityToken, match="signature"):
            checked(REGISTERED, read(mine.token(claims)), keys(), NOW)


def test_session_tags_come_nested_or_flat() -> None:
    nested = looked_at(**{TAGS: {"principal_tags": {"Team": ["core"], "Stage": "test"}, "transitive_tag_keys": ["Team"]}})
    assert (nested.tags, nested.transitive) == ((("Team", "core"), ("Stage", "test")), ("Team",))
    flat = looked_at(**{f"{TAGS}/principal_tags/Team": "core", f"{TAGS}/transitive_tag_keys": ["Team"], SOURCE_IDENTITY: "alice"})
    assert (flat.tags, flat.transitive, flat.source_identity) == ((("Team", "core"),), ("Team",), "alice")


@pytest.mark.parametrize(
    "claims",
    [
        {TAGS: []},
        {TAGS: {"principal_tags": ["Team"]}},
        {TAGS: {"principal_tags": {"Team": ["a", "b"]}}},
        {TAGS: {"principal_tags": {"Te|am": ["a"]}}},
        {TAGS: {"principal_tags": {"Team": ["x" * 300]}}},
        {TAGS: {"principal_tags": {}, "transitive_tag_keys": 5}},
        {f"{TAGS}/principal_tags/Team": 5},
        {SOURCE_IDENTITY: "no blanks here"},
        {SOURCE_IDENTITY: ["alice"]},
    ],
)
def test_tags_and_identities_that_cannot_be_are_rejected(claims: dict[str, Any]) -> None:
    with pytest.raises(IDPRejectedClaim):
        looked_at(**claims)


def test_a_provider_with_the_name_of_a_service_speaks_for_no_key_of_its() -> None:
    idp = Provider("https://aws")
    provider = OpenIdProvider("1" * 12, "https://aws", 0.0, (CLIENT,))
    found = checked(provider, read(idp.token(NOW, securetransport="true")), keys(), NOW)
    assert found.conditions == {} and found.told == ()


@pytest.mark.parametrize("claims", [{"Sub": "bob@example.com"}, {"AUD": "console"}, {"groups": ["dev"], "Groups": ["ops"]}])
def test_a_claim_is_not_said_over_again_in_other_letters(claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidIdentityToken, match="differ in case alone"):
        looked_at(**claims)


def test_what_an_azp_hides_is_known_from_the_aud_alone() -> None:
    assert f"{HOST}:oaud" not in looked_at(oaud="other").conditions
    assert looked_at(azp=CLIENT, aud="other", oaud="third").conditions[f"{HOST}:oaud"] == ["other"]
