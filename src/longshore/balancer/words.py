"""How things are called and quoted in HAProxy's configuration.

Whatever a client supplied goes through `quoted` (or `argument`, inside the parentheses of a sample fetch): nothing of it can
end the word it stands in. Control characters cannot be said at all and are refused. Pure.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address

from longshore.services.elbv2.model import Target, TargetGroup

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NAME = re.compile(r"[A-Za-z0-9._:-]{1,200}")
#: a flag that makes `#` begin a comment
_COMMENTS = re.compile(r"\(\?\^?[a-zA-Z-]*x")
#: of a regular expression
_MOST_STEPS = 50_000
_GROUP_ARN = re.compile(r"arn:aws:elasticloadbalancing:[a-z0-9-]+:\d+:targetgroup/([A-Za-z0-9-]+)/([A-Za-z0-9-]+)")
#: suffix of the backend that serves a group none of whose targets is healthy
OPEN = ".open"
#: suffix of a frontend's name that says: it has its port on 127.0.0.1 for itself, too
LOCAL = "_local"
#: the same of its load balancer's address for containers
LINKED = "_link"


class Unrenderable(ValueError):
    """Says what cannot be said in a configuration, and of what."""


def quoted(text: str) -> str:
    """One word, literally: HAProxy expands nothing between single quotes."""
    if _CONTROL.search(text):
        raise Unrenderable(f"{text!r} contains a control character")
    return "'" + text.replace("'", "'\\''") + "'"


def argument(text: str) -> str:
    """`text` as an argument within the parentheses of a fetch, where HAProxy takes quotes away a second time."""
    return "'" + text.replace("'", "'\\''") + "'"


def literal(text: str) -> str:
    """`text` inside a log-format string, in which `%` begins a variable."""
    return text.replace("%", "%%")


def bounded(regex: str) -> str:
    """What finds the same as `regex` within so many steps, and beyond them nothing: some milliseconds (50 ms were the worst).

    By itself HAProxy's engine may take ten million steps from every character on, which is longer than HAProxy's own watchdog lets
    any thread be: one request could end the process. So all places are tried within one attempt.
    """
    if _COMMENTS.search(regex):
        raise Unrenderable(f"{regex!r} may have comments, which could hide its end")
    return f"(*LIMIT_MATCH={_MOST_STEPS})^(?s:.*?)\\K(?:{regex})"


#: where requests go that find no target
NOBODY = "nobody"


def backend_name(group_arn: str) -> str:
    """tg-NAME-ID: unique over accounts and regions, since the id is."""
    found = _GROUP_ARN.fullmatch(group_arn)
    if found is None:
        raise Unrenderable(f"{group_arn!r} is no target group's ARN")
    return f"tg-{found[1]}-{found[2]}"


def server_name(target: Target) -> str:
    """ID_ADDRESS:PORT. Says where the server is, so that a target that moved is another server."""
    name = f"{target.id.rpartition('/')[2]}_{target.address}:{target.port}"
    if not _NAME.fullmatch(name.replace("_", "-")):
        raise Unrenderable(f"{name!r} is no target")
    return name


def address_of(slot: int, network: str) -> str:
    """The loopback address of load balancer number `slot`; `network` is 127.0.2. for instance, continued in 127.0.3."""
    first = IPv4Address(f"{network}0")
    return str(first + (slot - 1) // 254 * 256 + (slot - 1) % 254 + 1)


def algorithm(group: TargetGroup) -> str:
    if group.protocol in ("TCP", "TLS"):
        is_sticky = group.attributes.get("stickiness.enabled") == "true"
        return "source" if is_sticky else "roundrobin"
    wanted = group.attributes.get("load_balancing.algorithm.type", "round_robin")
    return {"least_outstanding_requests": "leastconn", "weighted_random": "random(1)"}.get(wanted, "roundrobin")
