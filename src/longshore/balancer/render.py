"""HAProxy's configuration, made of a snapshot of what the load balancers are to be. Pure.

One frontend per listener, on the load balancer's own address and, where it can be had, on 127.0.0.1; two backends per target
group: one whose servers are checked, and `….open` with the same servers unchecked, which is used while none of the first is
healthy (Elastic Load Balancing then sends requests to all targets). Servers are kept apart from the rest, the *structure*:
a change of servers is told to the running HAProxy, a change of structure needs a reload.
"""

from __future__ import annotations

import hashlib

import msgspec

from longshore.balancer.binds import Binds
from longshore.balancer.rules import Bodies, about, is_sticky, rule_lines, ticket_lines
from longshore.balancer.snapshot import LOCALHOST, Front, Pool, Snapshot
from longshore.balancer.words import LOCAL, NOBODY, OPEN, Unrenderable, algorithm, argument, backend_name, quoted, server_name
from longshore.services.elbv2.model import LoadBalancer, Target, TargetGroup

IDLE_TCP_S = 350
_CONNECT_S = 10
_STICKY_DEFAULT_S = 86_400


class Places(msgspec.Struct, frozen=True):
    """Files and sockets, absolute; short enough for the names of sockets."""

    directory: str

    @property
    def config(self) -> str:
        return f"{self.directory}/haproxy.cfg"

    @property
    def states(self) -> str:
        return f"{self.directory}/states"

    @property
    def runtime_socket(self) -> str:
        return f"{self.directory}/r.sock"

    @property
    def master_socket(self) -> str:
        return f"{self.directory}/m.sock"

    @property
    def log_socket(self) -> str:
        return f"{self.directory}/log.sock"

    @property
    def bodies(self) -> str:
        return f"{self.directory}/bodies"

    @property
    def bad_gateway(self) -> str:
        return f"{self.bodies}/502.http"

    def front_socket(self, front: Front) -> str:
        return f"{self.directory}/{front.port}-{front.load_balancer.slot}.sock"


class Rendering(msgspec.Struct, frozen=True):
    text: str
    #: names the structure: the same one needs no reload
    structure: str
    #: to be written before the configuration is read: path -> content
    files: dict[str, bytes]
    #: ARN of a rule, listener or target group -> why it is left out
    refused: dict[str, str]


def render(snapshot: Snapshot, binds: Binds, places: Places, secret: str) -> Rendering:
    bodies = Bodies(places.bodies)
    bodies.files[places.bad_gateway] = error_page(502, "Bad Gateway")
    refused: dict[str, str] = {}
    fronts: list[list[str]] = []
    for front in snapshot.fronts:
        if not binds.is_usable(front):
            continue
        try:
            fronts.append(_frontend(front, binds, places, bodies, secret, refused))
        except (Unrenderable, KeyError, ValueError) as error:
            refused[front.listener.arn] = str(error)
    shared = [_shared_frontend(port, sharing, places) for port, sharing in sorted(binds.shared.items())]
    backends: list[list[str]] = []
    servers: list[list[str]] = []
    for pool in snapshot.pools:
        for name in _names(pool):
            backends.append(_backend(pool, name, secret, places))
            servers.append([server_line(pool.group, name, target) for target in pool.targets])
    mark = hashlib.sha256(repr((_head(places, ""), shared, fronts, backends)).encode()).hexdigest()[:32]
    sections = [_head(places, mark), *shared, *fronts, _nobody()]
    sections += [[*lines, *those] for lines, those in zip(backends, servers, strict=True)]
    return Rendering("\n".join("\n  ".join(section) for section in sections) + "\n", mark, bodies.files, refused)


def owner_of_line(text: str, number: int) -> str | None:
    """The ARN of whatever line `number` (from 1) is about; None when it is about nobody in particular."""
    for line in reversed(text.splitlines()[:number]):
        if line.startswith("  # arn:"):
            return line[4:]
        if not line.startswith(" "):
            return None
    return None


def _names(pool: Pool) -> tuple[str, str]:
    name = backend_name(pool.group.arn)
    return name, name + OPEN


def error_page(status: int, words: str) -> bytes:
    """A whole answer, as files for HAProxy's errors hold it."""
    body = _page(status, words)
    head = f"HTTP/1.1 {status} {words}\r\nServer: awselb/2.0\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


def _page(status: int, words: str) -> str:
    return f"<html><head><title>{status} {words}</title></head><body><center><h1>{status} {words}</h1></center></body></html>"


def _head(places: Places, mark: str) -> list[str]:
    return [
        "global",
        f"description {mark}",
        # A port that another program has is to be refused, not shared. Reloads hand the sockets over.
        "noreuseport",
        "fd-hard-limit 65536",
        f"stats socket {quoted(places.runtime_socket)} mode 600 level admin expose-fd listeners",
        "stats timeout 1h",
        f"server-state-file {quoted(places.states)}",
        f"log {quoted(places.log_socket)} len 4096 format raw local0",
        # First checks within a second, however long the interval is.
        "max-spread-checks 1s",
        "hard-stop-after 1h",
        "tune.bufsize 65536",
        "tune.maxrewrite 8192",
        "tune.http.maxhdr 256",
        "defaults",
        "mode http",
        f"timeout connect {_CONNECT_S}s",
        "timeout client 60s",
        "timeout server 60s",
        "load-server-state-from-file global",
        # Without it a reload resets clients that are about to reuse an idle connection.
        "option idle-close-on-response",
    ]


def _nobody() -> list[str]:
    return [f"backend {NOBODY}", _error(503, "Service Temporarily Unavailable")]


def _error(status: int, words: str, when: str = "") -> str:
    content = f"content-type text/html string {quoted(_page(status, words))}"
    return f"http-request return status {status} {content} hdr Server awselb/2.0{when}"


def _idle_s(lb: LoadBalancer) -> int:
    return IDLE_TCP_S if lb.type == "network" else int(lb.attributes.get("idle_timeout.timeout_seconds", "60"))


def frontend_name(front: Front, binds: Binds) -> str:
    return f"{front.address}:{front.port}{LOCAL if binds.is_alone(front) else ''}"


def _frontend(front: Front, binds: Binds, places: Places, bodies: Bodies, secret: str, refused: dict[str, str]) -> list[str]:
    lines = [f"frontend {frontend_name(front, binds)}", about(front.listener.arn), f"bind {front.address}:{front.port}"]
    if binds.is_alone(front):
        lines.append(f"bind {LOCALHOST}:{front.port}")
    lines.append(f"timeout client {_idle_s(front.load_balancer)}s")
    if front.listener.protocol not in ("HTTP", "TCP"):
        raise Unrenderable(f"{front.listener.protocol} listeners are not served yet")
    if not front.is_http:
        return [*lines, "mode tcp", *_tcp_choice(front)]
    if binds.is_sharing(front):
        lines.append(f"bind {quoted('unix@' + places.front_socket(front))} accept-proxy mode 600")
    lines += [
        "http-request set-var(txn.host) req.hdr(host),host_only,lower",
        _error(405, "Method Not Allowed", " if METH_TRACE"),
        "http-request return status 463 hdr Server awselb/2.0 if { req.hdr_cnt(X-Forwarded-For) gt 30 }",
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


def _tcp_choice(front: Front) -> list[str]:
    actions = front.listener.default_actions
    config = actions[-1].forward_config if actions else None
    groups = [group.target_group_arn for group in (config.target_groups if config else None) or ()]
    arn = (groups[0] if groups else None) or (actions[-1].target_group_arn if actions else None)
    if arn is None:
        raise Unrenderable("a listener that forwards to nobody")
    name = backend_name(arn)
    return [
        f"use_backend {name}{OPEN} if {{ nbsrv({name}) eq 0 }} {{ nbsrv({name}{OPEN}) gt 0 }} !{{ stopping }}",
        f"default_backend {name}",
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
        "http-request del-header X-Amzn-Oidc- -m beg",
        # A version, the time in seconds, 96 random bits. (`uuid` would do, at a tenth of the time a request takes.)
        f"http-request set-var-fmt(txn.id) '1-%[date,hex,bytes(8,8),lower]-{'%[rand,hex,bytes(8,8),lower]' * 3}'",
        f"http-request replace-header {trace} '^(Self=[^;]*;)?(.*)$' 'Self=%[var(txn.id)];\\2' if {{ req.hdr({trace}) -m found }}",
        f"http-request set-header {trace} 'Root=%[var(txn.id)]' if !{{ req.hdr({trace}) -m found }}",
    ]


def _shared_frontend(port: int, sharing: tuple[Front, ...], places: Places) -> list[str]:
    """127.0.0.1:port for several load balancers: told apart by Host, and handed on with the client's address."""
    is_host = "req.hdr(host),host_only -m str -i"
    names = [front.load_balancer.dns_name for front in sharing]
    explanation = quoted(f"Several load balancers listen on port {port}. Call the one you mean by its name: {' '.join(names)}")
    return [
        f"listen {LOCALHOST}:{port}",
        f"bind {LOCALHOST}:{port}",
        # The load balancers' own times end idle connections; these only must not come first.
        "timeout client 4000s",
        "timeout server 4000s",
        f"acl is_known {is_host} -- {' '.join(quoted(name) for name in names)}",
        f"http-request return status 404 content-type text/plain string {explanation} if !is_known",
        *(f"use-server s{front.load_balancer.slot} if {{ {is_host} -- {quoted(front.load_balancer.dns_name)} }}" for front in sharing),
        *(f"server s{front.load_balancer.slot} {quoted('unix@' + places.front_socket(front))} send-proxy-v2 weight 0" for front in sharing),
    ]


def _backend(pool: Pool, name: str, secret: str, places: Places) -> list[str]:
    group = pool.group
    is_open = name.endswith(OPEN)
    idle_s = _idle_s(pool.load_balancer)
    lines = [
        f"backend {name}",
        about(group.arn),
        f"balance {algorithm(group)}",
        f"timeout server {idle_s}s",
        f"timeout tunnel {idle_s}s",
        "retries 1",
        "option redispatch 1",
        # What the servers are checked and reached with belongs to the structure.
        f"# {server_options(group, is_open, 0)}",
    ]
    if algorithm(group) == "source":
        lines.append("hash-type consistent")
    if group.protocol == "TCP":
        lines.append("mode tcp")
    else:
        lines += [f"errorfile 503 {quoted(places.bad_gateway)}", *_stickiness(group, secret)]
    if not is_open:
        lines += ["log global", "option log-health-checks", *_check(group)]
    return lines


def _check(group: TargetGroup) -> list[str]:
    check = group.health_check
    lines = [f"timeout check {check.timeout_s}s"]
    if check.protocol == "TCP" or group.protocol_version == "GRPC":
        return lines
    version = "HTTP/2" if group.protocol_version == "HTTP2" else "HTTP/1.1"
    return [
        *lines,
        "option httpchk",
        f"http-check send meth GET uri {quoted(check.path)} ver {version} hdr Host '%[srv_name,field(2,_)]' "
        "hdr User-Agent ELB-HealthChecker/2.0 hdr Accept-Encoding 'gzip, compressed'"
        + (" hdr Connection close" if version == "HTTP/1.1" else ""),
        f"http-check expect status {quoted(check.http_codes)}",
    ]


def _stickiness(group: TargetGroup, secret: str) -> list[str]:
    attributes = group.attributes
    if attributes.get("stickiness.enabled") != "true":
        return []
    if attributes.get("stickiness.type", "lb_cookie") == "app_cookie":
        name = argument(attributes["stickiness.app_cookie.cookie_name"])
        seconds = int(attributes.get("stickiness.app_cookie.duration_seconds", _STICKY_DEFAULT_S))
        return [
            f"stick-table type string len 128 size 100k expire {seconds}s srvkey addr",
            f"stick on {quoted(f'req.cook({name})')}",
            f"stick store-response {quoted(f'res.cook({name})')}",
        ]
    seconds = int(attributes.get("stickiness.lb_cookie.duration_seconds", _STICKY_DEFAULT_S))
    until = f"Expires=%[date({seconds}),http_date]; Path=/"
    value = "%[var(txn.alb)]"
    is_known = "if { var(txn.alb) -m found }"
    return [
        "cookie AWSALB insert indirect nocache dynamic",
        f"dynamic-cookie-key {secret}",
        "http-request set-var(txn.alb) req.cook(AWSALB)",
        "http-after-response set-var(txn.alb) res.cook(AWSALB) if { res.cook(AWSALB) -m found }",
        "http-after-response replace-header Set-Cookie '^AWSALB=.*$' 'AWSALB=%[var(txn.alb)]; "
        + until
        + "' if { res.cook(AWSALB) -m found }",
        f"http-after-response add-header Set-Cookie 'AWSALB={value}; {until}' {is_known} !{{ res.cook(AWSALB) -m found }}",
        f"http-after-response add-header Set-Cookie 'AWSALBCORS={value}; {until}; SameSite=None; Secure' {is_known}",
    ]


def server_options(group: TargetGroup, is_open: bool, port: int) -> str:
    """What stands behind a server's address and `port`, in the configuration and in `add server` alike."""
    options: list[str] = []
    is_tls = group.protocol == "HTTPS"
    has_proxy_protocol = group.attributes.get("proxy_protocol_v2.enabled") == "true"
    if is_tls:
        options.append("ssl verify none")
    if group.protocol_version in ("HTTP2", "GRPC"):
        options.append("alpn h2" if is_tls else "proto h2")
    if has_proxy_protocol:
        options.append("send-proxy-v2")
    if is_open:
        return " ".join(options)
    check = group.health_check
    is_on_traffic_port = check.port == "traffic-port"
    options.append(f"check inter {check.interval_s}s fall {check.unhealthy_threshold} rise {check.healthy_threshold}")
    # With a port of its own, a check takes neither TLS nor the proxy protocol from the traffic: each is said here.
    options.append(f"port {port if is_on_traffic_port else int(check.port)}")
    if check.protocol == "HTTPS":
        options.append("check-ssl" if is_tls else "check-ssl verify none")
    if has_proxy_protocol and is_on_traffic_port:
        options.append("check-send-proxy")
    slow_start_s = int(group.attributes.get("slow_start.duration_seconds", "0"))
    if slow_start_s:
        options.append(f"slowstart {slow_start_s}s")
    if group.protocol == "TCP" and group.attributes.get("target_health_state.unhealthy.connection_termination.enabled", "true") == "true":
        options.append("on-marked-down shutdown-sessions")
    return " ".join(options)


def server_line(group: TargetGroup, backend: str, target: Target) -> str:
    """`server` in the configuration."""
    options = server_options(group, backend.endswith(OPEN), target.port)
    return f"server {server_name(target)} {target.address}:{target.port} {options}".rstrip()
