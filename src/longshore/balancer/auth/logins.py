"""The authorization code flow of OpenID Connect: sending somebody to a provider, letting them in when they come back, and renewing
what they came back with.

Nothing is kept here between the two: the state that the provider hands back is sealed by us and says where to go on, and a cookie
of the browser that began (`AWSALBAuthNonce`) binds it to that browser. Where to go on is a path of the host they come back to.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.auth.errors import NotLetIn
from longshore.balancer.auth.provider import Provider, Tokens
from longshore.balancer.auth.sessions import Session, TooLarge, cookie, sealed, session_key, set_cookies
from longshore.balancer.auth.tokens import check_id_token
from longshore.balancer.render.auth import CALLBACK, realm
from longshore.kit.clock import Clock
from longshore.kit.sealing import Keys, derived_keys
from longshore.services.elbv2.claims import Signers, unpadded
from longshore.services.elbv2.client_secrets import opened as opened_secret

NONCE_COOKIE = "AWSALBAuthNonce"
#: how long a login may take
LOGIN_S = 15 * 60
#: of a request's path and query, which go into the state
MOST_PATH_LENGTH = 4096
_NONCE_BYTES = 12
#: a refresh token may be good for one use, and a page asks for many things at once: all get the same answer
_REMEMBERED_S = 60.0
_MOST_REMEMBERED = 4096
_HOST = re.compile(r"[A-Za-z0-9._\-\[\]:]{1,255}")
_BINDING = re.compile(r"[A-Za-z0-9_-]{22}")


class Door(msgspec.Struct, frozen=True):
    """One rule that asks who it is: of which load balancer, reached how."""

    load_balancer_arn: str
    #: of the rule; the listener's for its default rule
    rule_arn: str
    is_secure: bool
    config: shapes.AuthenticateOidcActionConfig

    @property
    def scheme(self) -> str:
        return "https" if self.is_secure else "http"


class Going(msgspec.Struct, frozen=True):
    """An answer that sends somebody elsewhere."""

    location: str
    set_cookies: tuple[str, ...]


class State(msgspec.Struct, frozen=True, array_like=True):
    rule_arn: str
    host: str
    path: str
    nonce: str
    #: of the browser's cookie
    binding: str
    begun_at: int


class Logins:
    def __init__(self, provider: Provider, clock: Clock, secret: Keys) -> None:
        self._provider = provider
        self._clock = clock
        self._secret = secret
        self._signers = Signers(secret)
        #: mark of a session -> what has become of it, since when
        self._renewals: dict[str, tuple[float, asyncio.Task[Session]]] = {}

    def begin(self, door: Door, host: str, path: str, cookies: Mapping[str, str]) -> Going:
        """Raises NotLetIn."""
        if not _HOST.fullmatch(host):
            raise NotLetIn(401, "AuthMissingHostHeader", metric="ELBAuthError")
        if len(path) > MOST_PATH_LENGTH:
            raise NotLetIn(414, "AuthUnhandledException", "the path is too long to come back to", "ELBAuthError")
        config, now = door.config, self._clock.now()
        binding = cookies.get(NONCE_COOKIE, "")
        if not _BINDING.fullmatch(binding):
            binding = unpadded(os.urandom(16))
        nonce = unpadded(os.urandom(16))
        state = State(door.rule_arn, host, path if path.startswith("/") else "/", nonce, _mark(binding), int(now))
        asked = {
            "response_type": "code",
            "client_id": config.client_id,
            "redirect_uri": f"{door.scheme}://{host}{CALLBACK}",
            "scope": config.scope or "openid",
            "state": self._sealed_state(state, door.load_balancer_arn),
            "nonce": nonce,
            **(config.authentication_request_extra_params or {}),
        }
        parts = urlsplit(config.authorization_endpoint)
        query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *asked.items()])
        kept = cookie(NONCE_COOKIE, binding, now + LOGIN_S, is_secure=door.is_secure, same_site="Lax")
        return Going(urlunsplit(parts._replace(query=query)), (kept,))

    def state_of(self, query: Mapping[str, str], load_balancer_arn: str, host: str, cookies: Mapping[str, str]) -> State:
        """What somebody who comes back from a provider had begun. Raises NotLetIn."""
        if "state" not in query:
            raise NotLetIn(401, "AuthMissingStateParam")
        state = self._opened_state(query["state"], load_balancer_arn)
        age_s = self._clock.now() - state.begun_at if state else 0.0
        if state is None or not -60 <= age_s <= LOGIN_S or state.host != host:
            raise NotLetIn(401, "AuthInvalidStateParam")
        if NONCE_COOKIE not in cookies:
            raise NotLetIn(401, "AuthMissingAWSALBAuthNonce")
        if not hmac.compare_digest(_mark(cookies[NONCE_COOKIE]).encode(), state.binding.encode()):
            raise NotLetIn(401, "AuthInvalidAWSALBAuthNonce")
        return state

    async def complete(self, door: Door, state: State, query: Mapping[str, str]) -> Going:
        """Lets somebody in who has come back. Raises NotLetIn."""
        if "error" in query:
            status = 401 if query["error"] == "access_denied" else 561
            raise NotLetIn(status, "AuthInvalidGrantError", f"the provider says {query['error'][:100]!r}")
        if not query.get("code"):
            raise NotLetIn(401, "AuthMissingCodeParam")
        config, now = door.config, self._clock.now()
        form = {
            "grant_type": "authorization_code",
            "code": query["code"],
            "redirect_uri": f"{door.scheme}://{state.host}{CALLBACK}",
        }
        tokens = await self._tokens(config, form)
        if not tokens.id_token:
            raise NotLetIn(401, "AuthInvalidIdToken", "the provider sent none: is openid in the scope?")
        said = check_id_token(tokens.id_token, issuer=config.issuer, client_id=config.client_id, nonce=state.nonce, now=now)
        ends_at = int(now) + (config.session_timeout or 0)
        session = await self._session(door, tokens, str(said["sub"]), ends_at)
        return Going(f"{door.scheme}://{state.host}{state.path}", self.cookies_of(door, session))

    async def renewed(self, door: Door, session: Session) -> Session:
        """The session with another access token; it ends when it would have ended. Raises NotLetIn, ProviderFailed among it where
        the provider has not decided."""
        mark = hashlib.sha256(f"{door.load_balancer_arn}\n{session.refresh_token}\n{session.due_at}".encode()).hexdigest()
        now = self._clock.now()
        known = self._renewals.get(mark)
        if known is None or now - known[0] > _REMEMBERED_S or (known[1].done() and known[1].exception() is not None):
            self._forget(now)
            known = self._renewals[mark] = (now, asyncio.create_task(self._renew(door, session), name="renew"))
        return await asyncio.shield(known[1])

    def _forget(self, now: float) -> None:
        old = [mark for mark, (since, job) in self._renewals.items() if job.done() and now - since > _REMEMBERED_S]
        for mark in old or list(self._renewals)[: max(0, len(self._renewals) - _MOST_REMEMBERED)]:
            del self._renewals[mark]

    async def _renew(self, door: Door, session: Session) -> Session:
        config = door.config
        tokens = await self._tokens(config, {"grant_type": "refresh_token", "refresh_token": session.refresh_token})
        if tokens.id_token:
            now = self._clock.now()
            said = check_id_token(tokens.id_token, issuer=config.issuer, client_id=config.client_id, nonce=None, now=now)
            if said["sub"] != session.identity:
                raise NotLetIn(401, "AuthInvalidIdToken", "of somebody else")
        if not tokens.refresh_token:
            tokens = msgspec.structs.replace(tokens, refresh_token=session.refresh_token)
        return await self._session(door, tokens, session.identity, session.ends_at)

    async def _tokens(self, config: shapes.AuthenticateOidcActionConfig, form: Mapping[str, str]) -> Tokens:
        client_secret = opened_secret(config.client_secret or "", self._secret)
        return await self._provider.tokens(config.token_endpoint, config.client_id, client_secret, form)

    async def _session(self, door: Door, tokens: Tokens, identity: str, ends_at: int) -> Session:
        config = door.config
        claims = await self._provider.claims(config.user_info_endpoint, tokens.access_token)
        if claims["sub"] != identity:
            raise NotLetIn(561, "AuthInvalidUserinfoResponse", "of somebody else")
        if not identity.isprintable():
            raise NotLetIn(561, "AuthInvalidUserinfoResponse", "a subject that no header can carry")
        now = self._clock.now()
        lasts_s = tokens.lifetime_s
        due_at = ends_at if not tokens.refresh_token or lasts_s is None else min(ends_at, int(now + lasts_s))
        data = self._signers.current.signed(
            claims, signer=door.load_balancer_arn, issuer=config.issuer, client_id=config.client_id, expires_at=due_at
        )
        return Session(
            realm=realm(config),
            ends_at=ends_at,
            due_at=due_at,
            identity=identity,
            access_token=tokens.access_token,
            data=data,
            refresh_token=tokens.refresh_token,
        )

    def cookies_of(self, door: Door, session: Session) -> tuple[str, ...]:
        """`Set-Cookie` headers. Raises NotLetIn."""
        text = sealed(session, session_key(self._secret, door.load_balancer_arn))
        name = door.config.session_cookie_name or ""
        try:
            return tuple(set_cookies(name, text, session.ends_at, is_secure=door.is_secure))
        except TooLarge:
            raise NotLetIn(401, "AuthUserinfoResponseSizeExceeded", metric="ELBAuthUserClaimsSizeExceeded") from None

    def _sealed_state(self, state: State, load_balancer_arn: str) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        return unpadded(nonce + AESGCM(self._state_keys(load_balancer_arn)[0]).encrypt(nonce, msgspec.json.encode(state), None))

    def _opened_state(self, text: str, load_balancer_arn: str) -> State | None:
        for key in self._state_keys(load_balancer_arn):
            try:
                content = urlsafe_b64decode(text + "=" * (-len(text) % 4))
                plain = AESGCM(key).decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], None)
                return msgspec.json.decode(plain, type=State)
            except (ValueError, InvalidTag, msgspec.DecodeError, msgspec.ValidationError):
                continue
        return None

    def _state_keys(self, load_balancer_arn: str) -> tuple[bytes, ...]:
        """The first seals; each opens what it has sealed."""
        return derived_keys(self._secret, f"elb-login:{load_balancer_arn}")


def _mark(binding: str) -> str:
    return hashlib.sha256(binding.encode(errors="replace")).hexdigest()[:32]
