"""What a load balancer answers before it looks at any rule: requests that no target is to see. Pure.

HAProxy itself refuses what is no HTTP (400), a body whose length cannot be told (400, or 501 for a transfer encoding it does not
know), and waits for a request's head no longer than the idle timeout (408). Where both Content-Length and Transfer-Encoding are
given it believes the latter and passes only that on, so that whoever comes after it cannot read the request otherwise.
"""

from __future__ import annotations

from longshore.balancer.render.pages import empty_error, error
from longshore.services.elbv2.model import LoadBalancer, TargetGroup

MOST_LINE_BYTES = 16_384
MOST_FORWARDED = 30


def guard_lines(lb: LoadBalancer) -> list[str]:
    lines = [
        # CONNECT would open a tunnel to a target.
        error(405, "Method Not Allowed", " if { method TRACE CONNECT }"),
        error(414, "Request-URI Too Large", f" if {{ url -m len gt {MOST_LINE_BYTES} }}"),
        error(505, "HTTP Version Not Supported", " if !{ req.ver 1.1 1.0 2.0 }"),
        error(400, "Bad Request", " if !{ req.hdr(host) -m found } HTTP_1.1"),
        empty_error(463, f" if {{ req.hdr_cnt(x-forwarded-for) gt {MOST_FORWARDED} }}"),
    ]
    if lb.attributes.get("routing.http.desync_mitigation_mode") == "strictest":
        lines += _strictest()
    # A target that goes over to HTTP/2 makes the connection a tunnel, and whatever is asked in it goes past every rule.
    lines.append(
        "http-request del-header Upgrade if { req.hdr_cnt(upgrade) gt 1 } || "
        "{ req.hdr(upgrade) -m found } !{ req.hdr(upgrade) -m str -i websocket }"
    )
    # A whole URL is for proxies: targets are asked for the path.
    lines.append("http-request set-uri %[pathq] if { url -m beg http:// https:// } !{ req.ver 2.0 }")
    if lb.attributes.get("routing.http.drop_invalid_header_fields.enabled") == "true":
        lines.append("http-request del-header '[^a-z0-9-]' -m reg")
    return lines


def _strictest() -> list[str]:
    """What two servers may read differently although it is well-formed. (Header names are in lower case by now.)"""
    return [
        error(400, "Bad Request", " if HTTP_1.0 { req.hdr(transfer-encoding) -m found }"),
        error(400, "Bad Request", " if { method GET HEAD } { req.body_size gt 0 }"),
        error(400, "Bad Request", " if { req.hdr_names -m reg '[^a-z0-9,-]' }"),
        error(400, "Bad Request", " if { req.hdrs -m reg '\\x00' }"),
    ]


def version_lines(group: TargetGroup) -> list[str]:
    """Of a target group: requests in a version of HTTP that its targets do not speak are not translated."""
    match group.protocol_version:
        case "GRPC":
            return [empty_error(464, " if !{ req.ver 2.0 } || !METH_POST")]
        case "HTTP2":
            return [empty_error(464, " if !{ req.ver 2.0 }")]
    return [empty_error(464, " if { req.ver 2.0 } { req.hdr(content-type) -m beg application/grpc }")]
