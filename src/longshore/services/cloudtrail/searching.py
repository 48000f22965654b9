"""What is asked of the audit log, as a query of it: LookupEvents' attributes, and the filters of `longshore audit`. Pure.

Each filter gives bytes that a record must have in it, by which most are passed over unread, and a question to those that have them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from longshore.audit.lookup import Query, Seen
from longshore.services.cloudtrail.errors import InvalidLookupAttributesException

#: codes of refusals for want of permission
DENIALS = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "DENIED")

_ACCOUNT = re.compile(r"[0-9]{12}")

Holds = Callable[[Seen], bool]
#: (bytes in the record, question)
Filter = tuple[bytes, Holds]


def attribute(key: str, value: str) -> Filter:
    """An attribute of LookupEvents. Raises InvalidLookupAttributesException."""
    match key:
        case "EventId":
            return _member("eventID", value), lambda seen: seen.event_id == value
        case "EventName":
            return _member("eventName", value), lambda seen: seen.event_name == value
        case "EventSource":
            return _member("eventSource", value), lambda seen: seen.event_source == value
        case "AccessKeyId":
            return _member("accessKeyId", value), lambda seen: seen.identity.access_key_id == value
        case "Username":
            return _text(value) if value != "root" else b'"Root"', lambda seen: seen.identity.name == value
        case "ReadOnly" if value in ("true", "false"):
            return f'"readOnly":{value}'.encode(), lambda seen: seen.read_only == (value == "true")
        case "ResourceType":
            return _text(value), lambda seen: any(resource.type == value for resource in seen.resources)
        case "ResourceName":
            return _text(value), lambda seen: any(names(resource.arn, value) for resource in seen.resources)
        case _:
            raise InvalidLookupAttributesException(f"The lookup attribute {key} does not take the value {value[:100]!r}.")


def names(arn: str, name: str) -> bool:
    """Whether `name` is the ARN, or ends it: a name, cluster/name, a name with its path."""
    return arn == name or (arn.endswith(name) and arn[-len(name) - 1] in "/:")


def done_by(who: str) -> Filter:
    """`who`: an ARN (a role's stands for its sessions), an access key id, an account id (whoever is of that account), or a name."""
    if _ACCOUNT.fullmatch(who):
        return _text(who), lambda seen: who in (seen.identity.account_id, seen.identity.name)
    role = who.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/" if ":role/" in who else None

    def holds(seen: Seen) -> bool:
        identity = seen.identity
        if role is not None and identity.arn.startswith(role):
            return True
        return who in (identity.arn, identity.access_key_id, identity.name) or f"/{who}/" in identity.arn

    return (_text(who.rpartition("/")[2]) if role is None else _text(role), holds) if who != "root" else (b'"Root"', holds)


def doing(action: str) -> Filter:
    """`ecs:RunTask`, or the operation alone."""
    prefix, _, name = action.rpartition(":")
    return _member(
        "eventName", name
    ), lambda seen: seen.event_name == name and (not prefix or seen.event_source.partition(".")[0] == prefix)


def to(resource: str) -> Filter:
    """An ARN, or what ends one."""
    return _text(resource), lambda seen: any(names(each.arn, resource) for each in seen.resources)


def failed() -> Filter:
    return b'"errorCode":', lambda seen: bool(seen.error_code)


def denied() -> Filter:
    return b'"errorCode":', lambda seen: seen.error_code in DENIALS


def query_of(filters: tuple[Filter, ...], *, account_id: str, region: str = "", since: float = 0.0, until: float = float("inf")) -> Query:
    """Empty `account_id` and `region` stand for any. What was given first is what is looked for first."""
    where: list[Filter] = []
    if account_id:
        where.append((_member("recipientAccountId", account_id), lambda seen: seen.recipient == account_id))
    if region:
        where.append((_member("awsRegion", region), lambda seen: seen.region == region))
    asked = (*filters, *where)
    return Query(tuple(needle for needle, _ in asked), lambda seen: all(holds(seen) for _, holds in asked), since, until)


def _member(name: str, value: str) -> bytes:
    return b'"' + name.encode() + b'":' + msgspec.json.encode(value)


def _text(value: str) -> bytes:
    """As it stands inside a string of a record."""
    return msgspec.json.encode(value)[1:-1]
