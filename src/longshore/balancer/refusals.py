"""What HAProxy does not take, and why: a rule, a listener or a target group that is left out until it is another one.

One that cannot be said costs nobody but its owner. HAProxy names a line of the configuration; the line says whose it is.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from longshore.balancer.render.configuration import Rendering, owner_of_line
from longshore.balancer.runtime import RuntimeFailed
from longshore.balancer.snapshot import Snapshot

log = logging.getLogger("longshore.balancer")

_LINE = re.compile(r"\[[^\[\]]*:(\d+)\]")


class Refusals:
    def __init__(self) -> None:
        #: ARN -> (the resource that was refused, why)
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
        return snapshot.leaving_out(refused) if refused else snapshot

    def blame(self, snapshot: Snapshot, rendering: Rendering, refusal: str) -> None:
        """Notes whoever `refusal`, HAProxy's own words, is about. Raises RuntimeFailed when it is nobody in particular."""
        found = _LINE.search(refusal)
        owner = owner_of_line(rendering.text, int(found[1])) if found else None
        if owner is None or _resource(snapshot, owner) is None:
            raise RuntimeFailed(f"HAProxy refuses its configuration: {refusal}")
        self.note(snapshot, {owner: refusal.rpartition("] : ")[2]})


def _resource(snapshot: Snapshot, arn: str) -> Any:
    for front in snapshot.fronts:
        if front.listener.arn == arn:
            return front.listener, front.proofs, front.trust
        for rule in front.rules:
            if rule.arn == arn:
                return rule
    return next((pool.group for pool in snapshot.pools if pool.group.arn == arn), None)
