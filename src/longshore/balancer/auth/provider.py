"""Talking to identity providers: only the endpoints that an action names, no redirects, five seconds, so many bytes."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from longshore.balancer.auth.errors import NotLetIn, ProviderFailed
from longshore.kit.fetching import Fetched, Fetcher, FetchFailed

#: an Application Load Balancer waits as long
TIMEOUT_S = 5.0
#: of claims, as AWS has it
MOST_CLAIMS_BYTES = 11 * 1024
_MOST_ANSWER_BYTES = 64 * 1024
MOST_KEY_SET_BYTES = 150 * 1024
_MOST_TOKEN_LENGTH = 8 * 1024


class Tokens(msgspec.Struct, frozen=True):
    """A token endpoint's answer."""

    access_token: str
    id_token: str = ""
    refresh_token: str = ""
    token_type: str = "Bearer"
    expires_in: float | str | None = None

    @property
    def lifetime_s(self) -> float | None:
        """None where the provider does not say. Some send the number as a text."""
        try:
            return None if self.expires_in is None else max(1.0, float(self.expires_in))
        except ValueError:
            return None


class _Refusal(msgspec.Struct, frozen=True):
    error: str = ""


class Provider:
    """`authority` is a PEM file of what providers may prove themselves with, beside what the system trusts."""

    def __init__(self, authority: Path | None = None) -> None:
        self._fetcher = Fetcher(authority, timeout_s=TIMEOUT_S)

    async def close(self) -> None:
        await self._fetcher.close()

    async def tokens(self, url: str, client_id: str, client_secret: str, form: Mapping[str, str]) -> Tokens:
        """Raises NotLetIn."""
        asked = {**form, "client_id": client_id}
        user, password = quote(client_id, safe=""), quote(client_secret, safe="")
        basic = {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}
        status, content = await self._ask("AuthTokenEp", "POST", url, basic, asked)
        if status == 401 or (status == 400 and _error_in(content) == "invalid_client"):
            # Some want it in the form.
            status, content = await self._ask("AuthTokenEp", "POST", url, {}, {**asked, "client_secret": client_secret})
        if status != 200:
            error = _error_in(content)
            if error == "invalid_grant":
                raise NotLetIn(561, "AuthInvalidGrantError")
            raise NotLetIn(561, "AuthTokenEpRequestFailed", f"status {status} {error}".strip(), "ELBAuthError")
        try:
            tokens = msgspec.json.decode(content, type=Tokens)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            raise NotLetIn(561, "AuthInvalidTokenResponse", str(error)) from None
        texts = (tokens.access_token, tokens.id_token, tokens.refresh_token)
        if tokens.token_type.lower() != "bearer" or not tokens.access_token or not all(map(_is_token, texts)):
            raise NotLetIn(561, "AuthInvalidTokenResponse")
        return tokens

    async def claims(self, url: str, access_token: str) -> dict[str, Any]:
        """What the provider says of somebody. Raises NotLetIn."""
        status, content = await self._ask("AuthUserinfoEp", "GET", url, {"Authorization": f"Bearer {access_token}"})
        if status != 200:
            raise NotLetIn(561, "AuthUserinfoEpRequestFailed", f"status {status}", "ELBAuthError")
        if len(content) > MOST_CLAIMS_BYTES:
            raise NotLetIn(401, "AuthUserinfoResponseSizeExceeded", metric="ELBAuthUserClaimsSizeExceeded")
        try:
            found = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise NotLetIn(561, "AuthInvalidUserinfoResponse", str(error)) from None
        if not isinstance(found, dict) or not isinstance(found.get("sub"), str):
            raise NotLetIn(561, "AuthInvalidUserinfoResponse", "it is nobody's")
        return found

    async def key_set(self, url: str) -> bytes:
        """A JSON Web Key Set. Raises NotLetIn."""
        status, content = await self._ask("JWKS", "GET", url, {}, most=MOST_KEY_SET_BYTES)
        if status != 200:
            raise ProviderFailed("JWKSRequestFailed", f"status {status}")
        if len(content) > MOST_KEY_SET_BYTES:
            raise ProviderFailed("JWKSRequestFailed", f"it has more than {MOST_KEY_SET_BYTES} bytes")
        return content

    async def _ask(
        self,
        what: str,
        method: str,
        url: str,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None = None,
        most: int = _MOST_ANSWER_BYTES,
    ) -> Fetched:
        try:
            return await self._fetcher.ask(method, url, most=most, headers=headers, form=form)
        except FetchFailed as problem:
            raise ProviderFailed(f"{what}Request{'Timeout' if problem.timed_out else 'Failed'}", str(problem)) from None


def _error_in(content: bytes) -> str:
    try:
        return msgspec.json.decode(content, type=_Refusal).error[:100]
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        return ""


def _is_token(text: str) -> bool:
    return len(text) <= _MOST_TOKEN_LENGTH and text.isascii() and text.isprintable()
