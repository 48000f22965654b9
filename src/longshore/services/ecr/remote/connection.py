"""Requests to other registries: connections, sign-in and redirects.

Sign-in follows the registry's own challenge: Basic, or a token from the server it names. An Authorization header goes to the
origin it was made for and to no other, wherever a redirect or an upload's Location leads. Every address is checked, those that
names stand for included.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
from base64 import b64encode
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, NamedTuple

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from longshore import __version__
from longshore.kit.clock import Clock
from longshore.services.ecr.remote import aws_sign_in
from longshore.services.ecr.remote.addresses import AddressRefused, Place, check_resolved, is_loopback
from longshore.services.ecr.remote.challenge import Challenge, challenges
from longshore.services.ecr.remote.errors import RemoteDenied, RemoteError, RemoteInvalid, RemoteUnavailable

_MOST_REDIRECTS = 4
_MOST_TOKENS = 1000
_LARGEST_TOKEN_ANSWER = 64 * 1024
#: in which everything must have been answered that is not a blob, however slowly it comes
_ANSWERED_WITHIN_S = 120.0
#: what the token specification gives a token that names no time
_TOKEN_GOOD_FOR_S = 60.0
#: renewed so long before it ends
_MARGIN_S = 10.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Credentials(NamedTuple):
    """`kind` AWS: an access key, which a token is asked for with."""

    user: str
    password: str
    kind: Literal["BASIC", "AWS"] = "BASIC"

    def __repr__(self) -> str:
        return f"Credentials({self.user})"

    @property
    def basic(self) -> str:
        return "Basic " + b64encode(f"{self.user}:{self.password}".encode()).decode()


class _Asked(NamedTuple):
    """A request, as often as it has to be made."""

    method: str
    url: URL
    headers: dict[str, str]
    body: Callable[[], Any] | bytes | None
    timeout: aiohttp.ClientTimeout


class _TokenAnswer(msgspec.Struct, frozen=True):
    token: str = ""
    access_token: str = ""
    expires_in: float = _TOKEN_GOOD_FOR_S


class _GuardedResolver(AbstractResolver):
    """A name service (the system's, unless given) without the addresses that are out of reach."""

    def __init__(self, resolver: AbstractResolver | None) -> None:
        self._resolver = resolver or aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            check_resolved(each["host"])
            if is_loopback(host) and not is_loopback(each["host"]):
                raise AddressRefused(f"{host} does not stand for this machine here")
        return found

    async def close(self) -> None:
        await self._resolver.close()


class Remotes:
    """Connections and tokens of everybody who speaks to other registries. Made once, closed with the server."""

    def __init__(
        self,
        clock: Clock,
        name: str = "longshore",
        *,
        connect_s: float = 10.0,
        silence_s: float = 60.0,
        answered_within_s: float = _ANSWERED_WITHIN_S,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self.clock = clock
        #: what requests say that they came by, in their Via header: who meets itself there goes in a circle
        self.name = name
        self._resolver = resolver
        self.for_blobs = aiohttp.ClientTimeout(total=None, sock_connect=connect_s, sock_read=silence_s)
        self.for_others = aiohttp.ClientTimeout(total=answered_within_s, sock_connect=connect_s, sock_read=silence_s)
        self._session: aiohttp.ClientSession | None = None
        self._tokens: OrderedDict[str, tuple[str, float]] = OrderedDict()

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=_GuardedResolver(self._resolver), limit=200, limit_per_host=50),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self.for_others,
                auto_decompress=False,
                headers={"User-Agent": f"longshore/{__version__}", "Accept-Encoding": "identity", "Via": f"1.1 {self.name}"},
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def token(self, key: str) -> str | None:
        """The Authorization header got before, while it is good."""
        held = self._tokens.get(key)
        if held is None or held[1] <= self.clock.now():
            return None
        self._tokens.move_to_end(key)
        return held[0]

    def keep(self, key: str, authorization: str, good_for_s: float) -> None:
        self._tokens[key] = (authorization, self.clock.now() + good_for_s)
        while len(self._tokens) > _MOST_TOKENS:
            self._tokens.popitem(last=False)

    def forget(self, key: str) -> None:
        self._tokens.pop(key, None)


class Connection:
    """One registry, as one set of credentials reaches it."""

    def __init__(self, remotes: Remotes, place: Place, credentials: Credentials | None) -> None:
        self._remotes = remotes
        self._credentials = credentials
        self.place = place
        self.clock = remotes.clock

    def __str__(self) -> str:
        return self.place.origin.host_port_subcomponent or ""

    def _key(self, scope: str) -> str:
        who = hashlib.sha256(repr(tuple(self._credentials or ())).encode()).hexdigest()
        return f"{self.place.origin} {who} {scope}"

    @asynccontextmanager
    async def send(
        self,
        method: str,
        url: URL,
        *,
        scope: str,
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Any] | bytes | None = None,
        blob: bool = False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer, whatever its status. `scope` is what a token is asked for; a `body` that is called is called once per try.

        Only a `blob` may take as long as it takes. Raises RemoteUnavailable, RemoteInvalid and RemoteDenied.
        """
        timeout = self._remotes.for_blobs if blob else self._remotes.for_others
        try:
            try:
                response = await self._signed_in(_Asked(method, url, dict(headers or {}), body, timeout), scope)
            except AddressRefused as refused:
                raise RemoteInvalid(f"{self}: {refused}") from refused
            except aiohttp.ClientError:  # some of these are ValueErrors, too
                raise
            except ValueError as error:
                raise RemoteInvalid(f"{self} sends us to what is no address") from error
            try:
                yield response
            finally:
                response.close() if not response.content.at_eof() else response.release()
        except (aiohttp.ClientError, TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            raise RemoteUnavailable(f"{self} cannot be reached: {error or type(error).__name__}") from error

    async def _signed_in(self, asked: _Asked, scope: str) -> aiohttp.ClientResponse:
        key = self._key(scope)
        authorization = self._remotes.token(key)
        response = await self._redirected(asked, authorization)
        if response.status != 401:
            return response
        ways = challenges(response.headers.getall("WWW-Authenticate", []))
        response.close()
        self._remotes.forget(key)
        authorization = await self._authorization(ways, key, scope)
        return await self._redirected(asked, authorization)

    async def _redirected(self, asked: _Asked, authorization: str | None) -> aiohttp.ClientResponse:
        """Follows what GET and HEAD are sent on to."""
        url = asked.url
        for _ in range(_MOST_REDIRECTS + 1):
            self.place.check_led_to(url)
            ours = url.origin() == self.place.origin
            sent = asked.headers | ({"Authorization": authorization} if authorization and ours else {})
            data = asked.body() if callable(asked.body) else asked.body
            response = await self._remotes.session.request(
                asked.method, url, headers=sent, data=data, allow_redirects=False, timeout=asked.timeout
            )
            location = response.headers.get("Location")
            if asked.method not in ("GET", "HEAD") or response.status not in _REDIRECTS or location is None:
                return response
            response.close()
            try:
                url = url.join(URL(location, encoded=True))
            except ValueError:
                raise RemoteInvalid(f"{self} redirects to what is no address") from None
        raise RemoteInvalid(f"{self} redirects too often")

    async def _authorization(self, asked: list[Challenge], key: str, scope: str) -> str:
        """What answers one of the challenges. Raises RemoteDenied."""
        for challenge in asked:
            if challenge.scheme == "bearer" and "realm" in challenge.parameters and not self._has_access_key:
                authorization, good_for_s = await self._token(challenge, scope)
                self._remotes.keep(key, authorization, good_for_s - _MARGIN_S)
                return authorization
            if challenge.scheme == "basic" and self._credentials is not None:
                authorization, good_for_s = await self._basic(self._credentials)
                self._remotes.keep(key, authorization, good_for_s)
                return authorization
        raise RemoteDenied(f"{self} asks for credentials" if asked else f"{self} refuses without saying how to sign in")

    @property
    def _has_access_key(self) -> bool:
        """A secret access key signs and goes nowhere, so no token server is shown it."""
        return self._credentials is not None and self._credentials.kind == "AWS"

    async def _basic(self, credentials: Credentials) -> tuple[str, float]:
        if credentials.kind == "BASIC":
            return credentials.basic, 3600.0
        user, password, _ = credentials
        return await aws_sign_in.authorization(self._remotes.session, self.place.origin, user, password, self.clock.now())

    async def _token(self, challenge: Challenge, scope: str) -> tuple[str, float]:
        """(Authorization header, seconds it is good for) from the token server that the registry names."""
        try:
            realm = URL(challenge.parameters["realm"], encoded=True)
        except ValueError:
            raise RemoteInvalid(f"{self} names a token server that is no address") from None
        self.place.check_led_to(realm)
        query = {"scope": scope} if scope else {}
        if service := challenge.parameters.get("service"):
            query["service"] = service
        headers = {"Authorization": self._credentials.basic} if self._credentials is not None else {}
        async with self._remotes.session.get(
            realm.update_query(query), headers=headers, allow_redirects=False, timeout=self._remotes.for_others
        ) as response:
            if response.status in (401, 403):
                raise RemoteDenied(f"{realm.host_port_subcomponent}, which signs in for {self}, answered {response.status}")
            if response.status != 200:
                raise RemoteUnavailable(f"{realm.host_port_subcomponent}, which signs in for {self}, answered {response.status}")
            content = await read_at_most(response, _LARGEST_TOKEN_ANSWER)
        try:
            answer = msgspec.json.decode(content or b"", type=_TokenAnswer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise RemoteInvalid(f"{realm.host_port_subcomponent}, which signs in for {self}, answered what is no token") from None
        token = answer.token or answer.access_token
        if not token or not token.isascii() or not token.isprintable():
            raise RemoteInvalid(f"{realm.host_port_subcomponent}, which signs in for {self}, answered without a token")
        return f"Bearer {token}", max(answer.expires_in, _TOKEN_GOOD_FOR_S)


async def read_at_most(response: aiohttp.ClientResponse, most: int) -> bytes | None:
    """The whole body; None where it is longer than `most` bytes."""
    if response.content_length is not None and response.content_length > most:
        return None
    pieces = bytearray()
    async for piece in response.content.iter_any():
        pieces += piece
        if len(pieces) > most:
            return None
    return bytes(pieces)


__all__ = ["Connection", "Credentials", "RemoteError", "Remotes", "read_at_most"]
