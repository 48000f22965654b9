"""Whether a certificate of the installation's own authority is to be issued, now or later: a pure function of what it is and the time.

What was asked for is issued at once. What ends soon is issued anew, as is what somebody wants renewed, and what an authority
issued that is no longer this installation's. What was imported, or revoked, is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from longshore.services.acm.model import Certificate

#: issued anew when it is good for no longer than this
RENEW_BEFORE_S = 45 * 86_400.0
#: an authority's own end may lie nearer than that; what ends with it gains nothing by another one
_SAME_END_S = 1.0
#: looked at again after at most so long
_LOOK_AGAIN_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    certificate: Certificate
    #: whether today's authority issued what there is
    is_ours: bool
    authority_ends: float
    now: float


@dataclass(frozen=True, slots=True)
class Plan:
    #: why it is issued now; empty: it is not
    issue: str = ""
    #: seconds until the next look; None: when something changes
    after_s: float | None = None


def plan(snapshot: Snapshot) -> Plan:
    certificate, now = snapshot.certificate, snapshot.now
    if certificate.type != "AMAZON_ISSUED":
        return Plan()
    if certificate.status == "PENDING_VALIDATION":
        return Plan(issue="requested")
    if certificate.status != "ISSUED":
        return Plan()
    if certificate.renewal_asked_at:
        return Plan(issue="asked for")
    if not snapshot.is_ours:
        return Plan(issue="of an authority before")
    left_s = certificate.not_after - RENEW_BEFORE_S - now
    if left_s > 0:
        return Plan(after_s=min(left_s, _LOOK_AGAIN_S))
    if certificate.not_after >= snapshot.authority_ends - _SAME_END_S:
        return Plan(after_s=_LOOK_AGAIN_S)
    return Plan(issue="ends soon")
