"""The public keys of token issuers: fetched from the endpoints that rules name, looked at again every few minutes, kept on disk.

HAProxy has them as files, so what is new needs a reload. A key that has gone from its set is gone here after the next look; a set
that cannot be fetched stays as it was. Whoever comes with a key nobody knows has it fetched at once, not more often than every
few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import msgspec

from longshore.balancer.auth.errors import NotLetIn
from longshore.balancer.auth.provider import Provider
from longshore.balancer.auth.tokens import BadKeySet, keys_in
from longshore.balancer.files import write
from longshore.balancer.snapshot import SigningKey
from longshore.kit.clock import Clock

log = logging.getLogger("longshore.balancer.auth")

#: how often key sets are looked at
REFRESH_S = 300.0
#: and after a failure
RETRY_S = 30.0
#: how soon again because of a key that nobody knows
UNKNOWN_AGAIN_S = 5.0

Keys = dict[str, tuple[SigningKey, ...]]


class TokenKeys:
    def __init__(self, provider: Provider, clock: Clock, file: Path, changed: Callable[[], Awaitable[None]]) -> None:
        self._provider = provider
        self._clock = clock
        self._file = file
        #: called when there are other keys; returns when HAProxy has them
        self._changed = changed
        self._known: Keys = {}
        self._wanted: frozenset[str] = frozenset()
        self._asked_at: dict[str, float] = {}
        self._look_at: dict[str, float] = {}
        self._problems: dict[str, str] = {}
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._more_wanted = asyncio.Event()

    def load(self) -> None:
        """What was known before a restart: HAProxy goes on with it."""
        with contextlib.suppress(OSError, msgspec.DecodeError, msgspec.ValidationError):
            self._known = msgspec.json.decode(self._file.read_bytes(), type=Keys)

    def wanted(self, urls: Iterable[str]) -> Keys:
        """What is known of these; whatever is not is fetched soon."""
        wanted = frozenset(urls)
        if wanted - self._wanted:
            self._more_wanted.set()
        self._wanted = wanted
        return {url: self._known[url] for url in wanted if url in self._known}

    def of(self, url: str) -> tuple[SigningKey, ...]:
        return self._known.get(url, ())

    def problem(self, url: str) -> str:
        """Why the last fetch failed; empty where it did not."""
        return self._problems.get(url, "")

    def knows(self, url: str, kid: str) -> bool:
        return any(key.kid == kid for key in self._known.get(url, ()))

    async def look_for(self, url: str, kid: str) -> None:
        """Returns when HAProxy has what can be had: waits for a set that is on its way, and has it fetched for a key that nobody
        knows, unless that was tried a moment ago."""
        job = self._fetching.get(url)
        if job is None and (self.knows(url, kid) or self._clock.now() - self._asked_at.get(url, float("-inf")) < UNKNOWN_AGAIN_S):
            return
        await asyncio.shield(job or self._fetch(url))

    def _fetch(self, url: str) -> asyncio.Task[None]:
        job = self._fetching.get(url)
        if job is None:
            job = self._fetching[url] = asyncio.create_task(self._fetched(url), name=f"keys:{url}")
            job.add_done_callback(lambda _: self._fetching.pop(url, None))
        return job

    async def _fetched(self, url: str) -> None:
        self._asked_at[url] = self._clock.now()
        try:
            found = keys_in(await self._provider.key_set(url))
        except (NotLetIn, BadKeySet) as problem:
            self._problems[url] = str(problem)
            self._look_at[url] = self._clock.now() + RETRY_S
            log.error("keys of %s cannot be fetched: %s", url, problem)
            return
        self._problems.pop(url, None)
        self._look_at[url] = self._clock.now() + REFRESH_S
        if self._known.get(url) == found:
            return
        self._known = {known: keys for known, keys in self._known.items() if known in self._wanted} | {url: found}
        await asyncio.to_thread(write, self._file, msgspec.json.encode(self._known))
        log.info("%d keys of %s", len(found), url)
        await self._changed()

    async def keep(self) -> None:
        """Runs for good."""
        while True:
            now = self._clock.now()
            due = [url for url in self._wanted if self._look_at.get(url, 0.0) <= now]
            await asyncio.gather(*map(self._fetch, due), return_exceptions=True)
            self._more_wanted.clear()
            times = [self._look_at.get(url, 0.0) for url in self._wanted]
            if any(time <= self._clock.now() for time in times):
                # `changed` failed, or there is more: not in a tight loop.
                await self._clock.sleep(0.2)
                continue
            waits: list[asyncio.Task[object]] = [asyncio.create_task(self._more_wanted.wait())]
            if times:
                waits.append(asyncio.create_task(self._clock.sleep(min(times) - self._clock.now())))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
