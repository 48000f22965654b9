"""The parts of auditing that live as long as the server: the log, who writes its records, and the loop that closes its files."""

from __future__ import annotations

from longshore.audit.layout import new_key
from longshore.audit.log import TICK_S, AuditLog
from longshore.gateway.auditing.entries import Entries
from longshore.gateway.auditing.pulls import RegistryRecords
from longshore.gateway.auditing.watcher import Auditor
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.services.call import Site
from longshore.services.cloudtrail.model import AUDIT, SIGNING_KEYS, SigningKey
from longshore.store.base import Tx


class Auditing:
    def __init__(self, log: AuditLog, clock: Clock, ids: Ids, site: Site, *, best_effort: bool = False) -> None:
        self.log = log
        self.auditor = Auditor(log, clock, ids, site, best_effort=best_effort)
        self.entries = Entries(self.auditor, ids, site)
        self.pulls = RegistryRecords(self.auditor, ids, site)
        self._clock = clock

    async def keep(self) -> None:
        """Runs until cancelled."""
        while True:
            await self._clock.sleep(TICK_S)
            self.auditor.tick()
            await self.log.tick()

    async def close(self) -> None:
        """Once nobody asks any more."""
        self.auditor.tick(at_the_end=True)
        await self.log.close()


class KeptKey:
    """The key that the log is signed with: made once, and the same after everything else was wiped."""

    def __init__(self) -> None:
        self._key = SigningKey(AUDIT, new_key())

    def ensure(self, tx: Tx) -> None:
        kept = tx.get(SIGNING_KEYS, AUDIT)
        if kept is None:
            tx.create(SIGNING_KEYS, self._key)
        else:
            self._key = kept
