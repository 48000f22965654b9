"""What the Classic API keeps: load balancers with their listeners, policies and attributes, and the instances registered with them.

This is the API's own truth. What the data plane serves is derived from it in the same transaction (`projection.py`), as records of
the kinds it knows already; nobody else writes those.
"""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.kit.resource import Kind


class Tag(msgspec.Struct, frozen=True, gc=False):
    key: str
    value: str = ""


class Policy(msgspec.Struct, frozen=True, gc=False):
    name: str
    type: str
    #: (name, value) as given, in order: some may come more than once
    attributes: tuple[tuple[str, str], ...] = ()

    def value(self, name: str) -> str:
        """The first of that name; empty where there is none."""
        return next((value for key, value in self.attributes if key == name), "")


class Listener(msgspec.Struct, frozen=True, gc=False):
    port: int
    protocol: str  # HTTP | HTTPS | TCP | SSL
    instance_port: int
    instance_protocol: str
    #: ARN of ACM's or IAM's; empty without TLS
    certificate: str = ""
    #: names of policies
    policies: tuple[str, ...] = ()

    @property
    def is_http(self) -> bool:
        return self.protocol in ("HTTP", "HTTPS")

    @property
    def is_secure(self) -> bool:
        return self.protocol in ("HTTPS", "SSL")


class Backend(msgspec.Struct, frozen=True, gc=False):
    """The policies of a port of the instances."""

    instance_port: int
    policies: tuple[str, ...] = ()


class HealthCheck(msgspec.Struct, frozen=True, gc=False):
    protocol: str  # HTTP | HTTPS | TCP | SSL
    port: int
    path: str = ""
    interval_s: int = 30
    timeout_s: int = 5
    unhealthy_threshold: int = 2
    healthy_threshold: int = 10

    @property
    def target(self) -> str:
        """`HTTP:80/path` or `TCP:80`, as the API says it."""
        return f"{self.protocol}:{self.port}{self.path}"


class AccessLog(msgspec.Struct, frozen=True, gc=False):
    enabled: bool = False
    bucket: str = ""
    prefix: str = ""
    interval_min: int = 60


class Attributes(msgspec.Struct, frozen=True, gc=False):
    is_cross_zone: bool = False
    access_log: AccessLog = AccessLog()
    drains: bool = False
    draining_timeout_s: int = 300
    idle_timeout_s: int = 60
    desync_mitigation_mode: str = "defensive"


class ClassicLoadBalancer(msgspec.Struct, frozen=True, gc=False):
    #: arn:aws:elasticloadbalancing:REGION:ACCOUNT:loadbalancer/NAME
    arn: str
    name: str
    #: tells it from another of the same name at another time: what is derived from it is named by it
    identifier: str
    scheme: str
    dns_name: str
    canonical_hosted_zone_id: str
    created_at: float
    vpc_id: str
    #: (zone name, subnet id)
    zones: tuple[tuple[str, str], ...]
    health_check: HealthCheck
    security_groups: tuple[str, ...] = ()
    #: in order of their ports
    listeners: tuple[Listener, ...] = ()
    policies: tuple[Policy, ...] = ()
    backends: tuple[Backend, ...] = ()
    attributes: Attributes = Attributes()
    tags: tuple[Tag, ...] = ()

    def policy(self, name: str) -> Policy | None:
        return next((policy for policy in self.policies if policy.name == name), None)

    def listener(self, port: int) -> Listener | None:
        return next((listener for listener in self.listeners if listener.port == port), None)

    def backend_policies(self, instance_port: int) -> tuple[str, ...]:
        return next((backend.policies for backend in self.backends if backend.instance_port == instance_port), ())


def scope_of(arn: str) -> str:
    """`region:account` of an ARN: what listings are confined to."""
    parts = arn.split(":", 5)
    return f"{parts[3]}:{parts[4]}"


CLASSIC_LOAD_BALANCERS: Kind[ClassicLoadBalancer] = Kind(
    name="elb.load_balancer",
    type=ClassicLoadBalancer,
    key=lambda lb: lb.arn,
    indexes={"scope": lambda lb: (scope_of(lb.arn),)},
)


class Claim(msgspec.Struct, frozen=True, gc=False):
    """A task of a service that is reached through the registration."""

    task_arn: str
    #: of the instance
    port: int


class RegisteredInstance(msgspec.Struct, frozen=True, gc=False):
    """One registration. Deregistering deletes it; what is still under way is seen in the derived targets, until they are drained."""

    load_balancer_arn: str
    instance_id: str
    registered_at: float
    #: in the order in which they came; none where somebody registered the instance by hand
    claims: tuple[Claim, ...] = ()
    #: ports of tasks that are leaving, while others keep the registration
    withdrawn: tuple[int, ...] = ()


def instance_key(load_balancer_arn: str, instance_id: str) -> str:
    return f"{load_balancer_arn}|{instance_id}"


REGISTERED_INSTANCES: Kind[RegisteredInstance] = Kind(
    name="elb.instance",
    type=RegisteredInstance,
    key=lambda one: instance_key(one.load_balancer_arn, one.instance_id),
    indexes={
        "load_balancer": lambda one: (one.load_balancer_arn,),
        "task": lambda one: tuple(dict.fromkeys(claim.task_arn for claim in one.claims)),
    },
)

KINDS: tuple[Kind[Any], ...] = (CLASSIC_LOAD_BALANCERS, REGISTERED_INSTANCES)
