"""What Elastic Load Balancing keeps: load balancers, target groups, listeners, rules and the targets registered.

Operations (and the controller that registers the tasks of a service) write what is asked; the balancer writes what the
data plane reports: a load balancer's state and each target's health.
"""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.aws.shapes import elbv2 as shapes
from longshore.kit.resource import Kind


class Tag(msgspec.Struct, frozen=True, gc=False):
    key: str
    value: str = ""


def scope_of(arn: str) -> str:
    """`region:account` of an ARN: what listings are confined to."""
    parts = arn.split(":", 5)
    return f"{parts[3]}:{parts[4]}"


class LoadBalancerStatus(msgspec.Struct, frozen=True, gc=False):
    """Written by the balancer."""

    state: str = "provisioning"  # provisioning | active | active_impaired | failed
    reason: str = ""
    #: where it listens on this machine: its own loopback address
    address: str = ""
    #: the mark (following.py) of the listeners and rules that everybody who asks is served by
    followed: str = ""


class LoadBalancer(msgspec.Struct, frozen=True, gc=False):
    arn: str
    name: str
    type: str  # application | network | classic: one that the Classic API keeps, and that only it shows
    scheme: str
    dns_name: str
    canonical_hosted_zone_id: str
    created_at: float
    vpc_id: str
    #: (zone name, subnet id)
    zones: tuple[tuple[str, str], ...] = ()
    security_groups: tuple[str, ...] = ()
    ip_address_type: str = "ipv4"
    #: only what differs from the default
    attributes: dict[str, str] = {}
    tags: tuple[Tag, ...] = ()
    #: loopback address number N in 127.0.2.N and further, given at creation and free again after deletion
    slot: int = 0
    status: LoadBalancerStatus = LoadBalancerStatus()


LOAD_BALANCERS: Kind[LoadBalancer] = Kind(
    name="elbv2.load_balancer",
    type=LoadBalancer,
    key=lambda lb: lb.arn,
    indexes={
        "scope": lambda lb: () if lb.type == "classic" else (scope_of(lb.arn),),
        "name": lambda lb: () if lb.type == "classic" else (f"{scope_of(lb.arn)}:{lb.name}",),
        "slot": lambda lb: (str(lb.slot),),
        "security_group": lambda lb: lb.security_groups,
        "subnet": lambda lb: [subnet for _, subnet in lb.zones],
    },
    unique=frozenset({"name", "slot"}),
)


class HealthCheck(msgspec.Struct, frozen=True, gc=False):
    protocol: str = "HTTP"
    port: str = "traffic-port"
    path: str = "/"
    enabled: bool = True
    interval_s: int = 30
    timeout_s: int = 6
    healthy_threshold: int = 5
    unhealthy_threshold: int = 2
    #: accepted HTTP codes, `200` or `200,202-299`; empty for TCP
    http_codes: str = "200"


class TargetGroup(msgspec.Struct, frozen=True, gc=False):
    arn: str
    name: str
    protocol: str
    port: int
    vpc_id: str
    target_type: str  # instance | ip | alb
    created_at: float
    protocol_version: str = "HTTP1"
    ip_address_type: str = "ipv4"
    health_check: HealthCheck = HealthCheck()
    #: only what differs from the default
    attributes: dict[str, str] = {}
    tags: tuple[Tag, ...] = ()
    #: the name of the Classic load balancer that it is part of, and that alone shows it; empty for most
    classic: str = ""

    @property
    def deregistration_delay_s(self) -> int:
        return int(self.attributes.get("deregistration_delay.timeout_seconds", "300"))

    @property
    def fewest_healthy(self) -> tuple[int, int]:
        """(count, percentage; 0: off) of healthy targets below either of which all targets get requests."""
        prefix = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"
        percentage = self.attributes.get(f"{prefix}.percentage", "off")
        return int(self.attributes.get(f"{prefix}.count", "1")), 0 if percentage == "off" else int(percentage)


TARGET_GROUPS: Kind[TargetGroup] = Kind(
    name="elbv2.target_group",
    type=TargetGroup,
    key=lambda tg: tg.arn,
    indexes={
        "scope": lambda tg: () if tg.classic else (scope_of(tg.arn),),
        "name": lambda tg: () if tg.classic else (f"{scope_of(tg.arn)}:{tg.name}",),
    },
    unique=frozenset({"name"}),
)


def target_groups_of(actions: tuple[shapes.Action, ...]) -> list[str]:
    """ARNs of the target groups that `actions` forward to, each once."""
    found: dict[str, None] = {}
    for action in actions:
        if action.target_group_arn:
            found[action.target_group_arn] = None
        for weighted in (action.forward_config.target_groups if action.forward_config else None) or ():
            if weighted.target_group_arn:
                found[weighted.target_group_arn] = None
    return list(found)


class Listener(msgspec.Struct, frozen=True, gc=False):
    arn: str
    load_balancer_arn: str
    port: int
    protocol: str
    default_actions: tuple[shapes.Action, ...] = ()
    ssl_policy: str = ""
    #: ARNs of ACM's or IAM's: the default one first, then those chosen by the name a client asks for
    certificates: tuple[str, ...] = ()
    alpn_policy: tuple[str, ...] = ()
    #: None: clients are not asked for certificates
    mutual_authentication: shapes.MutualAuthenticationAttributes | None = None
    attributes: dict[str, str] = {}
    tags: tuple[Tag, ...] = ()


LISTENERS: Kind[Listener] = Kind(
    name="elbv2.listener",
    type=Listener,
    key=lambda listener: listener.arn,
    indexes={
        "load_balancer": lambda listener: (listener.load_balancer_arn,),
        "port": lambda listener: (f"{listener.load_balancer_arn}|{listener.port}",),
        "target_group": lambda listener: target_groups_of(listener.default_actions),
        "certificate": lambda listener: dict.fromkeys(listener.certificates),
        "trust_store": lambda listener: trust_stores_of(listener),
    },
    unique=frozenset({"port"}),
)


def trust_stores_of(listener: Listener) -> tuple[str, ...]:
    """The ARN of what clients' certificates are checked against, where they are."""
    mutual = listener.mutual_authentication
    return (mutual.trust_store_arn,) if mutual is not None and mutual.trust_store_arn else ()


class Rule(msgspec.Struct, frozen=True, gc=False):
    """A rule with a priority; a listener's default actions stand in the listener itself."""

    arn: str
    listener_arn: str
    priority: int
    conditions: tuple[shapes.RuleCondition, ...] = ()
    actions: tuple[shapes.Action, ...] = ()
    #: what is changed in a request after this rule was chosen for it
    transforms: tuple[shapes.RuleTransform, ...] = ()
    tags: tuple[Tag, ...] = ()


RULES: Kind[Rule] = Kind(
    name="elbv2.rule",
    type=Rule,
    key=lambda rule: rule.arn,
    indexes={
        "listener": lambda rule: (rule.listener_arn,),
        "target_group": lambda rule: target_groups_of(rule.actions),
    },
)


class TargetHealth(msgspec.Struct, frozen=True, gc=False):
    """Written by the balancer. `state` in ELB's words: initial, healthy, unhealthy, unused, draining, unavailable."""

    state: str = "initial"
    reason: str = "Elb.RegistrationInProgress"
    description: str = "Target registration is in progress"
    since: float = 0.0


class Target(msgspec.Struct, frozen=True, gc=False):
    """One registration. Deregistering marks it; the balancer deletes it when its connections are gone or the delay is over."""

    target_group_arn: str
    id: str  # i-… or an IP address
    port: int
    registered_at: float
    #: where the data plane sends traffic to, resolved at registration
    address: str
    availability_zone: str = ""
    deregistered_at: float | None = None
    #: the task this target stands for, when a service registered it
    owner: str = ""
    health: TargetHealth = TargetHealth()
    #: the name of the Classic load balancer that its group is part of; empty for most
    classic: str = ""
    #: `address:port` of the agent that is asked whether `owner` is there; empty: nobody is asked
    identity: str = ""


def target_key(target_group_arn: str, target_id: str, port: int) -> str:
    return f"{target_group_arn}|{target_id}|{port}"


def place_of(address: str, port: int) -> str:
    """Where traffic arrives, whichever group it comes from."""
    return f"{address}:{port}"


TARGETS: Kind[Target] = Kind(
    name="elbv2.target",
    type=Target,
    key=lambda target: target_key(target.target_group_arn, target.id, target.port),
    indexes={
        "target_group": lambda target: (target.target_group_arn,),
        "target_id": lambda target: (target.id,),
        "owner": lambda target: (target.owner,) if target.owner else (),
        "place": lambda target: (place_of(target.address, target.port),),
    },
)


class TrustStore(msgspec.Struct, frozen=True, gc=False):
    """The authorities whose certificates clients may prove themselves with."""

    arn: str
    name: str
    created_at: float
    #: PEM of their certificates
    bundle: bytes
    #: how many those are
    authorities: int
    tags: tuple[Tag, ...] = ()
    #: the number of the newest revocation file there ever was: numbers are not given twice
    last_revocation_id: int = 0


TRUST_STORES: Kind[TrustStore] = Kind(
    name="elbv2.trust_store",
    type=TrustStore,
    key=lambda store: store.arn,
    indexes={"scope": lambda store: (scope_of(store.arn),), "name": lambda store: (f"{scope_of(store.arn)}:{store.name}",)},
    unique=frozenset({"name"}),
)


class TrustStoreRevocation(msgspec.Struct, frozen=True, gc=False):
    trust_store_arn: str
    id: int
    #: PEM of certificate revocation lists
    content: bytes
    #: certificates revoked in them
    entries: int


TRUST_STORE_REVOCATIONS: Kind[TrustStoreRevocation] = Kind(
    name="elbv2.trust_store_revocation",
    type=TrustStoreRevocation,
    key=lambda revocation: revocation_key(revocation.trust_store_arn, revocation.id),
    indexes={"trust_store": lambda revocation: (revocation.trust_store_arn,)},
)


def revocation_key(trust_store_arn: str, id: int) -> str:
    return f"{trust_store_arn}|{id:010d}"


class TrustStoreFile(msgspec.Struct, frozen=True, gc=False):
    """What a trust store, or its revocations, can be made of: put here under the names of a bucket and a key, in place of S3."""

    #: `region:account`
    scope: str
    bucket: str
    #: of the object in the bucket
    name: str
    content: bytes
    put_at: float


TRUST_STORE_FILES: Kind[TrustStoreFile] = Kind(
    name="elbv2.trust_store_file",
    type=TrustStoreFile,
    key=lambda file: trust_store_file_key(file.scope, file.bucket, file.name),
    indexes={"scope": lambda file: (file.scope,)},
)


def trust_store_file_key(scope: str, bucket: str, name: str) -> str:
    return f"{scope}|{bucket}|{name}"


KINDS: tuple[Kind[Any], ...] = (
    *(LOAD_BALANCERS, TARGET_GROUPS, LISTENERS, RULES, TARGETS),
    *(TRUST_STORES, TRUST_STORE_REVOCATIONS, TRUST_STORE_FILES),
)
