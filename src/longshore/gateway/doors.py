"""How many connections there may be: of one address, and in all.

Each costs a descriptor and some memory, and whoever opens them without end would leave none for others. What is too much is closed as
soon as it was accepted, before a byte of it is read. This machine's own connections are not counted for an address (its agents, and
tests, are many behind one), and some are always left for it, so that whoever runs the platform can still look.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from longshore.kit.addresses import is_loopback, network_of

log = logging.getLogger("longshore.gateway")

#: of one address: a router with some hundred machines behind it, whose agents hold three each
MOST_OF_ONE = 2_048
#: in all; the process may have DESCRIPTORS open, and a layer on its way to a client takes three
MOST = 12_000
#: of those, left for this machine
LEFT_FOR_LOOPBACK = 1_000
#: on their way through TLS, which ends after seconds: of one address but this machine's (a build farm behind one router that starts all
#: at once), in all, and of those left for this machine
HANDSHAKES_OF_ONE, HANDSHAKES, HANDSHAKES_LEFT = 1_024, 2_560, 256
_SAY_EVERY_S = 60.0


class Doors:
    """Knows what is open by asking the transports, so that it does not matter which protocol has them by now."""

    def __init__(
        self,
        most_of_one: int = MOST_OF_ONE,
        most: int = MOST,
        left: int = LEFT_FOR_LOOPBACK,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most_of_one = most_of_one
        self._most = most
        self._left = left
        self._refusals = _Refusals(monotonic)
        self._open: dict[str, set[asyncio.BaseTransport]] = {}
        self._count = 0

    @property
    def refused(self) -> int:
        return self._refusals.count

    def admit(self, transport: asyncio.BaseTransport, remote: str) -> bool:
        """Whether this connection may stay. Who says no closes it."""
        local = is_loopback(remote)
        whose = "" if local else network_of(remote)
        most = self._most if local else self._most - self._left
        if self._is_full(whose, local, most):
            self._forget_closed(whose)
            if self._count >= most:
                self.forget_closed()
            if self._is_full(whose, local, most):
                self._refusals.note("%s has too many connections, or all have: %d were closed unread so far", remote)
                return False
        self._open.setdefault(whose, set()).add(transport)
        self._count += 1
        return True

    def left(self, transport: asyncio.BaseTransport, remote: str) -> None:
        """It is closed. Needs not be told of each: what is closed is found out when room is needed."""
        whose = "" if is_loopback(remote) else network_of(remote)
        mine = self._open.get(whose)
        if mine is not None and transport in mine:
            mine.discard(transport)
            self._count -= 1
            if not mine:
                del self._open[whose]

    def forget_closed(self) -> None:
        for whose in list(self._open):
            self._forget_closed(whose)

    def _is_full(self, whose: str, local: bool, most: int) -> bool:
        return self._count >= most or (not local and len(self._open.get(whose, ())) >= self._most_of_one)

    def _forget_closed(self, whose: str) -> None:
        mine = self._open.get(whose)
        if mine is None:
            return
        closed = [transport for transport in mine if transport.is_closing()]
        mine.difference_update(closed)
        self._count -= len(closed)
        if not mine:
            del self._open[whose]

    def __len__(self) -> int:
        return self._count


class Handshakes:
    """How many connections may be on their way through TLS, which costs work before anything is known of the other side."""

    def __init__(
        self, most_of_one: int = HANDSHAKES_OF_ONE, most: int = HANDSHAKES, left: int = 0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._most_of_one = most_of_one
        self._most = most
        self._left = left
        self._of: dict[str, int] = {}
        self._count = 0
        self._refusals = _Refusals(monotonic)

    def begin(self, remote: str) -> bool:
        """False where there are too many; then there is nothing to `end`."""
        whose, local = network_of(remote), is_loopback(remote)
        mine = self._of.get(whose, 0)
        if self._count >= (self._most if local else self._most - self._left) or (mine >= self._most_of_one and not local):
            self._refusals.note("%s has too many connections that are yet to be encrypted, or all have: %d were closed so far", remote)
            return False
        self._of[whose] = mine + 1
        self._count += 1
        return True

    def end(self, remote: str, _: object = None) -> None:
        whose = network_of(remote)
        self._count -= 1
        if self._of[whose] > 1:
            self._of[whose] -= 1
        else:
            del self._of[whose]

    def __len__(self) -> int:
        return self._count


class _Refusals:
    """Counted, and told of now and then: whoever can connect can cause thousands."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._said_at = -_SAY_EVERY_S
        self.count = 0

    def note(self, words: str, remote: str) -> None:
        self.count += 1
        now = self._monotonic()
        if now - self._said_at >= _SAY_EVERY_S:
            self._said_at = now
            log.warning(words, remote, self.count)
