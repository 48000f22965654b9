"""After a rotation: seals anew what older generations have sealed, in small steps, and lets go of the generations when their time comes.

What there is to do is read off the keyring and the marks on what is sealed, so a server that is killed goes on where it was. A
generation is dropped only after a look at everything that found nothing of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from longshore.control.keys.plan import Snapshot, Standing, goes_at, needs_sealing, plan
from longshore.control.loop import Watched
from longshore.kit.clock import Clock
from longshore.kit.keyring import Keyring
from longshore.kit.keyring_file import KeyringFile
from longshore.kit.master_key import MasterKeyProblem
from longshore.services.keys.model import ROTATIONS, rotation_key
from longshore.services.keys.resealing import SEALED, reseal_page
from longshore.store.base import Store, Tx

log = logging.getLogger("longshore.keys")

#: resources looked at in one transaction, and rows sealed in one step
_STEP = 100
_ROWS = 200
#: seconds until it is tried again to write the keyring
_AGAIN_S = 600.0
_ONE = "installation"


class KeyRotation:
    name = "keys"

    def __init__(self, store: Store, clock: Clock, keyring: KeyringFile, relock: Callable[[Keyring], int] = lambda keys: 0) -> None:
        """`relock` encrypts private keys in files with the current generation; how many were not. Raises OSError."""
        self._store = store
        self._clock = clock
        self._keyring = keyring
        self._relock = relock
        #: the generation since which nothing was found that another had sealed
        self._sealed_by = 0
        self.watches: Sequence[Watched] = (Watched(ROTATIONS, lambda change: (_ONE,)),)

    def keys(self) -> Iterable[str]:
        return (_ONE,)

    async def reconcile(self, key: str) -> float | None:
        generations, current = standings(self._keyring.keys), self._keyring.keys.current.number
        if not needs_sealing(generations):
            return None
        now = self._clock.now()
        due = any(at is not None and at <= now for at in (goes_at(generations, one.number) for one in generations))
        if self._sealed_by != current or due:
            await self._seal_anew(current)
        decided = plan(Snapshot(generations, self._sealed_by == current, self._clock.now()))
        if decided.drop:
            try:
                await asyncio.to_thread(self._keyring.drop, decided.drop)
            except MasterKeyProblem as problem:
                log.error("older generations of the keyring stay for now: %s; %s", problem.cause, problem.fix)
                return _AGAIN_S
            log.info("generations %s of the keyring are dropped", ", ".join(map(str, sorted(decided.drop))))
        return decided.after_s

    async def _seal_anew(self, current: int) -> None:
        """All of it, until a whole round finds nothing."""
        changed, broken = await self._round()
        total = changed
        while changed:
            changed, broken = await self._round()
            total += changed
        if self._keyring.keys.current.number != current:
            return
        if self._sealed_by != current:
            log.info("everything is sealed by generation %d: %d were sealed anew, %d open with none", current, total, broken)
            await self._store.transact(lambda tx: _note(tx, current, total, broken, self._clock.now()))
        self._sealed_by = current

    async def _round(self) -> tuple[int, int]:
        """(how many were sealed anew, how many no generation opens)."""
        total, total_broken = await asyncio.to_thread(self._relock, self._keyring.keys), 0
        while rows := await self._store.reseal(_ROWS):
            total += rows
        for kind, anew in SEALED:
            after: str | None = None
            while True:
                page = await self._store.transact(
                    lambda tx, kind=kind, anew=anew, after=after: reseal_page(tx, kind, anew, self._keyring.keys, after, _STEP)  # type: ignore[misc]
                )
                total, total_broken, after = total + page.changed, total_broken + page.broken, page.after
                if after is None:
                    break
        return total, total_broken


def standings(keys: Keyring) -> tuple[Standing, ...]:
    return tuple(Standing(one.number, one.made_at, bool(one.secret), one.is_over) for one in keys.generations)


def _note(tx: Tx, number: int, resealed: int, broken: int, now: float) -> None:
    rotation = tx.get(ROTATIONS, rotation_key(number))
    if rotation is not None and rotation.done_at is None:
        tx.put(ROTATIONS, replace(rotation, resealed=rotation.resealed + resealed, broken=broken, done_at=now))
