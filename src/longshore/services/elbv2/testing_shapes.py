"""Shapes of LongshoreTestRequest, by which a load balancer is asked what it would do with a request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct

from longshore.aws.protocol import form
from longshore.aws.protocol.model import Members, Node, OperationShape, Out
from longshore.aws.protocol.xml import boolean, escape

MOST_HEADERS = 64
Url = Annotated[str, Meta(min_length=1, max_length=8192)]
Method = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"\A[A-Za-z_-]+\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"\A[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")]
Value = Annotated[str, Meta(max_length=8192)]


class Header(Struct, frozen=True, kw_only=True, rename="pascal"):
    name: Name
    value: Value = ""


class RequestInput(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    load_balancer_arn: str
    #: whole, or a path alone
    url: Url
    method: Method | None = None
    headers: Annotated[tuple[Header, ...], Meta(max_length=MOST_HEADERS)] | None = None
    #: whom the request comes from; this machine unless given
    source_ip: Annotated[str, Meta(max_length=64)] | None = None


class Condition(Struct, frozen=True, kw_only=True, rename="pascal"):
    field: str
    #: true, false or unknown
    holds: str
    #: the value that holds, or what the request has in its place
    reason: str


class TestedRule(Struct, frozen=True, kw_only=True, rename="pascal"):
    rule_arn: str
    #: a number, or default
    priority: str
    #: true, false or unknown
    matches: str
    is_chosen: bool
    conditions: tuple[Condition, ...] = ()


class Group(Struct, frozen=True, kw_only=True, rename="pascal"):
    target_group_arn: str
    weight: int
    targets: int
    healthy_targets: int
    #: of clients that have been here before: what keeps them with a target, and for how many seconds
    stickiness: str = ""


class RequestOutput(Struct, frozen=True, kw_only=True, rename="pascal"):
    listener_arn: str
    rules: tuple[TestedRule, ...]
    #: whether every rule up to the one that is chosen could be decided
    is_certain: bool
    #: what is done before, and then: forward, redirect, fixed-response
    actions: tuple[str, ...]
    target_groups: tuple[Group, ...] = ()
    #: AWSALBTG for so many seconds; empty where a client may get another group each time
    group_stickiness: str = ""
    #: that the load balancer answers with itself; 0 where a target does
    status_code: int = 0
    location: str = ""
    #: what a target sees, where a transform makes it differ
    host: str = ""
    path: str = ""
    #: why nobody would get the request
    problem: str = ""


_HEADER: Members = {"Name": ("Name", form.text), "Value": ("Value", form.text)}


def _read_header(node: Node) -> dict[str, object]:
    return form.members(node, _HEADER)


_INPUT: Members = {
    "LoadBalancerArn": ("LoadBalancerArn", form.text),
    "Url": ("Url", form.text),
    "Method": ("Method", form.text),
    "Headers": ("Headers", form.listed(_read_header, "member")),
    "SourceIp": ("SourceIp", form.text),
}


def _read(node: Node) -> dict[str, object]:
    return form.members(node, _INPUT)


def _write(out: Out, value: RequestOutput) -> None:
    _element(out, "ListenerArn", value.listener_arn)
    out("<Rules>")
    for rule in value.rules:
        out("<member>")
        _elements(out, RuleArn=rule.rule_arn, Priority=rule.priority, Matches=rule.matches, IsChosen=boolean(rule.is_chosen))
        out("<Conditions>")
        for condition in rule.conditions:
            out("<member>")
            _elements(out, Field=condition.field, Holds=condition.holds, Reason=condition.reason)
            out("</member>")
        out("</Conditions></member>")
    out("</Rules>")
    _element(out, "IsCertain", boolean(value.is_certain))
    _texts(out, "Actions", value.actions)
    out("<TargetGroups>")
    for group in value.target_groups:
        out("<member>")
        _elements(out, TargetGroupArn=group.target_group_arn, Weight=str(group.weight))
        _elements(out, Targets=str(group.targets), HealthyTargets=str(group.healthy_targets), Stickiness=group.stickiness)
        out("</member>")
    out("</TargetGroups>")
    _elements(out, GroupStickiness=value.group_stickiness, StatusCode=str(value.status_code), Location=value.location)
    _elements(out, Host=value.host, Path=value.path, Problem=value.problem)


def _elements(out: Out, **texts: str) -> None:
    for name, text in texts.items():
        _element(out, name, text)


def _element(out: Out, name: str, text: str) -> None:
    out(f"<{name}>{escape(text)}</{name}>")


def _texts(out: Out, name: str, texts: Iterable[str]) -> None:
    out(f"<{name}>")
    for text in texts:
        _element(out, "member", text)
    out(f"</{name}>")


TEST = OperationShape(
    "LongshoreTestRequest",
    RequestInput,
    RequestOutput,
    result_wrapper="LongshoreTestRequestResult",
    read=_read,
    write=_write,
)
