"""A listener of an application load balancer as a frontend: rules, headers, and what is answered without a target. Pure."""

from __future__ import annotations

from longshore.balancer.render.auth import entry_lines
from longshore.balancer.render.pages import error
from longshore.balancer.render.rules import Bodies, is_sticky, rule_lines, ticket_lines
from longshore.balancer.snapshot import Front
from longshore.balancer.words import NOBODY, OPEN


def http_lines(front: Front, bodies: Bodies, secret: str, refused: dict[str, str]) -> list[str]:
    """Everything behind its addresses. A rule that cannot be said is left out, and why is put into `refused` under its ARN."""
    lines = [
        "http-request set-var(txn.host) req.hdr(host),host_only,lower",
        error(405, "Method Not Allowed", " if METH_TRACE"),
        "http-request return status 463 hdr Server awselb/2.0 if { req.hdr_cnt(X-Forwarded-For) gt 30 }",
        "http-request del-header X-Amzn-Oidc- -m beg",
        *entry_lines(front),
        *rule_lines(front, bodies, secret, refused),
        *_forwarded_headers(front),
    ]
    if is_sticky(front):
        lines += ticket_lines()
    return [
        *lines,
        # While it hands over to a new worker, an old one counts none of its servers as usable.
        "use_backend %[var(txn.tg)] if { var(txn.tg),nbsrv gt 0 } || { stopping }",
        f"use_backend %[var(txn.tg)]{OPEN} if {{ var(txn.tg),concat({OPEN}),nbsrv gt 0 }}",
        f"default_backend {NOBODY}",
    ]


def _forwarded_headers(front: Front) -> list[str]:
    attributes = front.load_balancer.attributes
    peer = "%[src]:%[src_port]" if attributes.get("routing.http.xff_client_port.enabled") == "true" else "%[src]"
    lines: list[str] = []
    match attributes.get("routing.http.xff_header_processing.mode", "append"):
        case "append":
            lines = [
                "http-request set-var(txn.xff) req.fhdr(x-forwarded-for)",
                f"http-request set-header X-Forwarded-For '%[var(txn.xff)], {peer}' if {{ var(txn.xff) -m found }}",
                f"http-request set-header X-Forwarded-For '{peer}' if !{{ var(txn.xff) -m found }}",
            ]
        case "remove":
            lines = ["http-request del-header X-Forwarded-For"]
    trace = "X-Amzn-Trace-Id"
    return [
        *lines,
        f"http-request set-header X-Forwarded-Proto {front.listener.protocol.lower()}",
        f"http-request set-header X-Forwarded-Port {front.port}",
        # A version, the time in seconds, 96 random bits. (`uuid` would do, at a tenth of the time a request takes.)
        f"http-request set-var-fmt(txn.id) '1-%[date,hex,bytes(8,8),lower]-{'%[rand,hex,bytes(8,8),lower]' * 3}'",
        f"http-request replace-header {trace} '^(Self=[^;]*;)?(.*)$' 'Self=%[var(txn.id)];\\2' if {{ req.hdr({trace}) -m found }}",
        f"http-request set-header {trace} 'Root=%[var(txn.id)]' if !{{ req.hdr({trace}) -m found }}",
    ]
