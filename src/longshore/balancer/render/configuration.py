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
from longshore.balancer.render.access_log import log_lines, put_into
from longshore.balancer.render.auth import again_bind, asks, backend_lines
from longshore.balancer.render.backends import backend, server_line
from longshore.balancer.render.bodies import Bodies
from longshore.balancer.render.client_certificates import chain_lines
from longshore.balancer.render.http_frontend import http_lines
from longshore.balancer.render.pages import ERRORS, error, error_page
from longshore.balancer.render.places import Places
from longshore.balancer.render.rules import about
from longshore.balancer.render.shared_frontend import shared_frontends
from longshore.balancer.render.tcp_frontend import tcp_lines
from longshore.balancer.render.timeouts import client_idle_s
from longshore.balancer.render.tls import bind_options, client_files
from longshore.balancer.snapshot import Front, Pool, Snapshot
from longshore.balancer.words import LINKED, LOCAL, NOBODY, OPEN, Unrenderable, backend_name, quoted

_CONNECT_S = 10
_CHECKS_PER_S = 500


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
    bodies.files |= {places.error(status): error_page(status, words) for status, words in ERRORS.items()}
    refused: dict[str, str] = {}
    fronts: list[list[str]] = []
    groups = {pool.group.arn: pool.group for pool in snapshot.pools}
    for front in snapshot.fronts:
        if not binds.is_usable(front) or front.problem:
            continue
        try:
            lines = _frontend(front, binds, places, bodies, secret, refused)
            fronts.append(put_into(lines, log_lines(front, groups, places, bodies.files)))
        except (Unrenderable, KeyError, ValueError) as error:
            refused[front.listener.arn] = str(error)
    shared: list[list[str]] = []
    for port, sharing in sorted(binds.shared.items()):
        shared += shared_frontends(port, sharing, places, binds.local_addresses(port))
    backends: list[list[str]] = []
    servers: list[list[str]] = []
    for pool in snapshot.pools:
        for name in _names(pool):
            backends.append(backend(pool, name, secret, places))
            servers.append([server_line(pool.group, name, target) for target in pool.targets])
    chains = chain_lines(snapshot.fronts, bodies)
    authentication = [backend_lines(places)] if any(asks(front) for front in snapshot.fronts) else []
    mark = hashlib.sha256(repr((_head(places, "", chains), shared, fronts, authentication, backends)).encode()).hexdigest()[:32]
    sections = [_head(places, mark, chains, sum(map(len, servers)) // 2), *shared, *fronts, *authentication, _nobody()]
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


def _head(places: Places, mark: str, further: list[str], checked: int = 0) -> list[str]:
    """`checked`: how many servers are, which is nothing to reload for."""
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
        # First checks soon, however long the interval is, and yet not all of them before the first request.
        f"max-spread-checks {max(1, checked // _CHECKS_PER_S)}s",
        "hard-stop-after 1h",
        "tune.bufsize 65536",
        "tune.maxrewrite 8192",
        "tune.http.maxhdr 256",
        # What a line tells of a request's address, at most.
        "tune.http.logurilen 8192",
        # All listeners would share one cache: a session begun where nobody is asked for a certificate could go on where one is needed.
        # Tickets are each listener's own.
        "tune.ssl.cachesize 0",
        *further,
        "defaults",
        "mode http",
        f"timeout connect {_CONNECT_S}s",
        "timeout client 60s",
        "timeout server 60s",
        "load-server-state-from-file global",
        # Without it a reload resets clients that are about to reuse an idle connection.
        "option idle-close-on-response",
        # A client that has closed its side is gone, as for Elastic Load Balancing (460): nobody goes on working for it.
        "option abortonclose",
        *(f"errorfile {status} {quoted(places.error(status))}" for status in ERRORS),
    ]


def _frontend(front: Front, binds: Binds, places: Places, bodies: Bodies, secret: str, refused: dict[str, str]) -> list[str]:
    options = bind_options(front, places)
    bodies.files.update(client_files(front, places))
    lines = [f"frontend {frontend_name(front, binds)}", about(front.listener.arn), f"bind {front.address}:{front.port}{options}"]
    if binds.is_linked(front):
        lines.append(f"bind {front.link}:{front.port}{options}")
    if binds.is_alone(front):
        lines += [f"bind {address}:{front.port}{options}" for address in binds.local_addresses(front.port)]
    lines.append(f"timeout client {client_idle_s(front)}s")
    if binds.is_sharing(front):
        lines.append(f"bind {quoted('unix@' + places.front_socket(front))} accept-proxy mode 600{options}")
    if front.is_behind:
        lines.append(f"tcp-request connection expect-proxy layer4 if {{ src {front.address} }}")
    if not front.is_http:
        return [*lines, "mode tcp", *tcp_lines(front)]
    lines += again_bind(front, places)
    return [*lines, *http_lines(front, bodies, secret, refused)]


def frontend_name(front: Front, binds: Binds) -> str:
    linked, local = LINKED if binds.is_linked(front) else "", LOCAL if binds.is_alone(front) else ""
    return f"{front.address}:{front.port}{linked}{local}"


def _nobody() -> list[str]:
    return [f"backend {NOBODY}", error(503, "Service Temporarily Unavailable")]
