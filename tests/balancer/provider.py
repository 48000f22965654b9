"""An identity provider that can be told to misbehave, and a browser that goes where it is sent."""

from __future__ import annotations

import asyncio
import ssl
import time
from base64 import b64decode
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import aiohttp
import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from yarl import URL

from longshore.aws.shapes import elbv2 as shapes
from longshore.services.elbv2.claims import unpadded
from longshore.services.elbv2.client_secrets import sealed_actions
from tests.balancer.lab import quiet_port

SECRET = b"installation's own"
CLIENT_ID, CLIENT_SECRET = "client one", "its: secret%"


class Key:
    def __init__(self, kid: str) -> None:
        self.kid = kid
        self._key = rsa.generate_private_key(65537, 2048)

    def jwk(self, **more: Any) -> dict[str, Any]:
        numbers = self._key.public_key().public_numbers()
        return {
            "kty": "RSA",
            "kid": self.kid,
            "use": "sig",
            "alg": "RS256",
            "n": unpadded(numbers.n.to_bytes(256, "big")),
            "e": unpadded(numbers.e.to_bytes(3, "big")),
            **more,
        }

    def token(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        about = {"alg": "RS256", "kid": self.kid, **(header or {})}
        text = ".".join(unpadded(msgspec.json.encode(part)) for part in (about, claims))
        return f"{text}.{unpadded(self._key.sign(text.encode(), padding.PKCS1v15(), SHA256()))}"


class IdentityProvider:
    """Lets everybody in as `sub`. What it is to do wrong is set by whoever tests."""

    def __init__(self, secure: ssl.SSLContext | None = None) -> None:
        self._secure = secure
        self.port = quiet_port()
        self.sub = "alice"
        self.keys = [Key("one")]
        self.claims: dict[str, Any] = {"email": "alice@example.com"}
        #: what the id token says otherwise; None leaves a claim out
        self.id_token: dict[str, Any] = {}
        self.id_header: dict[str, Any] = {}
        self.expires_in: Any = 3600
        self.refreshes = True
        self.refuses_refresh = False
        self.token_status = 200
        self.userinfo: Any = None
        self.denies = ""
        self.key_set: Any = None
        self.patience = asyncio.Event()
        self.patience.set()
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._refresh_token = ""
        self._access_token = ""
        self._number = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}" if self._secure else f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> IdentityProvider:
        app = web.Application()
        app.add_routes(
            [
                web.get("/authorize", self._authorize),
                web.post("/token", self._token),
                web.get("/userinfo", self._userinfo),
                web.get("/jwks", self._jwks),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._secure).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.patience.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def config(self, **more: Any) -> shapes.AuthenticateOidcActionConfig:
        settings = {
            "session_cookie_name": "AWSELBAuthSessionCookie",
            "scope": "openid",
            "session_timeout": 604_800,
            "on_unauthenticated_request": "authenticate",
            "client_secret": CLIENT_SECRET,
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "user_info_endpoint": f"{self.url}/userinfo",
            "client_id": CLIENT_ID,
        }
        return shapes.AuthenticateOidcActionConfig(**(settings | more))

    def action(self, **more: Any) -> shapes.Action:
        """As it is kept."""
        action = shapes.Action(type="authenticate-oidc", order=1, authenticate_oidc_config=self.config(**more))
        return sealed_actions((action,), (), SECRET)[0]

    def tokens_action(self, *claims: tuple[str, str, tuple[str, ...]]) -> shapes.Action:
        more = tuple(shapes.JwtValidationActionAdditionalClaim(format=format, name=name, values=values) for format, name, values in claims)
        config = shapes.JwtValidationActionConfig(jwks_endpoint=f"{self.url}/jwks", issuer=self.url, additional_claims=more or None)
        return shapes.Action(type="jwt-validation", order=1, jwt_validation_config=config)

    def access_token(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        said = {"iss": self.url, "exp": int(time.time()) + 60, "sub": self.sub, **claims}
        return self.keys[0].token(header, **{name: value for name, value in said.items() if value is not None})

    async def _authorize(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        if self.denies:
            raise web.HTTPFound(f"{query['redirect_uri']}?error={self.denies}&state={query['state']}")
        self._number += 1
        code = f"code-{self._number}"
        self._codes[code] = query
        raise web.HTTPFound(f"{query['redirect_uri']}?code={code}&state={query['state']}")

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.asked.append(str(form["grant_type"]))
        await self.patience.wait()
        scheme, _, basic = request.headers.get("Authorization", "").partition(" ")
        given = [unquote(part) for part in b64decode(basic).decode().split(":")] if scheme == "Basic" else []
        if given != [CLIENT_ID, CLIENT_SECRET]:
            return web.json_response({"error": "invalid_client"}, status=401)
        if self.token_status != 200:
            return web.json_response({"error": "server_error"}, status=self.token_status)
        nonce = None
        if form["grant_type"] == "refresh_token":
            if self.refuses_refresh or form["refresh_token"] != self._refresh_token:
                return web.json_response({"error": "invalid_grant"}, status=400)
        else:
            begun = self._codes.pop(str(form["code"]), None)
            if begun is None or begun["redirect_uri"] != form["redirect_uri"]:
                return web.json_response({"error": "invalid_grant"}, status=400)
            nonce = begun["nonce"]
        self._number += 1
        self._access_token = f"access-{self._number}|%"
        said = {"iss": self.url, "aud": CLIENT_ID, "sub": self.sub, "exp": int(time.time()) + 60, "nonce": nonce, **self.id_token}
        answer = {"access_token": self._access_token, "token_type": "Bearer", "expires_in": self.expires_in}
        answer["id_token"] = self.keys[0].token(self.id_header, **{name: value for name, value in said.items() if value is not None})
        if self.refreshes:
            answer["refresh_token"] = self._refresh_token = f"refresh-{self._number}"
        return web.json_response(answer)

    async def _userinfo(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {self._access_token}"
        return web.json_response({"sub": self.sub, **self.claims} if self.userinfo is None else self.userinfo)

    async def _jwks(self, request: web.Request) -> web.Response:
        self.asked.append("jwks")
        await self.patience.wait()
        if isinstance(self.key_set, int):
            return web.Response(status=self.key_set)
        return web.json_response({"keys": [key.jwk() for key in self.keys]} if self.key_set is None else self.key_set)


class Browser:
    """Keeps cookies and follows redirects, one at a time."""

    def __init__(self) -> None:
        self.cookies: dict[tuple[str, str], str] = {}
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), max_field_size=65_536, max_line_size=65_536)

    async def __aenter__(self) -> Browser:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, url: str, method: str = "GET", **more: Any) -> Page:
        parts = urlsplit(url)
        place = f"{parts.hostname}:{parts.port}"
        kept = "; ".join(f"{name}={value}" for (where, name), value in self.cookies.items() if where == place)
        headers = {**({"Cookie": kept} if kept else {}), **more.pop("headers", {})}
        place_wanted = URL(url, encoded="params" not in more)
        async with self._session.request(method, place_wanted, headers=headers, allow_redirects=False, ssl=False, **more) as answer:
            for one in answer.headers.getall("Set-Cookie", []):
                name, _, rest = one.partition("=")
                value = rest.partition(";")[0]
                self.cookies[place, name] = value
                if not value:
                    del self.cookies[place, name]
            return Page(url, answer.status, dict(answer.headers), await answer.read(), answer.headers.getall("Set-Cookie", []))

    async def follow(self, url: str, **more: Any) -> Page:
        """To where no redirect leads on."""
        for _ in range(10):
            page = await self.get(url, **more)
            if page.status not in (301, 302, 303, 307):
                return page
            url = page.headers["Location"]
        raise AssertionError("redirected without an end")

    def named(self, beginning: str) -> dict[str, str]:
        return {name: value for (_, name), value in self.cookies.items() if name.startswith(beginning)}


class Page:
    def __init__(self, url: str, status: int, headers: dict[str, str], body: bytes, set_cookies: list[str]) -> None:
        self.url = url
        self.status = status
        self.headers = headers
        self.body = body
        self.set_cookies = set_cookies

    def __repr__(self) -> str:
        return f"Page({self.url}, {self.status}, {self.headers}, {self.body!r})"

    @property
    def seen(self) -> dict[str, Any]:
        """What the server that answered says it was asked, header names in small letters."""
        found: dict[str, Any] = msgspec.json.decode(self.body)
        found["headers"] = {name.lower(): value for name, value in found["headers"]}
        return found

    @property
    def query(self) -> dict[str, str]:
        """Of where it sends one."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.headers["Location"]).query).items()}
