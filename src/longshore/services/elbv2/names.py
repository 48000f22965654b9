"""Names and ARNs of load-balancing resources: how they are made, checked and taken apart."""

from __future__ import annotations

import hashlib
import re

from longshore.services.elbv2.errors import Validation

SERVICE = "elasticloadbalancing"
MOST_NAME_LENGTH = 32

_NAME = re.compile(r"[A-Za-z0-9-]+")


def check_name(what: str, name: str) -> None:
    """Refuses what is no name of a load balancer or target group; `what` begins the message ("Load balancer")."""
    if not name:
        raise Validation(f"{what} name cannot be empty")
    if len(name) > MOST_NAME_LENGTH:
        raise Validation(f"{what} name '{name}' cannot be longer than '{MOST_NAME_LENGTH}' characters")
    if not _NAME.fullmatch(name):
        raise Validation(f"{what} name '{name}' can only contain characters that are alphanumeric characters and hyphens(-)")
    if name.startswith("-") or name.endswith("-"):
        raise Validation(f"{what} name '{name}' cannot begin or end with a hyphen(-)")


def check_load_balancer_name(name: str) -> None:
    check_name("Load balancer", name)
    if name.startswith("internal-"):
        raise Validation(f"Load balancer name '{name}' cannot begin with 'internal-'")


def load_balancer_resource(type: str, name: str, identifier: str) -> str:
    return f"loadbalancer/{'app' if type == 'application' else 'net'}/{name}/{identifier}"


def listener_arn(load_balancer_arn: str, identifier: str) -> str:
    return f"{load_balancer_arn.replace(':loadbalancer/', ':listener/', 1)}/{identifier}"


def rule_arn(listener_arn: str, identifier: str) -> str:
    return f"{listener_arn.replace(':listener/', ':listener-rule/', 1)}/{identifier}"


def default_rule_arn(listener_arn: str) -> str:
    """The default rule is part of its listener; its ARN follows from the listener's."""
    return rule_arn(listener_arn, hashlib.sha256(listener_arn.encode()).hexdigest()[:16])


def listener_of_rule(rule_arn: str) -> str:
    """The ARN of the listener that a rule's ARN names."""
    return rule_arn.replace(":listener-rule/", ":listener/", 1).rpartition("/")[0]


def is_default_rule(arn: str) -> bool:
    return default_rule_arn(listener_of_rule(arn)) == arn
