"""Security-group rules: IpPermissions taken apart into single rules, and put together again for descriptions. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

import msgspec

from longshore.aws.shapes import ec2 as shapes
from longshore.services.ec2.errors import InvalidParameterValue, InvalidPermissionMalformed, MissingParameter
from longshore.services.ec2.model import SecurityGroupRule

MOST_RULES = 60
MOST_DESCRIPTION_LENGTH = 255

_NUMBERS = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6", "all": "-1"}
_NAMES = frozenset({"tcp", "udp", "icmp", "icmpv6", "-1"})
_DESCRIPTION = re.compile(r"[A-Za-z0-9. _\-:/()#,@\[\]+=&;{}!$*]*")


def flat_permission(
    ip_protocol: str | None, from_port: int | None, to_port: int | None, cidr_ip: str | None
) -> tuple[shapes.IpPermission, ...]:
    """The one permission that the older parameters of the request describe; none when they are not given."""
    if cidr_ip is None and ip_protocol is None:
        return ()
    if ip_protocol is None:
        raise MissingParameter("The request must contain the parameter ipProtocol")
    ranges = None if cidr_ip is None else (shapes.IpRange(cidr_ip=cidr_ip),)
    return (shapes.IpPermission(ip_protocol=ip_protocol, from_port=from_port, to_port=to_port, ip_ranges=ranges),)


def rules_from(permissions: Iterable[shapes.IpPermission], is_egress: bool) -> list[SecurityGroupRule]:
    """One rule per source or destination, their ids still empty. Group names are refused: ids say which VPC is meant."""
    rules: list[SecurityGroupRule] = []
    for permission in permissions:
        base = _base(permission, is_egress)
        rules.extend(
            msgspec.structs.replace(base, cidr_ipv4=_cidr(entry.cidr_ip, IPv4Network), description=_description(entry.description))
            for entry in permission.ip_ranges or ()
        )
        rules.extend(
            msgspec.structs.replace(base, cidr_ipv6=_cidr(entry.cidr_ipv6, IPv6Network), description=_description(entry.description))
            for entry in permission.ipv6_ranges or ()
        )
        for pair in permission.user_id_group_pairs or ():
            if not pair.group_id:
                raise MissingParameter("The request must contain the parameter groupId")
            rules.append(msgspec.structs.replace(base, referenced_group_id=pair.group_id, description=_description(pair.description)))
        if permission.prefix_list_ids:
            raise InvalidParameterValue("Prefix lists are not served")
    if not rules:
        raise MissingParameter("The request must contain the parameter ipPermissions")
    return rules


def _base(permission: shapes.IpPermission, is_egress: bool) -> SecurityGroupRule:
    if permission.ip_protocol is None:
        raise MissingParameter("The request must contain the parameter ipProtocol")
    protocol = permission.ip_protocol.lower()
    protocol = _NUMBERS.get(protocol, protocol)
    if protocol not in _NAMES and not (protocol.isascii() and protocol.isdecimal() and int(protocol[:4]) <= 255):
        raise InvalidPermissionMalformed(f"Invalid protocol value '{permission.ip_protocol}'")
    first, last = permission.from_port, permission.to_port
    if protocol in ("tcp", "udp"):
        if first is None or last is None:
            raise InvalidParameterValue("Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.")
        if not 0 <= first <= 65535 or not 0 <= last <= 65535:
            raise InvalidParameterValue(f"TCP/UDP port ({first if not 0 <= first <= 65535 else last}) out of range")
        if first > last:
            raise InvalidParameterValue(f"Invalid TCP/UDP port range ({first}:{last})")
    elif protocol in ("icmp", "icmpv6"):
        first, last = -1 if first is None else first, -1 if last is None else last
        if not -1 <= first <= 255 or not -1 <= last <= 255:
            raise InvalidParameterValue(f"ICMP type or code ({first}:{last}) out of range")
    else:
        first = last = -1
    return SecurityGroupRule(id="", is_egress=is_egress, ip_protocol=protocol, from_port=first, to_port=last)


def _cidr(text: str | None, network: type[IPv4Network] | type[IPv6Network]) -> str:
    """The block with its host bits cleared, as EC2 stores it."""
    if text is None:
        raise MissingParameter("The request must contain the parameter cidrIp")
    try:
        if "/" not in text:
            raise ValueError
        return str(network(text, strict=False))
    except ValueError:
        raise InvalidParameterValue(f"CIDR block {text} is malformed") from None


def _description(text: str | None) -> str:
    if text is None:
        return ""
    if len(text) > MOST_DESCRIPTION_LENGTH or not _DESCRIPTION.fullmatch(text):
        raise InvalidParameterValue(
            "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set: "
            "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
        )
    return text


def same_traffic(one: SecurityGroupRule, other: SecurityGroupRule) -> bool:
    """Whether both rules let the same through; ids, descriptions and tags aside."""
    return _traffic(one) == _traffic(other)


def _traffic(rule: SecurityGroupRule) -> tuple[bool, str, int, int, str, str, str]:
    return (
        rule.is_egress,
        rule.ip_protocol,
        rule.from_port,
        rule.to_port,
        rule.cidr_ipv4,
        rule.cidr_ipv6,
        rule.referenced_group_id,
    )


def in_words(rule: SecurityGroupRule) -> str:
    """As EC2 quotes a rule in its errors."""
    peer = rule.cidr_ipv4 or rule.cidr_ipv6 or rule.referenced_group_id
    if rule.ip_protocol == "-1":
        return f"peer: {peer}, ALL, ALLOW"
    ports = f"from port: {rule.from_port}, to port: {rule.to_port}"
    return f"peer: {peer}, {rule.ip_protocol.upper()}, {ports}, ALLOW"


def permissions_of(rules: Iterable[SecurityGroupRule], is_egress: bool, owner_id: str) -> tuple[shapes.IpPermission, ...]:
    """Rules of one direction grouped by protocol and ports, as DescribeSecurityGroups shows them."""
    grouped: dict[tuple[str, int, int], list[SecurityGroupRule]] = {}
    for rule in rules:
        if rule.is_egress == is_egress:
            grouped.setdefault((rule.ip_protocol, rule.from_port, rule.to_port), []).append(rule)
    return tuple(permission_of(members, owner_id) for members in grouped.values())


def permission_of(rules: list[SecurityGroupRule], owner_id: str) -> shapes.IpPermission:
    """Rules of the same protocol and ports as one permission."""
    first = rules[0]
    is_all = first.ip_protocol not in ("tcp", "udp", "icmp", "icmpv6")
    return shapes.IpPermission(
        ip_protocol=first.ip_protocol,
        from_port=None if is_all else first.from_port,
        to_port=None if is_all else first.to_port,
        ip_ranges=tuple(shapes.IpRange(cidr_ip=rule.cidr_ipv4, description=rule.description or None) for rule in rules if rule.cidr_ipv4),
        ipv6_ranges=tuple(
            shapes.Ipv6Range(cidr_ipv6=rule.cidr_ipv6, description=rule.description or None) for rule in rules if rule.cidr_ipv6
        ),
        user_id_group_pairs=tuple(
            shapes.UserIdGroupPair(group_id=rule.referenced_group_id, user_id=owner_id, description=rule.description or None)
            for rule in rules
            if rule.referenced_group_id
        ),
        prefix_list_ids=(),
    )
