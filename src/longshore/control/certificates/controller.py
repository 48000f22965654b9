"""Certificates of the installation's own authority: issued when they are asked for, issued anew before they end.

One key per certificate. Keys and signatures are made in a thread; the outcome is written only where the certificate is still
what it was when it was decided on, so that a revocation or a deletion in between stands.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from longshore.control.certificates.plan import Snapshot, plan
from longshore.control.loop import Watched
from longshore.kit.certificates import Authority
from longshore.kit.clock import Clock
from longshore.kit.sealing import Keys
from longshore.services.acm.issuing import issued
from longshore.services.acm.model import CERTIFICATES, Certificate
from longshore.store.base import Store

log = logging.getLogger("longshore.certificates")

#: seconds for which the authority is taken to be the one that was read last
_SAME_AUTHORITY_S = 2.0


class Certificates:
    name = "certificates"

    def __init__(self, store: Store, clock: Clock, authority: Callable[[float], Authority], secret: Keys) -> None:
        """`authority(now)` gives the installation's own, made where there was none; raises CertificateProblem and OSError."""
        self._store = store
        self._clock = clock
        self._authority = authority
        self._secret = secret
        self._known: tuple[float, Authority] | None = None
        #: ARN -> the certificate, and the root that was found to have issued it
        self._ours: dict[str, tuple[bytes, bytes]] = {}
        self.watches: Sequence[Watched] = (Watched(CERTIFICATES, lambda change: (change.key,)),)

    def keys(self) -> Iterable[str]:
        return [certificate.arn for certificate in self._store.list(CERTIFICATES)]

    async def reconcile(self, key: str) -> float | None:
        certificate = self._store.get(CERTIFICATES, key)
        if certificate is None or certificate.type != "AMAZON_ISSUED":
            self._ours.pop(key, None)
            return None
        revision, now = self._store.revision_of(CERTIFICATES, key), self._clock.now()
        authority = self._current(now)
        decided = plan(
            Snapshot(
                certificate=certificate,
                is_ours=self._is_ours(certificate, authority),
                authority_ends=authority.certificate.not_valid_after_utc.timestamp(),
                now=now,
            )
        )
        if not decided.issue:
            return decided.after_s
        made = await asyncio.to_thread(issued, certificate, authority, self._secret, now)
        await self._write(made, revision)
        log.info("issued %s for %s (%s)", key, ", ".join(certificate.names[:6]), decided.issue)
        return None

    def _current(self, now: float) -> Authority:
        """Read from its file again every now and then: its owner may have put another one there."""
        if self._known is None or not 0.0 <= now - self._known[0] < _SAME_AUTHORITY_S:
            self._known = now, self._authority(now)
        return self._known[1]

    def _is_ours(self, certificate: Certificate, authority: Authority) -> bool:
        """Signatures are verified once; there may be thousands, and all are looked at again every few minutes."""
        pair = certificate.certificate, authority.root_pem
        if self._ours.get(certificate.arn) == pair:
            return True
        if not certificate.certificate or not authority.issued(certificate.certificate):
            return False
        self._ours[certificate.arn] = pair
        return True

    async def _write(self, made: Certificate, revision: int) -> None:
        await self._store.transact(lambda tx: tx.put(CERTIFICATES, made, expect=revision))
