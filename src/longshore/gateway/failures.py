"""Failed attempts to be somebody: each is answered, but from one address only so many a second.

Whoever guesses keys, passwords of `docker login` or codes of machines, or just floods the door with what nobody signed, gets the answers
late once there were many. Only failures wait: others at the same address, behind the same router say, do not notice. What an address may
have under way at once is bounded by its connections (doors.py).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from longshore.gateway.buckets import Buckets, Rate
from longshore.kit.addresses import is_loopback, network_of
from longshore.kit.clock import Clock

#: failures of one address that are answered at once
ELSEWHERE = Rate(50, 5)
#: of this machine's own: anybody who reaches it is on the machine, and tests of wrong keys run here
LOOPBACK = Rate(2_000, 200)
#: how long each further answer is held back
HELD_S = 1.0
_MOST_ADDRESSES = 20_000
#: answers of the doors beside the APIs that say no: AWS's codes for bad signatures are 400s there
_REFUSALS = (400, 401, 403)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Failures:
    def __init__(self, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._buckets = Buckets(_MOST_ADDRESSES)

    async def hold(self, remote: str) -> None:
        """After a failed attempt from `remote`: returns at once, or when its answer may leave."""
        rate = LOOPBACK if is_loopback(remote) else ELSEWHERE
        if self._buckets.take(network_of(remote), rate, self._monotonic()) > 0.0:
            await self._clock.sleep(HELD_S)

    async def answer(self, request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        """What `handler` answers, late where that is a refusal too many. Docker asks without a password first, which is no attempt."""
        response = await handler(request)
        if response.status in _REFUSALS and (response.status != 401 or "Authorization" in request.headers):
            await self.hold(request.remote or "")
        return response


class Uncounted(Failures):
    """Where nobody is held up, however often it goes wrong."""

    async def hold(self, remote: str) -> None:
        return
