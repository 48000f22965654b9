"""A listener of an application load balancer as a frontend: rules, headers, and what is answered without a target.

In this order, which HAProxy keeps: what no target is to see (guards.py), the choice of a rule (rules.py) and what it does
(actions/, auth.py), what targets are told (forwarded.py), what the rule changes, the way to a backend. Pure.
"""

from __future__ import annotations

from longshore.balancer.render.actions.forward import all_actions, divides, keeps_together, ticket_lines
from longshore.balancer.render.auth import entry_lines
from longshore.balancer.render.bodies import Bodies
from longshore.balancer.render.client_certificates import client_certificate_lines
from longshore.balancer.render.fail_open import open_lines
from longshore.balancer.render.forwarded import forwarded_lines, host_lines
from longshore.balancer.render.guards import guard_lines
from longshore.balancer.render.listener_attributes import response_lines
from longshore.balancer.render.rules import rule_lines
from longshore.balancer.render.timeouts import idle_s
from longshore.balancer.snapshot import Front
from longshore.balancer.words import NOBODY, OPEN

#: names that become those of ours, or of HTTP's own, where `_` is read as `-`
_DISGUISED = "^(x_(amz|forwarded)|x-(amzn|forwarded).*_|transfer_encoding|content_length)"


def http_lines(front: Front, bodies: Bodies, secret: str, refused: dict[str, str]) -> list[str]:
    """Everything behind its addresses. A rule that cannot be said is left out, and why is put into `refused` under its ARN."""
    rules = rule_lines(front, bodies, secret, refused)
    most_idle_s = idle_s(front.load_balancer)
    lines = [
        # A head that comes byte by byte is not idle, and yet has to be over some time.
        f"timeout http-request {most_idle_s}s",
        f"timeout http-keep-alive {most_idle_s}s",
        *_kept_alive(front),
        *guard_lines(front.load_balancer),
    ]
    if _asks_for_host(front):
        lines.append("http-request set-var(txn.host) req.hdr(host),host_only,lower")
    lines += [
        # Nobody but us says who somebody is, and from where.
        "http-request del-header X-Amzn-Oidc -m beg",
        # Many a server reads `_` as `-`. The expression would cost each request more than looking for one that has it.
        f"http-request del-header '{_DISGUISED}' -m reg if {{ req.hdr_names -m sub _ }}",
        *entry_lines(front),
        *rules.choices,
        *rules.actions,
        *forwarded_lines(front),
        *client_certificate_lines(front),
        *host_lines(front),
        *rules.changes,
    ]
    if keeps_together(front):
        lines += ticket_lines()
    return [*lines, *response_lines(front), *_way(front)]


def _asks_for_host(front: Front) -> bool:
    return any(condition.host_header_config is not None for rule in front.rules for condition in rule.conditions) or any(
        len(actions) > 1 for actions in all_actions(front)
    )


def _kept_alive(front: Front) -> list[str]:
    """A connection that has been there long enough ends with its next answer. (One of HTTP/2 goes on.)

    Nothing waits for the hour that is the default, and looking at the clock would cost every answer something.
    """
    seconds = front.load_balancer.attributes.get("client_keep_alive.seconds")
    if seconds is None:
        return []
    return [
        "tcp-request session set-var(sess.since) date",
        f"http-after-response set-header Connection close if {{ date,sub(sess.since) ge {int(seconds)} }}",
    ]


def _way(front: Front) -> list[str]:
    to = "var(txn.r),field(2,|)"
    lines: list[str] = []
    if divides(front):
        to = "var(txn.tg)"
        lines.append("http-request set-var(txn.tg) 'var(txn.r),field(2,|)' if !{ var(txn.tg) -m found }")
    lines += open_lines(front, to)
    # While it hands over to a new worker, an old one counts none of its servers as usable.
    lines.append(f"use_backend %[{to}] if {{ {to},nbsrv gt 0 }} || {{ stopping }}")
    if front.fails_open:
        lines.append(f"use_backend %[{to}]{OPEN} if {{ {to},concat({OPEN}),nbsrv gt 0 }}")
    return [*lines, f"default_backend {NOBODY}"]
