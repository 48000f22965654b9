"""What HAProxy asks when a request needs somebody who talks to identity providers: an HTTP server on a unix socket of our own.

HAProxy says why in headers that no client can set (`balancer/render/auth.py`): `authenticate`, somebody is to log in; `callback`,
somebody comes back from a provider; `refresh`, a session's access token is over; `keys`, a token is signed with a key that is not
here. The last two end with the request sent once more through the listener's own door.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from http import HTTPStatus

import aiohttp
import msgspec
from aiohttp import web

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.auth.errors import NotLetIn, ProviderFailed
from longshore.balancer.auth.keys import TokenKeys
from longshore.balancer.auth.logins import Door, Going, Logins
from longshore.balancer.auth.replay import replay
from longshore.balancer.auth.sessions import cookie, cookie_names, joined, opened, session_keys
from longshore.balancer.auth.tokens import parts_of
from longshore.balancer.render.pages import page
from longshore.balancer.render.places import Places
from longshore.kit.clock import Clock
from longshore.kit.sealing import Keys, SealBroken
from longshore.services.elbv2.model import LISTENERS, RULES, Listener
from longshore.store.base import Store

log = logging.getLogger("longshore.balancer.auth")

_PREFIX = "X-Longshore-"
_WORDS = {401: "Authorization Required", 561: "Unauthorized"}


class AuthenticationApp:
    def __init__(self, store: Store, clock: Clock, secret: Keys, places: Places, logins: Logins, keys: TokenKeys) -> None:
        self._store = store
        self._clock = clock
        self._secret = secret
        self._places = places
        self._logins = logins
        self._keys = keys
        #: (ARN of a load balancer, CloudWatch's name) -> how often; of ELBAuthLatency, milliseconds in all
        self.counts: Counter[tuple[str, str]] = Counter()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        arn = request.headers.get(f"{_PREFIX}Rule", "")
        lb = self._load_balancer_of(arn)
        try:
            match request.headers.get(f"{_PREFIX}Why", ""):
                case "authenticate":
                    return self._sent_to_log_in(request, self._door(arn))
                case "callback":
                    return await self._come_back(request, lb)
                case "refresh":
                    return await self._refreshed(request, self._door(arn))
                case "keys":
                    return await self._with_keys(request, arn)
            raise NotLetIn(500, "AuthUnhandledException", metric="ELBAuthError")
        except NotLetIn as problem:
            self.counts[lb, problem.metric] += 1
            log.warning("%s of %s: %s", request.headers.get(f"{_PREFIX}Client"), arn, problem)
            return _refused(problem)
        except SealBroken:
            log.error("the client secret of %s is sealed with another installation's key", arn)
            return _refused(NotLetIn(500, "AuthUnhandledException"))
        except aiohttp.ClientError as problem:
            log.error("a request of %s could not be sent on: %s", arn, problem)
            return _refused(NotLetIn(502, "AuthUnhandledException"))

    def _sent_to_log_in(self, request: web.BaseRequest, door: Door) -> web.Response:
        return _gone(self._logins.begin(door, request.headers.get("Host", ""), request.raw_path, _cookies(request)))

    async def _come_back(self, request: web.BaseRequest, load_balancer_arn: str) -> web.Response:
        begun = self._clock.now()
        host = request.headers.get("Host", "")
        state = self._logins.state_of(request.query, load_balancer_arn, host, _cookies(request))
        door = self._door(state.rule_arn)
        if door.load_balancer_arn != load_balancer_arn:
            raise NotLetIn(401, "AuthInvalidStateParam")
        going = await self._logins.complete(door, state, request.query)
        self.counts[load_balancer_arn, "ELBAuthSuccess"] += 1
        self.counts[load_balancer_arn, "ELBAuthLatency"] += int((self._clock.now() - begun) * 1000)
        return _gone(going)

    async def _refreshed(self, request: web.BaseRequest, door: Door) -> web.StreamResponse:
        name = door.config.session_cookie_name or ""
        cookies = _cookies(request)
        text = joined(name, cookies)
        tried = (opened(text, key) for key in session_keys(self._secret, door.load_balancer_arn))
        session = next((found for found in tried if found is not None), None)
        if session is None:
            raise NotLetIn(401, "AuthInvalidCookie")
        try:
            session = await self._logins.renewed(door, session)
        except ProviderFailed as problem:
            # The provider has not said no: the session goes on as long as it was to last.
            log.error("a session of %s goes on without being renewed: %s", door.rule_arn, problem)
            return await self._again(request, cookies, ())
        except NotLetIn as problem:
            return await self._over(request, door, problem)
        self.counts[door.load_balancer_arn, "ELBAuthRefreshTokenSuccess"] += 1
        given = self._logins.cookies_of(door, session)
        values = dict(one.partition(";")[0].partition("=")[::2] for one in given)
        return await self._again(request, {**cookies, **{key: value for key, value in values.items() if value}}, given)

    async def _over(self, request: web.BaseRequest, door: Door, problem: NotLetIn) -> web.StreamResponse:
        """The provider does not renew the session: it is none any more."""
        names = cookie_names(door.config.session_cookie_name or "")
        gone = tuple(cookie(name, "", 0.0, is_secure=door.is_secure) for name in names)
        match door.config.on_unauthenticated_request:
            case "deny":
                response: web.StreamResponse = _refused(NotLetIn(401, problem.reason))
                response.headers.extend([("Set-Cookie", one) for one in gone])
                return response
            case "allow":
                return await self._again(request, {key: value for key, value in _cookies(request).items() if key not in names}, gone)
        self.counts[door.load_balancer_arn, problem.metric] += 1
        return self._sent_to_log_in(request, door)

    async def _with_keys(self, request: web.BaseRequest, arn: str) -> web.StreamResponse:
        _, actions = self._found(arn)
        config = next((action.jwt_validation_config for action in actions if action.jwt_validation_config), None)
        if config is None:
            raise NotLetIn(500, "AuthUnhandledException", metric="ELBAuthError")
        kid = _kid_of(request)
        url = config.jwks_endpoint
        await self._keys.look_for(url, kid)
        if not self._keys.of(url):
            raise NotLetIn(500, "JWKSRequestFailed", self._keys.problem(url), "ELBAuthError")
        if kid and not self._keys.knows(url, kid):
            raise NotLetIn(401, "JWTSignatureValidationFailed", "no such key")
        return await self._again(request, None, ())

    async def _again(self, request: web.BaseRequest, cookies: dict[str, str] | None, set_cookies: tuple[str, ...]) -> web.StreamResponse:
        """Sends the request once more; with other cookies, unless None."""
        front = request.headers.get(f"{_PREFIX}Front", "")
        if not re.fullmatch(r"\d+-\d+", front):
            raise NotLetIn(500, "AuthUnhandledException", "no door to come back by", "ELBAuthError")
        about = (f"{_PREFIX}Client".lower(), f"{_PREFIX}Client-Port".lower())
        headers = [
            (name, value)
            for name, value in request.headers.items()
            if name.lower() in about or not name.lower().startswith(_PREFIX.lower())
            if name.lower() != "x-forwarded-for" and (cookies is None or name.lower() != "cookie")
        ]
        # HAProxy has said already whom it forwards for, and will again.
        if f"{_PREFIX}Forwarded" in request.headers:
            headers.append(("X-Forwarded-For", request.headers[f"{_PREFIX}Forwarded"]))
        if cookies:
            headers.append(("Cookie", "; ".join(f"{name}={value}" for name, value in cookies.items())))
        socket = f"{self._places.directory}/{front}.again"
        return await replay(request, socket, headers=headers, set_cookies=set_cookies)

    def _found(self, arn: str) -> tuple[Listener, tuple[shapes.Action, ...]]:
        """The listener of a rule (or of itself) and what is done there. Raises NotLetIn for what has been deleted since."""
        rule = self._store.get(RULES, arn)
        listener = self._store.get(LISTENERS, rule.listener_arn if rule is not None else arn)
        if listener is None:
            raise NotLetIn(500, "AuthUnhandledException", "the rule is gone", "ELBAuthError")
        return listener, rule.actions if rule is not None else listener.default_actions

    def _load_balancer_of(self, arn: str) -> str:
        try:
            return self._found(arn)[0].load_balancer_arn
        except NotLetIn:
            return ""

    def _door(self, arn: str) -> Door:
        listener, actions = self._found(arn)
        config = next((action.authenticate_oidc_config for action in actions if action.authenticate_oidc_config), None)
        if config is None:
            raise NotLetIn(500, "AuthUnhandledException", "the rule asks nobody any more", "ELBAuthError")
        return Door(listener.load_balancer_arn, arn, listener.protocol == "HTTPS", config)


def _cookies(request: web.BaseRequest) -> dict[str, str]:
    """As HAProxy reads them: the first of a name counts."""
    found: dict[str, str] = {}
    for header in request.headers.getall("Cookie", ()):
        for pair in header.split(";"):
            name, equals, value = pair.strip().partition("=")
            if equals:
                found.setdefault(name, value)
    return found


def _kid_of(request: web.BaseRequest) -> str:
    """The name of the key that the request's token is signed with; empty where it has none. Raises NotLetIn."""
    try:
        header, _ = parts_of(request.headers.get("Authorization", "").partition(" ")[2].strip())
    except (ValueError, msgspec.DecodeError):
        raise NotLetIn(401, "JWTRequestFormatInvalid") from None
    kid = header.get("kid", "")
    if not isinstance(kid, str):
        raise NotLetIn(401, "JWTRequestFormatInvalid")
    return kid


def _gone(going: Going) -> web.Response:
    response = web.Response(status=302, headers={"Location": going.location, "Cache-Control": "no-store", "Server": "awselb/2.0"})
    for one in going.set_cookies:
        response.headers.add("Set-Cookie", one)
    return response


def _refused(problem: NotLetIn) -> web.Response:
    words = _WORDS.get(problem.status) or HTTPStatus(problem.status).phrase
    headers = {"Server": "awselb/2.0", "Cache-Control": "no-store", f"{_PREFIX}Reason": problem.reason}
    return web.Response(status=problem.status, reason=words, text=page(problem.status, words), content_type="text/html", headers=headers)
