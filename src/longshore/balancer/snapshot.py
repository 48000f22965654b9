"""What the load balancers are to be: everything that HAProxy's configuration is made of. Pure."""

from __future__ import annotations

import msgspec

from longshore.services.elbv2.model import Listener, LoadBalancer, Rule, Target, TargetGroup

LOCALHOST = "127.0.0.1"


class Front(msgspec.Struct, frozen=True):
    """One listener: where it listens, and what it does with whom."""

    load_balancer: LoadBalancer
    listener: Listener
    #: in order of their priorities
    rules: tuple[Rule, ...]
    address: str
    #: the listener's port, or beyond the offset where ports below 1024 are not allowed
    port: int

    @property
    def is_http(self) -> bool:
        return self.listener.protocol == "HTTP"


class Pool(msgspec.Struct, frozen=True):
    """A target group that a listener or rule forwards to, with its targets (those that leave, too)."""

    group: TargetGroup
    load_balancer: LoadBalancer
    targets: tuple[Target, ...]


class Snapshot(msgspec.Struct, frozen=True):
    load_balancers: tuple[LoadBalancer, ...] = ()
    fronts: tuple[Front, ...] = ()
    pools: tuple[Pool, ...] = ()

    def leaving_out(self, arns: set[str]) -> Snapshot:
        """Without those rules, listeners and target groups."""
        fronts = [front for front in self.fronts if front.listener.arn not in arns]
        return Snapshot(
            load_balancers=self.load_balancers,
            fronts=tuple(
                msgspec.structs.replace(front, rules=tuple(rule for rule in front.rules if rule.arn not in arns)) for front in fronts
            ),
            pools=tuple(pool for pool in self.pools if pool.group.arn not in arns),
        )
