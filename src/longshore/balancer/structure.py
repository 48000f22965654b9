"""The structure that HAProxy runs: everything in its configuration but the servers. Another one needs a start or a reload.

What is rendered is checked by a HAProxy of its own first, and whatever that refuses is left out; then it is handed to the
process, and the worker that answers is asked what it runs, since a reload says nothing of how it ended.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from longshore.balancer.binds import Binds
from longshore.balancer.certificates import Certificates
from longshore.balancer.files import forget_bodies, install, propose
from longshore.balancer.leftovers import Leftovers
from longshore.balancer.process import HAProxy
from longshore.balancer.refusals import Refusals
from longshore.balancer.render.configuration import Rendering, render
from longshore.balancer.render.places import Places
from longshore.balancer.runtime import Runtime, RuntimeFailed
from longshore.balancer.servers import Servers
from longshore.balancer.snapshot import Snapshot
from longshore.balancer.states import server_states
from longshore.kit.clock import Clock

log = logging.getLogger("longshore.balancer")

_READY_S = 20.0
#: a reload that takes longer than this may have failed
_SUSPICIOUS_S = 0.4
_MOST_REFUSALS = 200


class Structure:
    """Everything here is called with the balancer's lock held."""

    def __init__(
        self,
        clock: Clock,
        places: Places,
        haproxy: HAProxy,
        runtime: Runtime,
        servers: Servers,
        certificates: Certificates,
        leftovers: Leftovers,
    ) -> None:
        #: keys the cookies by which clients stay with their target
        self.secret = ""
        self.refusals = Refusals()
        #: whoever counts looks once more at the worker that goes
        self.before_reload: Callable[[], Awaitable[None]] = _nobody_counts
        self._clock = clock
        self._places = places
        self._haproxy = haproxy
        self._runtime = runtime
        self._servers = servers
        self._certificates = certificates
        self._leftovers = leftovers
        #: names the structure that the worker runs; empty when none is known to run
        self._mark = ""
        #: the one that HAProxy has taken before, and takes again without being asked
        self._checked = ""
        #: its process id
        self._worker = 0

    def __repr__(self) -> str:
        return f"Structure({self._mark[:8] or 'none'}, worker={self._worker})"

    def forget(self) -> None:
        """What runs is not what is wanted, whatever is said to run; nor is it known to be taken, since a certificate may be another."""
        self._mark = self._checked = ""

    def forget_ended(self) -> None:
        """When the process has ended, nothing of what it knew is known any more."""
        if not self._haproxy.is_alive():
            self._haproxy.pid = None
            self._mark = ""
            self._runtime.close()
            self._servers.looking.forget()
            self._certificates.forget()

    def accepted(self, snapshot: Snapshot) -> Snapshot:
        """Without what HAProxy has refused."""
        return self.refusals.left_out(snapshot)

    def is_current(self, snapshot: Snapshot, binds: Binds) -> bool:
        """Whether the worker runs what the snapshot asks for, servers aside."""
        return self._rendered(self.accepted(snapshot), binds).structure == self._mark

    def _rendered(self, snapshot: Snapshot, binds: Binds) -> Rendering:
        rendering = render(snapshot, binds, self._places, self.secret)
        self.refusals.note(snapshot, rendering.refused)
        return rendering

    async def learn(self) -> None:
        """What the worker runs, asked of itself; which must be the one that the master started last. Raises RuntimeFailed."""
        begun = self._clock.now()
        while True:
            identity = await self._runtime.identity()
            if identity.pid == await self._haproxy.worker():
                break
            if self._clock.now() - begun > _READY_S:
                raise RuntimeFailed("the worker that answers is not the one that serves")
            self._runtime.close()
            await self._clock.sleep(0.005)
        self._worker, self._mark = identity.pid, identity.mark
        await self._servers.looking.learn()

    async def change(self, wanted: Snapshot, binds: Binds) -> None:
        """Renders, has it checked, leaves out what is refused, and starts or reloads HAProxy. Raises RuntimeFailed, CannotRun."""
        for _ in range(_MOST_REFUSALS):
            snapshot = self.accepted(wanted)
            rendering = self._rendered(snapshot, binds)
            self._certificates.install(snapshot)
            proposal = propose(self._places, rendering.text, rendering.files)
            refusal = await self._haproxy.refusal(str(proposal)) if rendering.structure != self._checked else ""
            if not refusal:
                break
            self.refusals.blame(snapshot, rendering, refusal, self._places)
        else:
            raise RuntimeFailed("HAProxy refuses its configuration again and again")
        if rendering.structure == self._mark:
            return
        install(self._places, proposal, server_states(snapshot.pools, self._clock.now()))
        self._certificates.forget()
        await self._run(rendering)
        self._certificates.began(snapshot)
        forget_bodies(self._places, rendering.files)

    async def _run(self, rendering: Rendering) -> None:
        begun = self._clock.now()
        self._checked = ""
        remembered = await self._servers.recall() if self._haproxy.pid is not None else {}
        if self._haproxy.pid is None:
            self._haproxy.start()
        else:
            await self.before_reload()
            await self._haproxy.reload()
        try:
            await self._until_it_runs(rendering.structure)
        except RuntimeFailed:
            self.forget_ended()
            if self._haproxy.pid is not None:
                await self.learn()
            raise
        await self.learn()
        await self._servers.remind(remembered)
        self._checked = rendering.structure
        self._leftovers.began()
        log.info("HAProxy runs configuration %s after %d ms", rendering.structure[:8], (self._clock.now() - begun) * 1000)

    async def _until_it_runs(self, structure: str) -> None:
        begun = self._clock.now()
        wait = 0.002
        while True:
            self._runtime.close()  # which leads to the worker before
            try:
                identity = await self._runtime.identity()
                if identity.mark == structure and identity.pid != self._worker:
                    return
            except RuntimeFailed:
                if not self._haproxy.is_alive():
                    raise RuntimeFailed("HAProxy ended while it started; its log says why") from None
            elapsed_s = self._clock.now() - begun
            if elapsed_s > _READY_S or (elapsed_s > _SUSPICIOUS_S and await self._haproxy.has_failed_to_reload()):
                raise RuntimeFailed("HAProxy does not take its new configuration and goes on with the one before; its log says why")
            await self._clock.sleep(wait)
            wait = min(wait * 1.5, 0.01 if elapsed_s < 1.0 else 0.1)


async def _nobody_counts() -> None: ...
