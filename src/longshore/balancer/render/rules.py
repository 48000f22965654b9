"""A listener's rules as HAProxy's request rules: the first that holds decides, once, and says so in `txn.r`.

`txn.r` is `PRIORITY|BACKEND`, or `PRIORITY|-` where more is to be done than forward to one group; 0 is the default rule's
priority. `txn.tg` is the backend that the request goes to where `txn.r` does not say it. Rules in a row that can be looked up
together are (tables.py); the others are compared one by one. What a chosen rule does comes after all that choose. Pure.
"""

from __future__ import annotations

import re

import msgspec

from longshore.balancer.render.actions import action_lines, chosen, decision
from longshore.balancer.render.auth import asks, authentication_lines
from longshore.balancer.render.bodies import Bodies
from longshore.balancer.render.conditions import acl_lines
from longshore.balancer.render.pages import error as page_line
from longshore.balancer.render.tables import LEAST, UNLESS_CHOSEN, Keys, Row, fits, keys_of, row_lines
from longshore.balancer.render.transforms import transform_lines
from longshore.balancer.snapshot import Front, keeps_out
from longshore.balancer.words import Unrenderable, quoted
from longshore.services.elbv2.model import Rule


class Rules(msgspec.Struct, frozen=True):
    """Lines, in the order in which they have to come."""

    choices: list[str]
    actions: list[str]
    #: of requests on their way to a target
    changes: list[str]


class Spoken(list[str]):
    """Lines that choose one rule, and what it takes to look it up with others instead."""

    keys: Keys | None = None
    decision: str = ""


def about(arn: str) -> str:
    """A comment that says whose the lines after it are."""
    if not re.fullmatch(r"arn:[A-Za-z0-9:/._-]+", arn):
        raise Unrenderable(f"{arn!r} is no ARN")
    return f"# {arn}"


def rule_lines(front: Front, bodies: Bodies, secret: str, refused: dict[str, str]) -> Rules:
    """What chooses a rule and does what it says, unless that is to forward to one group.

    A rule that cannot be said is left out, and why is put into `refused` under its ARN. Where it keeps people out, nobody gets past it.
    """
    spoken: list[Spoken] = []
    actions: list[str] = []
    changes: list[str] = []
    for number, rule in enumerate(front.rules):
        if rule.arn in front.closed:
            spoken.append(_closed(rule))
            continue
        try:
            choice, action, change = _rule(number, rule, front, bodies, secret)
        except (Unrenderable, KeyError, ValueError) as error:
            refused[rule.arn] = str(error)
            if keeps_out(rule):
                spoken.append(_closed(rule))
            continue
        spoken.append(choice)
        actions += action
        changes += change
    default = front.listener.default_actions
    otherwise = decision(0, default)
    choices = [
        *_chosen(spoken, front, bodies),
        about(front.listener.arn),
        f"http-request set-var(txn.r) {quoted(f'str({otherwise})')} {UNLESS_CHOSEN}",
    ]
    actions += [
        about(front.listener.arn),
        *authentication_lines(otherwise, default, front.listener.arn, front, bodies.keys),
        *action_lines(otherwise, default, front, bodies, secret),
    ]
    return Rules(choices, actions, [*changes, about(front.listener.arn)] if changes else [])


def _closed(rule: Rule) -> Spoken:
    """For want of knowing whom the rule is for, everybody who has come this far."""
    return Spoken([about(rule.arn), page_line(500, "Internal Server Error", f" {UNLESS_CHOSEN}")])


def _rule(number: int, rule: Rule, front: Front, bodies: Bodies, secret: str) -> tuple[Spoken, list[str], list[str]]:
    """(what chooses it, lines that carry it out, lines that change the request)."""
    spoken = Spoken([about(rule.arn)])
    names: list[str] = []
    for position, condition in enumerate(rule.conditions):
        names.append(f"r{number}_{position}")
        spoken += acl_lines(names[-1], condition)
    if not names:
        raise Unrenderable("a rule without a condition")
    spoken.decision = decision(rule.priority, rule.actions)
    spoken.keys = keys_of(rule.conditions)
    spoken.append(f"http-request set-var(txn.r) {quoted(f'str({spoken.decision})')} if !{{ var(txn.r) -m found }} {' '.join(names)}")
    actions = [
        *authentication_lines(spoken.decision, rule.actions, rule.arn, front, bodies.keys),
        *action_lines(spoken.decision, rule.actions, front, bodies, secret),
    ]
    changes = transform_lines(rule.transforms, chosen(spoken.decision))
    return spoken, _about(rule, actions), _about(rule, changes)


def _about(rule: Rule, lines: list[str]) -> list[str]:
    return [about(rule.arn), *lines] if lines else []


def _chosen(choices: list[Spoken], front: Front, bodies: Bodies) -> list[str]:
    lines: list[str] = []
    position = 0
    while position < len(choices):
        row, end = _row(choices, position)
        if row is not None:
            # Whatever is wrong with a table is nobody's alone.
            lines.append(about(front.listener.arn))
            lines += row_lines(row, bodies, is_first=position == 0 and not asks(front))
            position = end
        else:
            lines += choices[position]
            position += 1
    return lines


def _row(choices: list[Spoken], start: int) -> tuple[Row | None, int]:
    """(the rules from `start` on that can be looked up together, where they end); None unless there are enough of them."""
    first = choices[start].keys
    if first is None:
        return None, start
    row = Row(first.field)
    end = start
    for choice in choices[start:]:
        if choice.keys is None or not fits(row, choice.keys):
            break
        row.rules.append((choice.keys, choice.decision))
        end += 1
    return (row, end) if len(row.rules) >= LEAST else (None, start)
