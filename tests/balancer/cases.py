"""Load balancers as values, for tests of what decides and renders."""

from __future__ import annotations

from typing import Any

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.snapshot import Front, Pool
from longshore.services.elbv2.model import Listener, LoadBalancer, Rule, Target, TargetGroup, TargetHealth

PREFIX = "arn:aws:elasticloadbalancing:us-east-1:000000000000:"
GROUP = f"{PREFIX}targetgroup/web/0123456789abcdef"
BACKEND = "tg-web-0123456789abcdef"


def load_balancer(slot: int = 1, type: str = "application", **attributes: str) -> LoadBalancer:
    return LoadBalancer(
        arn=f"{PREFIX}loadbalancer/{type[:3]}/lb{slot}/{slot:016x}",
        name=f"lb{slot}",
        type=type,
        scheme="internet-facing",
        dns_name=f"lb{slot}-1.us-east-1.elb.localhost",
        canonical_hosted_zone_id="Z1",
        created_at=0.0,
        vpc_id="vpc-1",
        slot=slot,
        attributes=attributes,
    )


def front(
    *actions: shapes.Action, slot: int = 1, port: int = 80, protocol: str = "HTTP", rules: tuple[Rule, ...] = (), address: str = ""
) -> Front:
    lb = load_balancer(slot, "application" if protocol in ("HTTP", "HTTPS") else "network")
    arn = f"{lb.arn.replace('loadbalancer/', 'listener/')}/{port:016x}"
    return Front(lb, Listener(arn, lb.arn, port, protocol, actions or (forward(),)), rules, address or f"127.0.2.{slot}", port)


def rule(priority: int, *conditions: shapes.RuleCondition, action: shapes.Action | None = None) -> Rule:
    listener = front().listener.arn
    return Rule(
        f"{listener.replace('listener/', 'listener-rule/')}/{priority:016x}", listener, priority, conditions, (action or forward(),)
    )


def forward(arn: str = GROUP) -> shapes.Action:
    return shapes.Action(type="forward", target_group_arn=arn)


def group(**more: Any) -> TargetGroup:
    settings: dict[str, Any] = {"protocol": "HTTP", "port": 80, "vpc_id": "vpc-1", "target_type": "ip", "created_at": 0.0}
    return TargetGroup(arn=GROUP, name="web", **(settings | more))


def target(text: str = "10.0.0.1:80", *, left_at: float | None = None, health: str = "initial") -> Target:
    address, _, port = text.partition(":")
    return Target(GROUP, address, int(port), 0.0, address, deregistered_at=left_at, health=TargetHealth(state=health))


def pool(*targets: Target, **more: Any) -> Pool:
    return Pool(group(**more), load_balancer(), targets)
