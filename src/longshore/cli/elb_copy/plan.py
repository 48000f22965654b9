"""What is to be created so that an Application or Network Load Balancer does what a Classic one does. Pure.

The plan is a list of requests to the API of 2015-12-01, and a row for every setting there is: whether it maps, changes, is lost,
or keeps the copy from being made at all. Nothing is left out silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from longshore.cli.elb_copy.settings import (
    Change,
    group_attributes,
    health_check,
    idle_timeout,
    load_balancer_attributes,
    security_policy,
    stickiness_of,
    times_of,
)
from longshore.cli.elb_copy.source import ListenerDescription, Source

Effect = Literal["maps", "changes", "lost", "blocks"]

_MOST_NAME_LENGTH = 32
_PROTOCOLS = {"HTTP": "HTTP", "HTTPS": "HTTPS", "TCP": "TCP", "SSL": "TLS"}
_APPLICATION, _NETWORK = "application", "network"


class Subnet(msgspec.Struct, frozen=True):
    id: str
    zone: str
    vpc_id: str
    is_default: bool = False


class Destination(msgspec.Struct, frozen=True):
    """What there is where the copy is made."""

    subnets: tuple[Subnet, ...] = ()
    security_groups: tuple[str, ...] = ()
    #: names that are taken
    load_balancers: tuple[str, ...] = ()
    target_groups: tuple[str, ...] = ()


class Wishes(msgspec.Struct, frozen=True):
    #: of the copy; the Classic load balancer's own unless given
    name: str = ""
    #: application or network; told by the listeners unless given
    type: str = ""
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    #: certificate there -> certificate here
    certificates: dict[str, str] = {}
    registers_targets: bool = False
    #: the Classic load balancer is of another place, whose certificates and instances nobody knows here
    from_elsewhere: bool = False
    #: three letters that end the names of target groups
    mark: str = "000"


class Row(msgspec.Struct, frozen=True):
    effect: Effect
    what: str
    classic: str
    copy: str = ""
    why: str = ""


class Group(msgspec.Struct, frozen=True):
    """A target group to be created, and the listeners that forward to it."""

    name: str
    request: dict[str, object]
    attributes: dict[str, str]
    ports: tuple[int, ...]


class NewListener(msgspec.Struct, frozen=True):
    group: str
    request: dict[str, object]
    attributes: dict[str, str] = {}


class Plan(msgspec.Struct, frozen=True):
    name: str
    type: str
    rows: tuple[Row, ...]
    #: requests, without the ARNs that are not known before
    load_balancer: dict[str, object] = {}
    attributes: dict[str, str] = {}
    groups: tuple[Group, ...] = ()
    listeners: tuple[NewListener, ...] = ()
    #: ids of instances
    targets: tuple[str, ...] = ()

    def having(self, effect: Effect) -> list[Row]:
        return [row for row in self.rows if row.effect == effect]


class _Draft:
    def __init__(self, source: Source, destination: Destination, wishes: Wishes, type: str) -> None:
        self.source, self.destination, self.wishes, self.type = source, destination, wishes, type
        self.name = wishes.name or source.load_balancer.load_balancer_name
        self.rows: list[Row] = []
        self.vpc_id = ""

    def say(self, effect: Effect, what: str, classic: str, copy: str = "", why: str = "") -> None:
        self.rows.append(Row(effect, what, classic, copy, why))

    def changed(self, what: str, classic: str, change: Change) -> None:
        self.say("changes" if change.why else "maps", what, classic, change.value, change.why)


def plan(source: Source, destination: Destination, wishes: Wishes) -> Plan:
    listeners = source.load_balancer.listener_descriptions or ()
    type = wishes.type or (_APPLICATION if all(one.listener.is_http for one in listeners) else _NETWORK)
    draft = _Draft(source, destination, wishes, type)
    served = _listeners_of_type(draft, listeners)
    request = _load_balancer(draft)
    groups = _groups(draft, served)
    new = _listeners(draft, served, groups)
    attributes: dict[str, str] = {}
    for key, what, classic, change in load_balancer_attributes(source, type):
        draft.changed(what, classic, change)
        if key:
            attributes[key] = change.value
    _backends(draft, served)
    targets = _targets(draft)
    return Plan(draft.name, type, tuple(draft.rows), request, attributes, tuple(groups), tuple(new), targets)


def _listeners_of_type(draft: _Draft, listeners: Sequence[ListenerDescription]) -> list[ListenerDescription]:
    """Those that one load balancer can have together; the others are said to be lost, or keep the copy from being made."""
    is_http = draft.type == _APPLICATION
    served = [one for one in listeners if one.listener.is_http == is_http]
    others = [one for one in listeners if one.listener.is_http != is_http]
    if not listeners:
        draft.say("blocks", "listeners", "none", why="there is nothing to copy")
    elif not served:
        draft.say("blocks", "listeners", _protocols(others), why=f"none of them is one of {_an(draft.type)}")
    for one in others:
        effect: Effect = "lost" if draft.wishes.type else "blocks"
        why = "Application Load Balancers have HTTP and HTTPS, Network Load Balancers TCP and TLS: copy twice, with --type"
        draft.say(effect, f"listener {one.listener.load_balancer_port}", one.listener.protocol, why=why)
    return served


def _protocols(listeners: Sequence[ListenerDescription]) -> str:
    return ", ".join(sorted({one.listener.protocol for one in listeners}))


def _an(type: str) -> str:
    return "an Application Load Balancer" if type == _APPLICATION else "a Network Load Balancer"


# ── the load balancer itself ────────────────────────────────────────────────────────────────────────────────────────


def _load_balancer(draft: _Draft) -> dict[str, object]:
    lb, wishes = draft.source.load_balancer, draft.wishes
    taken = draft.name in draft.destination.load_balancers
    draft.say("blocks" if taken else "maps", "name", lb.load_balancer_name, draft.name, "that name is taken: use --name" if taken else "")
    draft.say("changes", "type", "classic", draft.type, "its DNS name is another one")
    scheme = lb.scheme or "internet-facing"
    draft.say("maps", "scheme", scheme, scheme)
    subnets = _subnets(draft)
    draft.vpc_id = subnets[0].vpc_id if subnets else ""
    request: dict[str, object] = {"Name": draft.name, "Type": draft.type, "Scheme": scheme, "Subnets": [subnet.id for subnet in subnets]}
    known = set(draft.destination.security_groups)
    asked = wishes.security_groups or lb.security_groups or ()
    groups = [group for group in asked if group in known]
    if groups:
        request["SecurityGroups"] = groups
    if groups and list(asked) == groups and not wishes.security_groups:
        draft.say("maps", "security groups", ", ".join(asked), ", ".join(groups))
    else:
        shown = ", ".join(groups) or "the default group"
        why = "as asked for" if wishes.security_groups else "there are no such groups here: use --security-group"
        draft.say("changes", "security groups", ", ".join(lb.security_groups or ()) or "none", shown, why)
    tags = [{"Key": tag.key, "Value": tag.value or ""} for tag in draft.source.tags if not tag.key.lower().startswith("aws:")]
    if tags:
        request["Tags"] = tags
        draft.say("maps", "tags", str(len(tags)), str(len(tags)))
    for tag in draft.source.tags:
        if tag.key.lower().startswith("aws:"):
            draft.say("changes", f"tag {tag.key}", tag.value or "", "–", "only AWS itself sets tags that begin with aws:")
    return request


def _subnets(draft: _Draft) -> list[Subnet]:
    """One per zone: those asked for, those it has, or default ones of its zones; a second zone for an application load balancer."""
    lb, wishes, here = draft.source.load_balancer, draft.wishes, draft.destination.subnets
    classic = ", ".join(lb.subnets or lb.availability_zones or ())
    by_id = {subnet.id: subnet for subnet in here}
    asked = wishes.subnets or lb.subnets or ()
    found = [by_id[one] for one in asked if one in by_id]
    if wishes.subnets and len(found) < len(wishes.subnets):
        missing = ", ".join(one for one in wishes.subnets if one not in by_id)
        draft.say("blocks", "subnets", classic, missing, "there are no such subnets here")
        return found
    why = "as asked for" if wishes.subnets else ""
    if not found:
        defaults = sorted((subnet for subnet in here if subnet.is_default), key=lambda subnet: subnet.zone)
        zones = set(lb.availability_zones or ())
        found = [subnet for subnet in defaults if subnet.zone in zones] or defaults[:2]
        why = "there are no such subnets here: default ones of the zones (or use --subnet)"
    if draft.type == _APPLICATION and len({subnet.zone for subnet in found}) == 1:
        first = found[0]
        others = [subnet for subnet in here if subnet.vpc_id == first.vpc_id and subnet.zone != first.zone]
        found += sorted(others, key=lambda subnet: (not subnet.is_default, subnet.zone))[:1]
        why = "an Application Load Balancer has two zones at least"
    if not found or (draft.type == _APPLICATION and len({subnet.zone for subnet in found}) < 2):
        draft.say("blocks", "subnets", classic, ", ".join(subnet.id for subnet in found), "two zones are needed: use --subnet")
        return found
    draft.say("changes" if why else "maps", "subnets", classic, ", ".join(subnet.id for subnet in found), why)
    return found


# ── listeners and target groups ─────────────────────────────────────────────────────────────────────────────────────


def _groups(draft: _Draft, served: Sequence[ListenerDescription]) -> list[Group]:
    """One for every port, protocol and stickiness that the instances are reached with."""
    alike: dict[tuple[int, str, str], list[ListenerDescription]] = {}
    for one in served:
        sticky = stickiness_of(draft.source, one)
        reached = (one.listener.instance_port, one.listener.instance_protocol.upper(), sticky.policy_name if sticky else "")
        alike.setdefault(reached, []).append(one)
    groups: list[Group] = []
    for (port, protocol, sticky_name), listeners in alike.items():
        name = _group_name(draft, port, bool(sticky_name), len(groups))
        request: dict[str, object] = {
            "Name": name,
            "Protocol": _PROTOCOLS.get(protocol, protocol),
            "Port": port,
            "VpcId": draft.vpc_id,
            "TargetType": "instance",
        }
        check = draft.source.load_balancer.health_check
        asked, checked = health_check(check, port, draft.type)
        request |= asked
        draft.changed(f"health check ({port})", check.target, checked)
        if not groups:
            draft.say("maps", "health check times", times_of(check), times_of(check))
        attributes: dict[str, str] = {}
        for key, what, classic, change in group_attributes(draft.source, listeners[0], draft.type):
            if not groups or key.startswith("stickiness"):
                draft.changed(f"{what} ({port})" if key.startswith("stickiness") else what, classic, change)
            if key:
                attributes[key] = change.value
        groups.append(Group(name, request, attributes, tuple(one.listener.load_balancer_port for one in listeners)))
    return groups


def _group_name(draft: _Draft, port: int, is_sticky: bool, number: int) -> str:
    mark = draft.wishes.mark if not number else f"{draft.wishes.mark}{number}"
    name = f"{draft.name[:8].rstrip('-')}-tg{'-stickiness' if is_sticky else ''}-{port}-{mark}"[:_MOST_NAME_LENGTH]
    if name in draft.destination.target_groups:
        draft.say("blocks", f"target group for {port}", "–", name, "that name is taken: try again")
    return name


def _listeners(draft: _Draft, served: Sequence[ListenerDescription], groups: Sequence[Group]) -> list[NewListener]:
    new: list[NewListener] = []
    for one in served:
        listener = one.listener
        group = next(group for group in groups if listener.load_balancer_port in group.ports)
        protocol = _PROTOCOLS.get(listener.protocol.upper(), listener.protocol)
        what = f"listener {listener.load_balancer_port}"
        classic = f"{listener.protocol} → {listener.instance_protocol}:{listener.instance_port}"
        draft.say("maps", what, classic, f"{protocol} → {group.name}")
        request: dict[str, object] = {"Protocol": protocol, "Port": listener.load_balancer_port}
        if protocol in ("HTTPS", "TLS"):
            request["Certificates"] = [{"CertificateArn": _certificate(draft, what, listener.ssl_certificate_id or "")}]
            policy = security_policy(draft.source, one)
            draft.changed(f"{what} policy", policy.classic, policy)
            request["SslPolicy"] = policy.value
        attributes: dict[str, str] = {}
        if draft.type == _NETWORK:
            idle = idle_timeout(draft.source, protocol)
            seconds = draft.source.attributes.connection_settings
            draft.changed(f"{what} idle timeout", f"{seconds.idle_timeout if seconds else 60} s", idle)
            attributes = {"tcp.idle_timeout.seconds": idle.value} if protocol == "TCP" else {}
        new.append(NewListener(group.name, request, attributes))
    return new


def _certificate(draft: _Draft, what: str, arn: str) -> str:
    here = draft.wishes.certificates.get(arn, arn)
    if here == arn and draft.wishes.from_elsewhere:
        draft.say("blocks", f"{what} certificate", arn, why="it is not known here: import it, and use --certificate THERE=HERE")
    elif here == arn:
        draft.say("maps", f"{what} certificate", arn, here)
    else:
        draft.say("changes", f"{what} certificate", arn, here, "as asked for")
    return here


def _backends(draft: _Draft, served: Sequence[ListenerDescription]) -> None:
    """Policies of the instances' ports: whom they have to be, which nothing else can tell."""
    ports = {one.listener.instance_port for one in served}
    for backend in draft.source.load_balancer.backend_server_descriptions or ():
        for name in backend.policy_names or ():
            policy = draft.source.policy(name)
            kind = policy.policy_type_name if policy else "unknown"
            if kind != "ProxyProtocolPolicyType" and backend.instance_port in ports:
                why = "targets' certificates are not verified by Application and Network Load Balancers"
                draft.say("lost", f"policy {name} ({backend.instance_port})", kind, why=why)


def _targets(draft: _Draft) -> tuple[str, ...]:
    ids = tuple(one.instance_id for one in draft.source.load_balancer.instances or ())
    if not ids:
        return ()
    if not draft.wishes.registers_targets:
        draft.say("changes", "instances", ", ".join(ids), "none", "registered with --register-targets only")
        return ()
    if draft.wishes.from_elsewhere:
        draft.say("lost", "instances", ", ".join(ids), "none", "they are of another place: register those of this one")
        return ()
    draft.say("maps", "instances", ", ".join(ids), ", ".join(ids))
    return ids
