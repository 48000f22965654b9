"""Whether a load balancer already does what its listeners and rules say: by a mark of theirs, which the balancer writes down.

Rules are written first and followed a moment later. Whoever takes away what the rules of before led to waits for it: the mark
stands in the load balancer's status once everybody who asks is served by these rules, those who have kept an old connection, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from longshore.services.elbv2.lookup import rules_of
from longshore.services.elbv2.model import LISTENERS, LOAD_BALANCERS, Listener, Rule
from longshore.store.base import Reader


def mark_of(listeners: Iterable[tuple[Listener, Iterable[Rule]]]) -> str:
    """Another one for each change of what they do; the same for the same, whoever asks."""
    said = [
        (
            *(listener.arn, listener.port, listener.protocol, listener.default_actions),
            sorted((rule.priority, rule.arn, rule.conditions, rule.actions, rule.transforms) for rule in rules),
        )
        for listener, rules in sorted(listeners, key=lambda one: one[0].arn)
    ]
    return hashlib.blake2b(msgspec.json.encode(said), digest_size=12).hexdigest()


def is_followed(reader: Reader, load_balancer_arn: str) -> bool:
    """False as well where there is no such load balancer."""
    lb = reader.get(LOAD_BALANCERS, load_balancer_arn)
    return lb is not None and lb.status.followed == mark_of(rules_at(reader, lb.arn))


def rules_at(reader: Reader, load_balancer_arn: str) -> list[tuple[Listener, Iterable[Rule]]]:
    """Each listener with its rules."""
    return [(listener, rules_of(reader, listener.arn)) for listener in reader.list(LISTENERS, "load_balancer", load_balancer_arn)]
