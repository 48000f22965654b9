"""The public keys of identity providers: found by their discovery document, remembered for a while, fetched anew for a key nobody knows.

Nobody has to have credentials to make this ask: so it asks only the issuers that somebody has registered, one request at a time for
each, not more often than every few seconds whatever comes of it, and takes so many bytes in so many seconds. What it learns
goes into the log and not into the answer. A provider that cannot be reached is gone by its last known keys for an hour.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import msgspec

from longshore.kit.clock import Clock
from longshore.kit.fetching import Fetched, FetchFailed, is_private_way
from longshore.kit.jose import BadKeySet, Key, Token, keys_in
from longshore.services.iam.federation import OpenIdProvider
from longshore.services.sts.errors import IDPCommunicationError, InvalidIdentityToken
from longshore.services.sts.web_identity.thumbprints import pinned

log = logging.getLogger("longshore.sts")

DISCOVERY = "/.well-known/openid-configuration"
#: how long keys are taken for what the provider has, and for how long still when it cannot be reached
FRESH_S = 300.0
STALE_S = 3600.0
#: how soon again after a failure, and because of a key that nobody knows
AGAIN_S = 5.0
_MOST_DOCUMENT = 64 * 1024
_MOST_KEY_SET = 256 * 1024
_MOST_REMEMBERED = 1000
#: how AWS says that a provider is not as it should be
_NO_KEY = (
    "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation "
    "for requirements"
)


class Asks(Protocol):
    """kit/fetching.py's Fetcher."""

    async def ask(
        self,
        method: str,
        url: str,
        *,
        most: int,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        context: ssl.SSLContext | None = None,
    ) -> Fetched: ...

    async def close(self) -> None: ...


class _Document(msgspec.Struct, frozen=True):
    issuer: str
    jwks_uri: str


class _Unusable(Exception):
    """The provider answers, and not as it must; says what is wrong."""


class _Id(NamedTuple):
    """Two accounts that trust one issuer by different certificates do not share what it says."""

    url: str
    thumbprints: tuple[str, ...]


class _Known:
    __slots__ = ("asked_at", "fetched_at", "keys", "problem")

    def __init__(self) -> None:
        self.keys: tuple[Key, ...] = ()
        #: of `keys`; before everything where there are none
        self.fetched_at = float("-inf")
        self.asked_at = float("-inf")
        #: what came of the last attempt, where it failed
        self.problem: FetchFailed | _Unusable | None = None


class Issuers:
    def __init__(self, fetcher: Asks, clock: Clock) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._known: OrderedDict[_Id, _Known] = OrderedDict()
        self._asking: dict[_Id, asyncio.Task[None]] = {}

    async def close(self) -> None:
        await self._fetcher.close()

    async def keys(self, provider: OpenIdProvider, token: Token) -> tuple[Key, ...]:
        """Those of the provider, the one that the token names among them if it can be had.

        Raises IDPCommunicationError and InvalidIdentityToken.
        """
        wanted = _Id(provider.url, provider.thumbprints)
        known = self._remembered(wanted)
        if self._is_due(known, token):
            await asyncio.shield(self._ask(wanted, known))
        now = self._clock.now()
        if 0 <= now - known.fetched_at < (STALE_S if known.problem is not None else float("inf")):
            return known.keys
        if isinstance(known.problem, _Unusable):
            raise InvalidIdentityToken(_NO_KEY)
        raise IDPCommunicationError

    def _remembered(self, wanted: _Id) -> _Known:
        known = self._known.setdefault(wanted, _Known())
        self._known.move_to_end(wanted)
        if len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return known

    def _is_due(self, known: _Known, token: Token) -> bool:
        now = self._clock.now()
        # a clock that was set back must not keep anything fresh
        if 0 <= now - known.asked_at < AGAIN_S:
            return False
        fresh = 0 <= now - known.fetched_at < FRESH_S
        return not fresh or (bool(token.kid) and all(key.kid != token.kid for key in known.keys))

    def _ask(self, wanted: _Id, known: _Known) -> asyncio.Task[None]:
        job = self._asking.get(wanted)
        if job is None:
            job = self._asking[wanted] = asyncio.create_task(self._asked(wanted, known), name=f"keys:{wanted.url}")
            job.add_done_callback(lambda _: self._asking.pop(wanted, None))
        return job

    async def _asked(self, wanted: _Id, known: _Known) -> None:
        try:
            keys = await self._fetched(wanted)
        except (FetchFailed, _Unusable) as problem:
            known.problem = problem
            log.warning("the keys of %s cannot be had: %s", wanted.url, problem)
        else:
            known.keys, known.problem, known.fetched_at = keys, None, self._clock.now()
            log.info("%s has %d keys", wanted.url, len(keys))
        known.asked_at = self._clock.now()

    async def _fetched(self, wanted: _Id) -> tuple[Key, ...]:
        """Raises FetchFailed and _Unusable."""
        content = await self._content(wanted, wanted.url.rstrip("/") + DISCOVERY, _MOST_DOCUMENT)
        try:
            document = msgspec.json.decode(content, type=_Document)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _Unusable(f"its discovery document cannot be read: {error}") from None
        if document.issuer != wanted.url:
            raise _Unusable(f"its discovery document is of {document.issuer[:200]!r}")
        if not _may_name(wanted.url, document.jwks_uri):
            raise _Unusable(f"it says that its keys are at {document.jwks_uri[:200]!r}")
        try:
            keys = keys_in(await self._content(wanted, document.jwks_uri, _MOST_KEY_SET))
        except BadKeySet as problem:
            raise _Unusable(str(problem)) from None
        if not keys:
            raise _Unusable("none of its keys can be used")
        return keys

    async def _content(self, wanted: _Id, url: str, most: int) -> bytes:
        if not is_private_way(url):
            raise _Unusable(f"{url[:200]!r} is neither HTTPS nor on this machine")
        try:
            status, content = await self._fetcher.ask("GET", url, most=most)
        except FetchFailed as problem:
            if not problem.untrusted or not wanted.thumbprints:
                raise
            # a certificate that nobody vouches for but whoever registered the provider
            status, content = await self._fetcher.ask("GET", url, most=most, context=await pinned(url, wanted.thumbprints))
        if status != 200:
            raise _Unusable(f"{url}: status {status}")
        if len(content) > most:
            raise _Unusable(f"{url}: more than {most} bytes")
        return content


def _may_name(issuer: str, url: str) -> bool:
    """Whether an issuer's keys may be there: anywhere by HTTPS, and in plain only where the issuer itself is. What else listens on this
    machine is not to be asked because somebody's document says so."""
    if url.startswith("https://"):
        return True
    return url.partition("://")[2].split("/", 1)[0] == issuer.partition("://")[2].split("/", 1)[0] and issuer.startswith("http://")
