"""What resources have in common whose names the platform gives: `task/web/6f2c…` is a task of the cluster web, whichever.

Only identifiers that nobody chooses give way to a wildcard: the next task, the next revision, the load balancer made anew under its
old name have other ones. What people name themselves (clusters, services, repositories, roles, secrets) stays as it is, and so does what
has nothing but such an identifier (a certificate, a subnet), since a wildcard there would mean everything. A request that is about all of
a kind is asked about with a wildcard, and is allowed by one. Pure.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_ID = "[0-9a-f-]{12,64}"


class Rule(NamedTuple):
    """Of resources of one service: the part that stays, and what the rest gives way to."""

    service: str
    pattern: re.Pattern[str]
    rest: str
    #: for people
    words: str


def _rule(service: str, stays: str, goes: str, rest: str, words: str) -> Rule:
    return Rule(service, re.compile(f"({stays}){goes}"), rest, words)


RULES = (
    _rule("ecs", r"task/[^/*?$]+/", _ID, "*", "any task of the cluster"),
    _rule("ecs", r"container-instance/[^/*?$]+/", _ID, "*", "any container instance of the cluster"),
    _rule("ecs", r"task-set/[^/*?$]+/[^/*?$]+/", r"ecs-svc/\d+", "*", "any task set of the service"),
    _rule("ecs", r"service-(?:deployment|revision)/[^/*?$]+/[^/*?$]+/", r"[A-Za-z0-9_-]{8,64}", "*", "any deployment of the service"),
    _rule("ecs", r"task-definition/[^/:*?$]+:", r"\d+", "*", "any revision of the family"),
    _rule("elasticloadbalancing", r"loadbalancer/(?:app|net)/[^/*?$]+/", "[0-9a-f]{16}", "*", "the load balancer of that name, made anew"),
    _rule("elasticloadbalancing", r"targetgroup/[^/*?$]+/", "[0-9a-f]{16}", "*", "the target group of that name, made anew"),
    _rule("elasticloadbalancing", r"listener/(?:app|net)/[^/*?$]+/", "[0-9a-f]{16}/[0-9a-f]{16}", "*", "any listener of the load balancer"),
    _rule(
        *("elasticloadbalancing", r"listener-rule/(?:app|net)/[^/*?$]+/", "[0-9a-f]{16}/[0-9a-f]{16}/[0-9a-f]{16}"),
        *("*", "any rule of the load balancer"),
    ),
    _rule("elasticloadbalancing", r"truststore/[^/*?$]+/", "[0-9a-f]{16}", "*", "the trust store of that name, made anew"),
    _rule("secretsmanager", r"secret:[^*?$]+-", "[A-Za-z0-9]{6}", "??????", "the secret of that name, made anew"),
)


class Pattern(NamedTuple):
    pattern: str
    words: str


def generalised(resource: str) -> Pattern | None:
    """The pattern that takes the place of a resource in policies; None where it is named as it is."""
    parts = resource.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn":
        return None
    if parts[5][-2:] in ("/*", ":*") and not set("*?$") & set(parts[5][:-1]):
        return Pattern(resource, "it was asked about all of them")
    for rule in RULES:
        if rule.service == parts[2] and (found := rule.pattern.fullmatch(parts[5])) is not None:
            return Pattern(":".join((*parts[:5], found[1] + rule.rest)), rule.words)
    return None


def literal(resource: str) -> str:
    """The pattern that matches a resource and nothing else, whatever stands in it."""
    return "*" if resource == "*" else re.sub(r"[*?]|\$(?=[{])", lambda found: f"${{{found[0]}}}", resource)
