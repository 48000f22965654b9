"""Load balancer capacity units: what AWS charges by, the greatest of several dimensions over an hour. Pure."""

from __future__ import annotations

import msgspec

_GB = 1_000_000_000
#: rules that AWS does not charge for, of each request
FREE_RULES = 10


class Use(msgspec.Struct, frozen=True):
    """Of one load balancer in one minute."""

    new_connections: int = 0
    active_connections: int = 0
    bytes: int = 0
    rule_evaluations: int = 0
    requests: int = 0


class Units(msgspec.Struct, frozen=True):
    """By dimension; what is consumed is the greatest. Units of an hour, as if all of it were like this minute."""

    new_connections: float
    active_connections: float
    bytes: float
    rule_evaluations: float = 0.0

    @property
    def consumed(self) -> float:
        return max(self.new_connections, self.active_connections, self.bytes, self.rule_evaluations)


def application(use: Use) -> Units:
    """25 new connections per second, 3,000 active ones, 1 GB per hour, 1,000 rule evaluations per second beyond the free ones."""
    charged = max(0, use.rule_evaluations - FREE_RULES * use.requests)
    return Units(use.new_connections / 60 / 25, use.active_connections / 3000, use.bytes * 60 / _GB, charged / 60 / 1000)


def network(use: Use, *, is_tls: bool) -> Units:
    """Of TCP: 800 new flows per second, 100,000 active ones, 1 GB per hour; of TLS: 50 and 3,000."""
    new, active = (50, 3000) if is_tls else (800, 100_000)
    return Units(use.new_connections / 60 / new, use.active_connections / active, use.bytes * 60 / _GB)
