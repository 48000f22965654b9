"""What targets are told about where a request comes from: X-Forwarded-*, X-Amzn-*, and Host. Pure.

Every line here costs each request something, so that what is seldom needed stands behind a condition, and what a client has not
sent is added without looking for it again.
"""

from __future__ import annotations

from longshore.balancer.render.listener_attributes import request_header
from longshore.balancer.snapshot import Front

_XFF = "x-forwarded-for"
_TRACE = "X-Amzn-Trace-Id"
#: A version, the time in seconds, and 24 digits: random, each eight of them the same length without filling up, which is what
#: would take the time. (Twelve hexadecimal bytes cost twice as much, `uuid` five times.)
_TRACE_ID = "1-%[date,hex,bytes(8,8),lower]-" + "%[rand(90000000),add(10000000)]" * 3
_DEFAULT_PORTS = (80, 443)


def forwarded_lines(front: Front) -> list[str]:
    attributes = front.load_balancer.attributes
    lines = _forwarded_for(attributes.get("routing.http.xff_header_processing.mode", "append"), front)
    lines += [
        f"http-request set-header X-Forwarded-Proto {'https' if front.listener.protocol == 'HTTPS' else 'http'}",
        f"http-request set-header X-Forwarded-Port {front.port}",
        f"http-request replace-header {_TRACE} '^(Self=[^;]*;)?(.*)$' 'Self={_TRACE_ID};\\2' if {{ req.hdr({_TRACE}) -m found }}",
        f"http-request add-header {_TRACE} 'Root={_TRACE_ID}' if !{{ req.hdr({_TRACE}) -m found }}",
    ]
    is_wanted = attributes.get("routing.http.x_amzn_tls_version_and_cipher_suite.enabled") == "true"
    if is_wanted and front.listener.protocol == "HTTPS":
        lines += [
            f"http-request set-header {request_header(front, 'x_amzn_tls_version')} %[ssl_fc_protocol]",
            f"http-request set-header {request_header(front, 'x_amzn_tls_cipher_suite')} %[ssl_fc_cipher]",
        ]
    return lines


def _forwarded_for(mode: str, front: Front) -> list[str]:
    match mode:
        case "preserve":
            return []
        case "remove":
            return [f"http-request del-header {_XFF}"]
    # What came in several lines stays in several: the last one is ours.
    if front.load_balancer.attributes.get("routing.http.xff_client_port.enabled") != "true":
        return [
            f"http-request add-header {_XFF} %[src] if {{ req.fhdr_cnt({_XFF}) gt 1 }}",
            f"http-request set-header {_XFF} '%[req.fhdr({_XFF})], %[src]' if {{ req.fhdr_cnt({_XFF}) eq 1 }}",
            "option forwardfor if-none",
        ]
    return [
        "http-request set-var-fmt(txn.peer) '%[src]:%[src_port]'",
        # Addresses of IPv6 contain colons themselves.
        "http-request set-var-fmt(txn.peer) '[%[src]]:%[src_port]' if { src -m sub : }",
        f"http-request set-var(txn.xff) req.fhdr_cnt({_XFF})",
        f"http-request add-header {_XFF} %[var(txn.peer)] if !{{ var(txn.xff) -m int eq 1 }}",
        f"http-request set-header {_XFF} '%[req.fhdr({_XFF})], %[var(txn.peer)]' if {{ var(txn.xff) -m int eq 1 }}",
    ]


def host_lines(front: Front) -> list[str]:
    """Unless it is preserved, Host names the port that the listener is reached at, where that is not the usual one."""
    if front.load_balancer.attributes.get("routing.http.preserve_host_header.enabled") == "true":
        return []
    port = "req.hdr(host),port_only -m int"
    if front.port in _DEFAULT_PORTS:
        return [f"http-request set-header Host %[req.hdr(host),host_only] if {{ {port} gt 0 }}"]
    return [f"http-request set-header Host %[req.hdr(host)]:{front.port} if {{ {port} eq 0 }} {{ req.hdr(host) -m len gt 0 }}"]
