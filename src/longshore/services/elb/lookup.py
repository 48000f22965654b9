"""Names, ARNs and quotas of Classic load balancers, and finding what a request names: always the caller's own."""

from __future__ import annotations

import re

from longshore.services.call import Call
from longshore.services.elb.errors import LoadBalancerNotFound, Validation
from longshore.services.elb.model import CLASSIC_LOAD_BALANCERS, ClassicLoadBalancer
from longshore.store.base import Reader

SERVICE = "elasticloadbalancing"
MOST_NAME_LENGTH = 32
LOAD_BALANCERS_PER_REGION = 20
LISTENERS_PER_LOAD_BALANCER = 100
INSTANCES_PER_LOAD_BALANCER = 1000
POLICIES_PER_LOAD_BALANCER = 100
TAGS_PER_LOAD_BALANCER = 10
NAMES_PER_DESCRIBE = 20

LIMITS: tuple[tuple[str, int], ...] = (
    ("classic-listeners", LISTENERS_PER_LOAD_BALANCER),
    ("classic-load-balancers", LOAD_BALANCERS_PER_REGION),
    ("classic-registered-instances", INSTANCES_PER_LOAD_BALANCER),
)

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")


def check_name(name: str) -> None:
    if not name:
        raise Validation("LoadBalancer name cannot be empty")
    if len(name) > MOST_NAME_LENGTH:
        raise Validation(f"LoadBalancer name cannot be longer than {MOST_NAME_LENGTH} characters")
    if not _NAME.fullmatch(name):
        raise Validation("LoadBalancer name must contain only alphanumeric characters or hyphens, and must not begin or end with a hyphen")


def load_balancer_arn(call: Call, name: str) -> str:
    return call.arn(SERVICE, f"loadbalancer/{name}")


def find_load_balancer(reader: Reader, call: Call, name: str) -> ClassicLoadBalancer:
    found = reader.get(CLASSIC_LOAD_BALANCERS, load_balancer_arn(call, name))
    if found is None:
        raise LoadBalancerNotFound(f"There is no ACTIVE Load Balancer named '{name[:255]}'")
    return found


def scope_of_call(call: Call) -> str:
    return f"{call.region}:{call.account_id}"
