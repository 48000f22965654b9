"""A listener's rules as HAProxy's request rules: the first that holds decides, once, and says so in `txn.r`.

`txn.r` is `PRIORITY|BACKEND`, or `PRIORITY|-` where more is to be done than forward to one group; 0 is the default rule's
priority. `txn.tg` is then the backend that the request goes to. Pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.render.auth import KeyFiles, authentication_lines
from longshore.balancer.render.conditions import acl_lines
from longshore.balancer.snapshot import Front
from longshore.balancer.words import Unrenderable, backend_name, literal, quoted
from longshore.services.elbv2.model import Rule

_PLACEHOLDER = re.compile(r"#\{(protocol|host|port|path|query)\}")
_NOBODY = "-"


def about(arn: str) -> str:
    """A comment that says whose the lines after it are."""
    if not re.fullmatch(r"arn:[A-Za-z0-9:/._-]+", arn):
        raise Unrenderable(f"{arn!r} is no ARN")
    return f"# {arn}"


class Bodies:
    """Contents of fixed responses, each in a file of its own named by what is in it: any text is safe there."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self.files: dict[str, bytes] = {}
        self.keys = KeyFiles(directory, self.files)

    def path(self, text: str) -> str:
        content = text.encode()
        path = f"{self._directory}/{hashlib.sha256(content).hexdigest()[:32]}"
        self.files[path] = content
        return path


def rule_lines(front: Front, bodies: Bodies, secret: str, refused: dict[str, str]) -> list[str]:
    """Chooses the rule, answers what is answered here, and leaves `txn.tg` set for what is forwarded.

    A rule that cannot be said is left out, and why is put into `refused` under its ARN.
    """
    chosen: list[str] = []
    actions: list[str] = []
    for number, rule in enumerate(front.rules):
        try:
            choice, action = _rule(number, rule, front, bodies, secret)
        except (Unrenderable, KeyError, ValueError) as error:
            refused[rule.arn] = str(error)
            continue
        chosen += choice
        actions += action
    chosen.append(about(front.listener.arn))
    decision = _decision(0, front.listener.default_actions)
    chosen.append(f"http-request set-var(txn.r) {quoted(f'str({decision})')} if !{{ var(txn.r) -m found }}")
    actions += [
        about(front.listener.arn),
        *authentication_lines(decision, front.listener.default_actions, front.listener.arn, front, bodies.keys),
    ]
    actions += _action_lines(decision, front.listener.default_actions, front, bodies, secret)
    actions.append("http-request set-var(txn.tg) 'var(txn.r),field(2,|)' if !{ var(txn.tg) -m found }")
    return chosen + actions


def _rule(number: int, rule: Rule, front: Front, bodies: Bodies, secret: str) -> tuple[list[str], list[str]]:
    """(lines that choose it, lines that carry it out)."""
    chosen = [about(rule.arn)]
    names: list[str] = []
    for position, condition in enumerate(rule.conditions):
        names.append(f"r{number}_{position}")
        chosen += acl_lines(names[-1], condition)
    if not names:
        raise Unrenderable("a rule without a condition")
    decision = _decision(rule.priority, rule.actions)
    chosen.append(f"http-request set-var(txn.r) {quoted(f'str({decision})')} if !{{ var(txn.r) -m found }} {' '.join(names)}")
    actions = _action_lines(decision, rule.actions, front, bodies, secret)
    actions = [*authentication_lines(decision, rule.actions, rule.arn, front, bodies.keys), *actions]
    return chosen, [about(rule.arn), *actions] if actions else []


def _decision(priority: int, actions: tuple[shapes.Action, ...]) -> str:
    groups = _weighted(_last(actions))
    return f"{priority}|{groups[0][0] if len(groups) == 1 else _NOBODY}"


def _last(actions: tuple[shapes.Action, ...]) -> shapes.Action:
    if not actions:
        raise Unrenderable("a rule without an action")
    return actions[-1]


def _weighted(action: shapes.Action) -> list[tuple[str, int]]:
    """(backend, weight) of each group that gets anything."""
    if action.type != "forward":
        return []
    config = action.forward_config
    groups = (config.target_groups if config else None) or (shapes.TargetGroupTuple(target_group_arn=action.target_group_arn, weight=1),)
    return [
        (backend_name(group.target_group_arn or ""), 1 if group.weight is None else group.weight) for group in groups if group.weight != 0
    ]


def _action_lines(decision: str, actions: tuple[shapes.Action, ...], front: Front, bodies: Bodies, secret: str) -> list[str]:
    action = _last(actions)
    when = f"if {{ var(txn.r) -m str {quoted(decision)} }}"
    match action.type:
        case "fixed-response":
            return [f"{_fixed_response(action, bodies)} {when}"]
        case "redirect":
            return _redirects(action, front, when)
        case "forward":
            return _split(action, when, secret)
    raise Unrenderable(f"an action of type {action.type!r}")


def _fixed_response(action: shapes.Action, bodies: Bodies) -> str:
    config = action.fixed_response_config
    if config is None or not re.fullmatch(r"[2-5]\d\d", config.status_code):
        raise Unrenderable("a fixed response without a status")
    content = ""
    if config.message_body and config.status_code != "204":  # which has none, whatever is given
        content = f" content-type {quoted(config.content_type or 'text/plain')} file {quoted(bodies.path(config.message_body))}"
    return f"http-request return status {config.status_code}{content} hdr Server awselb/2.0"


def _redirects(action: shapes.Action, front: Front, when: str) -> list[str]:
    config = action.redirect_config
    if config is None:
        raise Unrenderable("a redirect without a destination")
    code = {"HTTP_301": 301, "HTTP_302": 302}[config.status_code]
    known = {
        "protocol": front.listener.protocol.lower(),
        "host": "%[var(txn.host)]",
        "port": str(front.port),
        "path": "%[path,regsub(^/,)]",
        "query": "%[query]",
    }
    protocol = _filled((config.protocol or "#{protocol}").lower(), known)
    host = _filled(config.host or "#{host}", known)
    port = _filled(config.port or "#{port}", known)
    path = _filled(config.path or "/#{path}", known)
    wanted_query = "#{query}" if config.query is None else config.query
    place = f"{protocol}://{host}:{port}{path}"
    line = "http-request redirect location {} code {} {}"
    if not wanted_query:
        return [line.format(quoted(place), code, when)]
    with_query = line.format(quoted(f"{place}?{_filled(wanted_query, known)}"), code, when)
    if wanted_query != "#{query}":
        return [with_query]
    return [f"{with_query} {{ query -m len gt 0 }}", line.format(quoted(place), code, when)]


def _filled(text: str, known: dict[str, str]) -> str:
    parts: list[str] = []
    position = 0
    for found in _PLACEHOLDER.finditer(text):
        parts += [literal(text[position : found.start()]), known[found[1]]]
        position = found.end()
    return "".join([*parts, literal(text[position:])])


def _split(action: shapes.Action, when: str, secret: str) -> list[str]:
    """A forward to several groups: by weight, or to the group that the AWSALBTG cookie tells."""
    groups = _weighted(action)
    if len(groups) < 2:
        return []
    stickiness = action.forward_config.target_group_stickiness_config if action.forward_config else None
    is_sticky = stickiness is not None and bool(stickiness.enabled)
    lines: list[str] = []
    if is_sticky:
        for backend, _ in groups:
            known = f"{{ req.cook(AWSALBTG) -m str {_ticket(backend, secret)} }}"
            lines.append(f"http-request set-var(txn.tg) str({backend}) {when} {known}")
    total = sum(weight for _, weight in groups)
    lines.append(f"http-request set-var(txn.w) rand({total}) {when}")
    reached = 0
    for backend, weight in groups:
        reached += weight
        lines.append(f"http-request set-var(txn.tg) str({backend}) {when} !{{ var(txn.tg) -m found }} {{ var(txn.w) -m int lt {reached} }}")
    if is_sticky and stickiness is not None:
        for backend, _ in groups:
            here = f"{{ var(txn.tg) -m str {backend} }}"
            lines.append(f"http-request set-var(txn.ticket) str({_ticket(backend, secret)}) {when} {here}")
        lines.append(f"http-request set-var(txn.keep) int({int(stickiness.duration_seconds or 1)}) {when}")
    return lines


def ticket_lines() -> list[str]:
    """Hands out the cookie that keeps a client with the group it got."""
    until = "Expires=%[date,add(txn.keep),http_date]; Path=/"
    when = "if { var(txn.ticket) -m found }"
    return [
        f"http-response add-header Set-Cookie {quoted(f'AWSALBTG=%[var(txn.ticket)]; {until}')} {when}",
        f"http-response add-header Set-Cookie {quoted(f'AWSALBTGCORS=%[var(txn.ticket)]; {until}; SameSite=None; Secure')} {when}",
    ]


def is_sticky(front: Front) -> bool:
    """Whether any rule keeps clients with the group they got."""
    return any(_keeps(actions) for actions in (front.listener.default_actions, *(rule.actions for rule in front.rules)))


def _keeps(actions: Iterable[shapes.Action]) -> bool:
    return any(
        action.forward_config is not None
        and action.forward_config.target_group_stickiness_config is not None
        and bool(action.forward_config.target_group_stickiness_config.enabled)
        and len(_weighted(action)) > 1
        for action in actions
    )


def _ticket(backend: str, secret: str) -> str:
    return hashlib.blake2b(backend.encode(), key=secret.encode()[:64], digest_size=16).hexdigest()
