"""What an identity provider's token must say, and what policies may ask about it.

The signature comes first: of a token that the provider has not signed nothing is told. Who it was made for is the `azp` where there is
one, and `aud` otherwise, as at AWS; that must be a client id of the provider. Every claim that is a text, a number, a truth or a list of
those is a condition key, named after the provider (`idp.example.com/realm:sub`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from longshore.aws.shapes import sts as shapes
from longshore.kit.jose import Key, Token, is_signed_by
from longshore.services.iam.federation import OpenIdProvider
from longshore.services.sts.errors import ExpiredTokenException, IDPRejectedClaim, InvalidIdentityToken
from longshore.services.sts.sessions import Pairs

#: how far a provider's clock may be ahead of ours
AHEAD_S = 300.0
_MOST_SUBJECT = 255
_MOST_CLAIM_NAME = 128
TAGS = "https://aws.amazon.com/tags"
SOURCE_IDENTITY = "https://aws.amazon.com/source_identity"
#: what is remembered of a token for as long as the session lasts
_REMEMBERED = ("aud", "azp", "oaud", "sub", "amr")
_MOST_REMEMBERED_VALUES = 10
#: hosts whose claims would be taken for keys that this installation itself answers for
_RESERVED = frozenset(
    {"aws", "sts", "iam", "saml", "ec2", "ecs", "ecr", "elasticloadbalancing", "acm", "secretsmanager", "ssm", "cloudtrail"}
)


class WebIdentity(NamedTuple):
    provider_arn: str
    #: of the provider, without the scheme
    host_and_path: str
    subject: str
    #: the client id that it was made for
    audience: str
    #: condition keys, in lower case
    conditions: dict[str, list[str]]
    tags: Pairs
    transitive: tuple[str, ...]
    source_identity: str

    @property
    def told(self) -> Pairs:
        """What policies of the role may go on asking about."""
        return tuple(
            (f"{self.host_and_path}:{name}".lower(), value)
            for name in _REMEMBERED
            for value in self.conditions.get(f"{self.host_and_path}:{name}".lower(), ())[:_MOST_REMEMBERED_VALUES]
        )


def checked(provider: OpenIdProvider, token: Token, keys: Iterable[Key], now: float) -> WebIdentity:
    """Whose token it is. Raises InvalidIdentityToken, ExpiredTokenException and IDPRejectedClaim."""
    if not is_signed_by(token, keys):
        raise InvalidIdentityToken("The token's signature cannot be verified with the keys of the identity provider.")
    claims = token.claims
    if claims.get("iss") != provider.url:
        raise InvalidIdentityToken("Incorrect token issuer")
    _check_times(claims, now)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise InvalidIdentityToken("Missing a required claim: sub")
    if len(subject) > _MOST_SUBJECT or not subject.isprintable():
        raise InvalidIdentityToken(f"The subject of the token is not one of at most {_MOST_SUBJECT} printable characters.")
    audiences = _audiences(provider, claims)
    tags, transitive = _tags(claims)
    return WebIdentity(
        provider.arn,
        provider.host_and_path,
        subject,
        audiences[0],
        _about(provider, claims, audiences),
        tags,
        transitive,
        _source_identity(claims),
    )


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    ends, began, holds_from = (_moment(claims, name) for name in ("exp", "iat", "nbf"))
    for name, moment in (("exp", ends), ("iat", began)):
        if moment is None:
            raise InvalidIdentityToken(f"Missing a required claim: {name}")
    assert ends is not None
    if now >= ends:
        raise ExpiredTokenException(f"Token expired: current date/time {now:.0f} must be before the expiration date/time {ends:.0f}")
    for moment in (began, holds_from):
        if moment is not None and moment > now + AHEAD_S:
            raise InvalidIdentityToken(f"The token is good from {moment:.0f} on only, which is after the current date/time {now:.0f}.")


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    """Seconds since the epoch; None where the claim is not there."""
    found = claims.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise InvalidIdentityToken(f"The claim {name} of the token is not a number.")
    try:
        return float(found)
    except OverflowError:
        raise InvalidIdentityToken(f"The claim {name} of the token is not a time.") from None


def _audiences(provider: OpenIdProvider, claims: Mapping[str, Any]) -> list[str]:
    """Client ids of the provider that the token was made for, one at least."""
    named = [claims["azp"]] if "azp" in claims else _texts(claims.get("aud"))
    found = [text for text in named if isinstance(text, str) and text in provider.client_ids]
    if not found:
        raise InvalidIdentityToken("Incorrect token audience")
    return found


def _about(provider: OpenIdProvider, claims: Mapping[str, Any], audiences: list[str]) -> dict[str, list[str]]:
    """The condition keys of a token. Raises InvalidIdentityToken."""
    prefix = provider.host_and_path.lower()
    if prefix in _RESERVED:
        return {}
    found: dict[str, list[str]] = {}
    for name, values in _claims(claims):
        key = f"{prefix}:{name.lower()}"
        if key in found:  # policies tell keys apart without regard to case: which of the two is meant is not to be guessed
            raise InvalidIdentityToken(f"The token has two claims {name.lower()[:_MOST_CLAIM_NAME]!r} that differ in case alone.")
        found[key] = values
    found[f"{prefix}:aud"] = audiences
    found.pop(f"{prefix}:oaud", None)  # no claim of the provider's: what we call the `aud` that an `azp` hides
    if "azp" in claims:
        found[f"{prefix}:oaud"] = _texts(claims.get("aud"))
    return found


def _texts(value: object) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return [each for each in listed if isinstance(each, str)]


def _claims(claims: Mapping[str, Any]) -> Iterable[tuple[str, list[str]]]:
    for name, value in claims.items():
        listed = value if isinstance(value, list) else [value]
        values = [text for each in listed if (text := _plain(each)) is not None]
        if values and len(values) == len(listed) and len(name) <= _MOST_CLAIM_NAME:
            yield name, values


def _plain(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value) if isinstance(value, int | float) else None


def _tags(claims: Mapping[str, Any]) -> tuple[Pairs, tuple[str, ...]]:
    """Session tags, nested in one claim or flat in one each; and the keys of those that are handed on."""
    nested = claims.get(TAGS, {})
    if not isinstance(nested, dict):
        raise IDPRejectedClaim(f"The claim {TAGS} of the token is not an object.")
    found = nested.get("principal_tags", {})
    transitive = nested.get("transitive_tag_keys", claims.get(f"{TAGS}/transitive_tag_keys", []))
    if not isinstance(found, dict):
        raise IDPRejectedClaim("The principal_tags of the token are not an object.")
    flat = f"{TAGS}/principal_tags/"
    found = {**found, **{name.removeprefix(flat): value for name, value in claims.items() if name.startswith(flat)}}
    try:
        tags = msgspec.convert([{"Key": key, "Value": _one(value)} for key, value in found.items()], tuple[shapes.Tag, ...])
        keys = msgspec.convert([transitive] if isinstance(transitive, str) else transitive, tuple[shapes.TagKeyType, ...])
    except msgspec.ValidationError as error:
        raise IDPRejectedClaim(f"The session tags of the token are not as they must be: {error}") from None
    return tuple((tag.key, tag.value) for tag in tags), keys


def _one(value: object) -> object:
    """A tag's value stands in a list, which has that one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _source_identity(claims: Mapping[str, Any]) -> str:
    found = claims.get(SOURCE_IDENTITY, "")
    if found == "":
        return ""
    try:
        identity: str = msgspec.convert(found, shapes.SourceIdentityType)
    except msgspec.ValidationError as error:
        raise IDPRejectedClaim(f"The source identity of the token is not as it must be: {error}") from None
    return identity


def conditions_of(told: Pairs) -> dict[str, Sequence[str]]:
    """As they stand in a request's context: a key may have several values."""
    found: dict[str, list[str]] = {}
    for key, value in told:
        found.setdefault(key, []).append(value)
    return dict(found)
