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
from longshore.services.acm.issuing import issued
from longshore.services.acm.model import CERTIFICATES, Certificate
from longshore.store.base import Store

log = logging.getLogger("longshore.certificates")


class Certificates:
    name = "certificates"

    def __init__(self, store: Store, clock: Clock, authority: Callable[[float], Authority], secret: bytes) -> None:
        """`authority(now)` gives the installation's own, made where there was none; raises CertificateProblem and OSError."""
        self._store = store
        self._clock = clock
        self._authority = authority
        self._secret = secret
        self.watches: Sequence[Watched] = (Watched(CERTIFICATES, lambda change: (change.key,)),)

    def keys(self) -> Iterable[str]:
        return [certificate.arn for certificate in self._store.list(CERTIFICATES)]

    async def reconcile(self, key: str) -> float | None:
        certificate = self._store.get(CERTIFICATES, key)
        if certificate is None or certificate.type != "AMAZON_ISSUED":
            return None
        revision, now = self._store.revision_of(CERTIFICATES, key), self._clock.now()
        authority = self._authority(now)
        decided = plan(
            Snapshot(
                certificate=certificate,
                is_ours=bool(certificate.certificate) and authority.issued(certificate.certificate),
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

    async def _write(self, made: Certificate, revision: int) -> None:
        await self._store.transact(lambda tx: tx.put(CERTIFICATES, made, expect=revision))
