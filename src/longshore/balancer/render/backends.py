"""Target groups as backends: how their servers are chosen, reached and checked. Pure."""

from __future__ import annotations

import re
from ipaddress import IPv4Address

from longshore.balancer.render.grpc_check import check_lines
from longshore.balancer.render.guards import version_lines
from longshore.balancer.render.places import Places
from longshore.balancer.render.rules import about
from longshore.balancer.render.stickiness import stickiness
from longshore.balancer.render.timeouts import server_timeouts
from longshore.balancer.snapshot import Pool
from longshore.balancer.words import OPEN, Unrenderable, algorithm, quoted, server_name
from longshore.services.elbv2.model import Target, TargetGroup

_TASK_ID = re.compile("[0-9a-f-]{1,64}")


def backend(pool: Pool, name: str, secret: str, places: Places) -> list[str]:
    group = pool.group
    is_open = name.endswith(OPEN)
    lines = [
        f"backend {name}",
        about(group.arn),
        f"balance {algorithm(group)}",
        *server_timeouts(pool),
        # A refused connection is tried on other targets: an older worker may not have heard yet of who has left.
        "retries 3",
        "option redispatch 1",
        # What the servers are checked and reached with belongs to the structure.
        f"# {server_options(group, is_open, 0)}",
    ]
    if algorithm(group) == "source":
        lines.append("hash-type consistent")
    if group.protocol in ("TCP", "TLS"):
        lines.append("mode tcp")
    else:
        lines += [f"errorfile 503 {quoted(places.bad_gateway)}", *version_lines(group), *stickiness(group, secret)]
    if not is_open:
        lines += ["log global", "option log-health-checks", *_check(group)]
    return lines


def _check(group: TargetGroup) -> list[str]:
    check = group.health_check
    lines = [f"timeout check {check.timeout_s}s"]
    if check.protocol in ("TCP", "TLS"):  # a handshake is enough: Classic load balancers check so, too
        return lines
    if group.protocol_version == "GRPC":
        return [*lines, *check_lines(check, "srv_name,field(2,_)")]
    version = "HTTP/2" if group.protocol_version == "HTTP2" else "HTTP/1.1"
    return [
        *lines,
        "option httpchk",
        f"http-check send meth GET uri {quoted(check.path)} ver {version} hdr Host '%[srv_name,field(2,_)]' "
        "hdr User-Agent ELB-HealthChecker/2.0 hdr Accept-Encoding 'gzip, compressed'"
        + (" hdr Connection close" if version == "HTTP/1.1" else ""),
        f"http-check expect status {quoted(check.http_codes)}",
    ]


def server_options(group: TargetGroup, is_open: bool, port: int, address: str = "", asks: str = "") -> str:
    """What stands behind a server's `address` and `port`, in the configuration and in `add server` alike. `asks`: see `identity`."""
    options: list[str] = []
    is_tls = group.protocol in ("HTTPS", "TLS")
    has_proxy_protocol = group.attributes.get("proxy_protocol_v2.enabled") == "true"
    if group.target_type == "alb":
        # A load balancer of ours: it takes our word for who the client is, and knows us by calling it from its own address.
        has_proxy_protocol = True
        options.append(f"source {address or '127.0.0.1'}")
    if is_tls:
        options.append("ssl verify none")
    if group.protocol_version in ("HTTP2", "GRPC"):
        options.append("alpn h2" if is_tls else "proto h2")
    if has_proxy_protocol:
        options.append("send-proxy-v2")
    elif group.attributes.get("proxy_protocol_v1.enabled") == "true":
        options.append("send-proxy")
    if asks:
        options.append(asks)
    if is_open:
        return " ".join(options)
    check = group.health_check
    is_on_traffic_port = check.port == "traffic-port"
    options.append(f"check inter {check.interval_s}s fall {check.unhealthy_threshold} rise {check.healthy_threshold}")
    # With a port of its own, a check takes neither TLS nor the proxy protocol from the traffic: each is said here.
    options.append(f"port {port if is_on_traffic_port else int(check.port)}")
    if check.protocol in ("HTTPS", "TLS"):
        options.append("check-ssl" if is_tls else "check-ssl verify none")
        if group.protocol_version != "HTTP1":
            options.append("check-alpn h2")
    elif check.protocol == "HTTP" and group.protocol_version == "HTTP2":
        options.append("check-proto h2")
    if has_proxy_protocol and is_on_traffic_port:
        options.append("check-send-proxy")
    slow_start_s = int(group.attributes.get("slow_start.duration_seconds", "0"))
    if slow_start_s:
        options.append(f"slowstart {slow_start_s}s")
    if (
        group.protocol in ("TCP", "TLS")
        and group.attributes.get("target_health_state.unhealthy.connection_termination.enabled", "true") == "true"
    ):
        options.append("on-marked-down shutdown-sessions")
    return " ".join(options)


def server_line(group: TargetGroup, backend: str, target: Target) -> str:
    """`server` in the configuration."""
    options = server_options(group, backend.endswith(OPEN), target.port, target.address, identity(target))
    return f"server {server_name(target)} {target.address}:{target.port} {options}".rstrip()


def identity(target: Target) -> str:
    """How a server's agent is asked, once a second, whether the target's task is there; empty where nobody is."""
    if not target.identity:
        return ""
    address, _, port = target.identity.partition(":")
    return f"agent-check agent-addr {IPv4Address(address)} agent-port {int(port)} agent-inter 1s agent-send {question(target)}"


def question(target: Target) -> str:
    """As the container agent understands it."""
    task_id = target.owner.rpartition("/")[2]
    if not _TASK_ID.fullmatch(task_id):
        raise Unrenderable(f"{target.owner!r} is no task")
    return f"{task_id}/{target.port}!"
