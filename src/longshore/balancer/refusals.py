"""What HAProxy does not take, and why: a rule, a listener, a target group or a certificate that is left out until it is another one.

One that cannot be said costs nobody but its owner. HAProxy names a line of the configuration; the line says whose it is. A certificate
that is chosen by name (its key is too short for OpenSSL, say) is named by its line in the listener's list, and costs no more than
itself: whoever asks for others goes on.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from longshore.balancer.render.configuration import Rendering, owner_of_line
from longshore.balancer.render.places import Places
from longshore.balancer.render.tls import shown
from longshore.balancer.runtime import RuntimeFailed
from longshore.balancer.snapshot import Front, Snapshot

log = logging.getLogger("longshore.balancer")

#: the default certificate is in the first line, and no listener is served without it
_LISTED = re.compile(r"error processing line (\d+) in file '([^']+)'")
_LINE = re.compile(r"\[[^\[\]]*:(\d+)\]")


class Refusals:
    def __init__(self) -> None:
        #: ARN, or that of a listener and a certificate -> (the resource that was refused, why)
        self._refused: dict[str, tuple[Any, str]] = {}

    def __repr__(self) -> str:
        return f"Refusals({sorted(self._refused)})"

    def reasons(self) -> dict[str, str]:
        return {arn: reason for arn, (_, reason) in self._refused.items()}

    def note(self, snapshot: Snapshot, refused: Mapping[str, str]) -> None:
        for arn, reason in refused.items():
            log.error("%s cannot be served: %s", arn, reason)
            self._refused[arn] = (_resource(snapshot, arn), reason)

    def left_out(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot without what has been refused, as long as that is the same."""
        refused = {arn for arn, (value, _) in self._refused.items() if _resource(snapshot, arn) == value}
        self._refused = {arn: self._refused[arn] for arn in refused}
        if not refused:
            return snapshot
        left = snapshot.leaving_out(refused)
        return replace(left, fronts=tuple(self._without_certificates(front) for front in left.fronts))

    def _without_certificates(self, front: Front) -> Front:
        problems = {
            proof.arn: self._refused[key][1] for proof in front.proofs if (key := certificate_key(front, proof.arn)) in self._refused
        }
        if not problems:
            return front
        return replace(front, proofs=tuple(replace(proof, problem=proof.problem or problems.get(proof.arn, "")) for proof in front.proofs))

    def blame(self, snapshot: Snapshot, rendering: Rendering, refusal: str, places: Places) -> None:
        """Notes whoever `refusal`, HAProxy's own words, is about. Raises RuntimeFailed when it is nobody in particular."""
        listed = _LISTED.search(refusal)
        for front in snapshot.fronts if listed else ():
            if listed and front.is_tls and not front.problem and places.certificate_list(front) == listed[2]:
                certificates, number = shown(front, places), int(listed[1])
                if 1 < number <= len(certificates):
                    self.note(snapshot, {certificate_key(front, certificates[number - 1][1].arn): "OpenSSL does not take it"})
                    return
        found = _LINE.search(refusal)
        owner = owner_of_line(rendering.text, int(found[1])) if found else None
        if owner is None or _resource(snapshot, owner) is None:
            raise RuntimeFailed(f"HAProxy refuses its configuration: {refusal}")
        self.note(snapshot, {owner: refusal.rpartition("] : ")[2]})


def certificate_key(front: Front, arn: str) -> str:
    return f"{front.listener.arn}|{arn}"


def _resource(snapshot: Snapshot, arn: str) -> Any:
    for front in snapshot.fronts:
        for proof in front.proofs:
            if certificate_key(front, proof.arn) == arn:
                return proof, front.listener.ssl_policy
        if front.listener.arn == arn:
            return front.listener, front.proofs, front.trust
        for rule in front.rules:
            if rule.arn == arn:
                return rule
    return next((pool.group for pool in snapshot.pools if pool.group.arn == arn), None)
