"""Finding what a request names. An ARN is believed only as far as the caller's own account and region."""

from __future__ import annotations

from typing import TypeVar

from longshore.aws.errors import AwsError
from longshore.kit.resource import Kind
from longshore.services.call import Call
from longshore.services.elbv2.errors import (
    ListenerNotFound,
    LoadBalancerNotFound,
    RuleNotFound,
    TargetGroupNotFound,
    TrustStoreNotFound,
    Validation,
)
from longshore.services.elbv2.model import (
    LISTENERS,
    LOAD_BALANCERS,
    RULES,
    TARGET_GROUPS,
    TRUST_STORES,
    Listener,
    LoadBalancer,
    Rule,
    TargetGroup,
    TrustStore,
)
from longshore.services.elbv2.names import SERVICE
from longshore.store.base import Reader

T = TypeVar("T")


def scope_of_call(call: Call) -> str:
    return f"{call.region}:{call.account_id}"


def check_arn(arn: str, resource_type: str, what: str) -> None:
    """Refuses what cannot be the ARN of a `resource_type` (`loadbalancer`, …); `what` is its name in the message."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[2] != SERVICE or not parts[5].startswith(f"{resource_type}/"):
        raise Validation(f"'{arn}' is not a valid {what} ARN")


def _find(reader: Reader, call: Call, kind: Kind[T], arn: str, place: tuple[str, str], missing: type[AwsError]) -> T:
    if arn.startswith(f"arn:aws:{SERVICE}:{call.region}:{call.account_id}:{place[0]}/"):
        found = reader.get(kind, arn)
        if found is not None:
            return found
    check_arn(arn, *place)
    raise missing()


def find_load_balancer(reader: Reader, call: Call, arn: str) -> LoadBalancer:
    found = _find(reader, call, LOAD_BALANCERS, arn, ("loadbalancer", "load balancer"), LoadBalancerNotFound)
    if found.type == "classic":
        raise Validation(f"'{arn}' is not a valid load balancer ARN")
    return found


def find_any_load_balancer(reader: Reader, call: Call, arn: str) -> LoadBalancer:
    """Classic ones, too: for operations of our own, which look at what is served."""
    return _find(reader, call, LOAD_BALANCERS, arn, ("loadbalancer", "load balancer"), LoadBalancerNotFound)


def find_target_group(reader: Reader, call: Call, arn: str) -> TargetGroup:
    found = _find(reader, call, TARGET_GROUPS, arn, ("targetgroup", "target group"), TargetGroupNotFound)
    if found.classic:
        raise TargetGroupNotFound
    return found


def find_listener(reader: Reader, call: Call, arn: str) -> Listener:
    found = _find(reader, call, LISTENERS, arn, ("listener", "listener"), ListenerNotFound)
    if ":listener/classic/" in arn:
        raise ListenerNotFound
    return found


def find_rule(reader: Reader, call: Call, arn: str) -> Rule:
    """A rule with a priority; the default rule is no resource of its own."""
    return _find(reader, call, RULES, arn, ("listener-rule", "listener rule"), RuleNotFound)


def find_trust_store(reader: Reader, call: Call, arn: str) -> TrustStore:
    return _find(reader, call, TRUST_STORES, arn, ("truststore", "trust store"), TrustStoreNotFound)


def load_balancer_of(reader: Reader, listener: Listener) -> LoadBalancer:
    found = reader.get(LOAD_BALANCERS, listener.load_balancer_arn)
    if found is None:
        raise LoadBalancerNotFound
    return found


def rules_of(reader: Reader, listener_arn: str) -> list[Rule]:
    """In the order in which they are tried."""
    return sorted(reader.list(RULES, "listener", listener_arn), key=lambda rule: rule.priority)


def in_use(reader: Reader, target_group_arn: str) -> bool:
    """Whether any listener or rule forwards to the group."""
    return reader.count(LISTENERS, "target_group", target_group_arn) > 0 or reader.count(RULES, "target_group", target_group_arn) > 0


def load_balancers_using(reader: Reader, target_group_arn: str) -> list[str]:
    """ARNs of the load balancers whose listeners or rules forward to the group, in order."""
    found = {listener.load_balancer_arn for listener in reader.list(LISTENERS, "target_group", target_group_arn)}
    for rule in reader.list(RULES, "target_group", target_group_arn):
        listener = reader.get(LISTENERS, rule.listener_arn)
        if listener is not None:
            found.add(listener.load_balancer_arn)
    return sorted(found)
