"""Workers that a reload left behind: each serves what it has begun, and its clients' idle connections once more.

Nothing can be told to them: not that a rule is another one, nor that a target leaves. So whoever leaves waits for them: for
what is on its way there, and for a moment in which each client may come back once. One that has nothing under way after that
is ended. What is left there then are connections that nobody has asked anything on since the reload, and that any server may
close; a client that came back on one of them would be sent by rules and to targets of the past.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping

from longshore.balancer.process import HAProxy
from longshore.balancer.runtime import RuntimeFailed, connections_in
from longshore.kit.clock import Clock

log = logging.getLogger("longshore.balancer")

#: a client that has asked nothing for so long after a reload is not about to
IDLE_S = 2.0
#: whoever waits for the past to end waits no longer than this: long requests go on as they began
SETTLED_S = 5.0
_LOOK_S = 0.25
_MOST_LOOK_S = 5.0


class Leftovers:
    """`settled` is called when a reload is over for everybody, or has been for long enough."""

    def __init__(self, clock: Clock, haproxy: HAProxy, settled: Callable[[], Awaitable[None]]) -> None:
        self._clock = clock
        self._haproxy = haproxy
        self._settled = settled
        #: process id -> since when it is one of those
        self._since: dict[int, float] = {}
        self._is_settled = True
        self._reloaded = asyncio.Event()

    def __repr__(self) -> str:
        return f"Leftovers({sorted(self._since)}, settled={self._is_settled})"

    @property
    def are_settled(self) -> bool:
        """Whether whoever asks now is served by what was rendered last."""
        return self._is_settled

    def began(self) -> None:
        """A worker has just taken another one's place."""
        self._is_settled = False
        self._reloaded.set()

    async def busy(self, backends: Iterable[str]) -> set[str]:
        """Servers of any of the backends that something in an older worker is on its way to, or may be yet. Raises RuntimeFailed."""
        found: set[str] = set()
        for pid, age_s in (await self._ages()).items():
            for backend in backends:
                found |= held_by(connections_in(await self._haproxy.ask(f"@!{pid} show servers conn {backend}")), age_s)
        return found

    async def _ages(self) -> dict[int, float]:
        """Process id of each -> how long it has been one, in seconds."""
        now = self._clock.now()
        self._since = {pid: self._since.get(pid, now) for pid in (await self._haproxy.workers())[1:]}
        return {pid: now - since for pid, since in self._since.items()}

    async def follow(self) -> None:
        """Ends those that have nothing more to do, until cancelled."""
        while True:
            await self._reloaded.wait()
            self._reloaded.clear()
            try:
                while (wait := await self._dismiss()) is not None:
                    await self._clock.sleep(wait)
            except RuntimeFailed as problem:
                if not self._haproxy.is_alive():
                    continue  # whoever starts it again says so
                log.warning("workers of before could not be asked: %s", problem)
                await self._clock.sleep(_MOST_LOOK_S)
                self._reloaded.set()
            except Exception:  # supervising: whoever waits for the past to end would wait for ever
                log.exception("workers of before could not be dealt with")
                await self._clock.sleep(_MOST_LOOK_S)
                self._reloaded.set()

    async def _dismiss(self) -> float | None:
        """Seconds until it is to be called again; None when none is left."""
        ages = await self._ages()
        for pid, age_s in ages.items():
            if age_s >= IDLE_S and not streams_in(await self._haproxy.ask(f"@!{pid} show sess")):
                log.info("worker %s of before has nothing under way and ends", pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        youngest_s = min(ages.values(), default=SETTLED_S)
        if youngest_s >= SETTLED_S:
            await self._settle()
        return None if not ages else _LOOK_S if youngest_s < SETTLED_S else min(youngest_s / 10, _MOST_LOOK_S)

    async def _settle(self) -> None:
        if not self._is_settled:
            self._is_settled = True
            try:
                await self._settled()
            except BaseException:
                # Nobody has been told: the next look tells again.
                self._is_settled = False
                raise


def held_by(connections: Mapping[str, int], age_s: float) -> set[str]:
    """Servers that a worker which has been an old one for `age_s` has something on its way to, or may have yet."""
    return {server for server, count in connections.items() if count or age_s < SETTLED_S}


def streams_in(answer: str) -> int:
    """How many requests (or connections that nobody looks into) `show sess` tells of; our own question is none of them."""
    return sum(line.startswith("0x") and " fe=GLOBAL " not in line for line in answer.splitlines())
