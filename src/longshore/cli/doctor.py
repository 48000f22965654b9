"""`longshore doctor`: is everything here that Longshore needs, and if not, how to get it."""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator

import msgspec

from longshore.cli import machine, presence
from longshore.cli.exposure import open_doors, readable_secrets
from longshore.cli.layout import last_time
from longshore.cli.master import MasterKeyProblem, check
from longshore.cli.outcome import ExitCode, Failure
from longshore.cli.tls import served_certificate, settled
from longshore.config import UNPRIVILEGED_PORT_OFFSET, DataDirectory, read_platform
from longshore.environment import Environment
from longshore.kit.certificates import CertificateProblem, facts
from longshore.kit.volatile import memory_directory

#: where containers look for their agent
CONTAINERS_ADDRESS = "169.254.170.2"
_SOON_DAYS = 14
_LEAST_DISK_MIB = 2048


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at. `verdict` is ok, note (works, with less) or missing."""

    name: str
    verdict: str
    text: str
    fix: str = ""


def examine(environment: Environment, data: DataDirectory, host: str, port: int) -> list[Finding]:
    """Everything looked at, in the order of a start."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python,
        lambda: _docker(environment.docker_url),
        lambda: _haproxy(environment.haproxy),
        lambda: _gateway_port(data, host, port),
        lambda: _https(data),
        lambda: _exposure(data),
        _low_ports,
        _loopback,
        _containers,
        _names,
        lambda: _directory(data),
        lambda: _master_key(environment, data),
        _clients,
    )
    return [finding for check in checks for finding in check()]


def exit_code(findings: list[Finding]) -> ExitCode:
    return ExitCode.MISSING_PART if any(finding.verdict == "missing" for finding in findings) else ExitCode.OK


def _python() -> Iterator[Finding]:
    yield Finding("Python", "ok", sys.version.split()[0])


def _docker(docker_url: str) -> Iterator[Finding]:
    try:
        version = machine.docker_version(docker_url)
    except machine.Unusable as missing:
        yield Finding("Docker Engine", "missing", str(missing), missing.fix)
    else:
        yield Finding("Docker Engine", "ok", f"{version.version} (API {version.api_version}) at {docker_url}")


def _haproxy(name: str) -> Iterator[Finding]:
    try:
        path = machine.find_haproxy(name)
        yield Finding("HAProxy", "ok", f"{machine.haproxy_version(path)} at {path}")
    except machine.Unusable as missing:
        yield Finding("HAProxy", "missing", str(missing), missing.fix)


def _gateway_port(data: DataDirectory, host: str, port: int) -> Iterator[Finding]:
    taken = machine.port_taken(host, port)
    if taken is None:
        yield Finding("gateway port", "ok", f"{host}:{port} is free")
    elif presence.supervisor_pid(data) is not None:
        yield Finding("gateway port", "ok", f"{host}:{port} is in use while the platform of {data.root} runs")
    else:
        yield Finding("gateway port", "missing", f"{host}:{port} is {taken}", "stop what listens there, or use `longshore up --port`")


def _https(data: DataDirectory) -> Iterator[Finding]:
    tls = last_time(data, None).tls
    if tls is None:
        return
    try:
        certificate = served_certificate(data, tls)
        served_by = certificate if tls.certificate else facts(data.ca_file.read_bytes())
        settled(tls, "127.0.0.1", data)
    except (OSError, CertificateProblem) as problem:
        yield Finding("HTTPS", "missing", f"its certificate cannot be used: {problem}", "give one: `longshore up --tls-certificate`")
        return
    except Failure as failure:
        yield Finding("HTTPS", "missing", failure.cause, failure.fix)
        return
    days = (certificate.not_after - time.time()) / 86_400
    whose = f"certificate of {tls.certificate}" if tls.certificate else "certificate of our own authority (`longshore ca`)"
    ends = time.time() + _SOON_DAYS * 86_400
    if not tls.certificate and served_by.not_after < ends:
        yield Finding("HTTPS", "note", "our own authority ends soon", f"remove {data.tls}, start again and let clients trust the new one")
    elif tls.certificate and days < _SOON_DAYS:
        yield Finding("HTTPS", "note", f"{whose} ends in {days:.0f} days", "replace the file: it is read again at once")
    else:
        yield Finding("HTTPS", "ok", f"{whose}, good for {days:.0f} days{'' if tls.certificate else ' and then renewed'}")


def _exposure(data: DataDirectory) -> Iterator[Finding]:
    """What stands open, of the platform as it was started last (docs/security.md)."""
    try:
        server = read_platform(data.platform_file).server
    except (OSError, msgspec.MsgspecError):
        server = None
    doors = list(open_doors(server)) if server is not None else []
    for words in doors:
        yield Finding("security", "note", words, "start with --tls, without --insecure and --dev, and with --rate-limits generous")
    readable = list(readable_secrets(data))
    if readable:
        files = ", ".join(map(str, readable))
        yield Finding("security", "note", f"others on this machine may read {files}", f"chmod go-rwx {' '.join(map(str, readable))}")
    if server is not None and not doors and not readable:
        limits = f"rate limits: {server.limits}"
        yield Finding("security", "ok", f"nothing stands open to others ({'HTTPS' if server.tls else 'this machine alone'}; {limits})")


def _low_ports() -> Iterator[Finding]:
    if not machine.may_bind_low_ports():
        yield Finding(
            "low ports",
            "note",
            f"you may not listen below 1024: a listener on port 80 answers at {80 + UNPRIVILEGED_PORT_OFFSET}",
            "run as root, or: sudo sysctl net.ipv4.ip_unprivileged_port_start=80",
        )
        return
    taken = machine.port_taken("0.0.0.0", 80)
    if taken:
        yield Finding("low ports", "note", f"port 80 is {taken}", "a load balancer may not get 127.0.0.1:80, only an address of its own")
    else:
        yield Finding("low ports", "ok", "port 80 may be used by load balancers")


def _loopback() -> Iterator[Finding]:
    for address, whose in (("127.0.1.1", "container instances"), ("127.0.2.1", "load balancers")):
        with socket.socket() as probe:
            try:
                probe.bind((address, 0))
            except OSError as error:
                yield Finding("loopback", "missing", f"{address} ({whose}): {error.strerror}", f"sudo ifconfig lo0 alias {address}")
                return
    yield Finding("loopback", "ok", "127.0.1.N for container instances, 127.0.2.N for load balancers")


def _containers() -> Iterator[Finding]:
    """How containers reach their agent (docs/task-roles.md)."""
    root = os.geteuid() == 0
    port = 80 if machine.may_bind_low_ports() else 51679
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as agents do, which share it
        try:
            probe.bind((CONTAINERS_ADDRESS, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                taken = f"{CONTAINERS_ADDRESS}:{port} is taken by something else: tasks get neither credentials nor metadata"
                yield Finding(
                    "task roles", "note", taken, "stop it (another user's agent, or the stock agent's rules), or run as that user"
                )
                return
    if root:
        yield Finding("task roles", "ok", f"containers reach their agent at {CONTAINERS_ADDRESS}, put on the loopback interface (root)")
        return
    way = f"containers reach their agent at {CONTAINERS_ADDRESS}:{port}, a bridge of the engine's (you are not root)"
    yield Finding("task roles", "note", f"{way}; tasks in network mode host get no role", "run as root for those")


def _names() -> Iterator[Finding]:
    """How load balancers are found by their names (docs/balancer-hosts.md)."""
    if not machine.may_name():
        why = "only the superuser may give a machine addresses and names"
        yield Finding(
            "load balancers' names", "note", f"containers do not find load balancers by their names: {why}", "run as root for that"
        )
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("0.0.0.0", 53))
        except OSError:
            taken = "something answers at port 53 already: if it does on all addresses, containers keep the machine's own resolvers"
            yield Finding("load balancers' names", "note", taken, "have it listen on its own address only (unless it is Longshore's own)")
            return
    yield Finding("load balancers' names", "ok", "found from this machine (/etc/hosts) and from containers (169.254.170.2 port 53)")


def _directory(data: DataDirectory) -> Iterator[Finding]:
    nearest = next(path for path in (data.root, *data.root.parents) if path.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        yield Finding("data directory", "missing", f"you may not write to {nearest}", "use --data-dir or set LONGSHORE_DATA_DIR")
        return
    free_mib = machine.free_disk_mib(str(nearest))
    if free_mib < _LEAST_DISK_MIB:
        yield Finding("data directory", "note", f"{data.root}: only {free_mib} MiB are free", "images need room: free some")
    else:
        yield Finding("data directory", "ok", f"{data.root} ({free_mib // 1024} GiB free)")


def _master_key(environment: Environment, data: DataDirectory) -> Iterator[Finding]:
    """What secrets are wrapped with, and whether anything is left of them in plain on a disk (docs/secrets.md)."""
    try:
        found = check(environment, data)
    except MasterKeyProblem as problem:
        yield Finding("master key", "missing", problem.cause, problem.fix)
        return
    if found.source == "file" and not found.file:
        better = "keep it elsewhere: `longshore keys rotate-master --to file --file PATH`, or `--to command`"
        yield Finding("master key", "note", f"{found.path(data.root)} lies beside what it opens: a copy of the directory has both", better)
    else:
        yield Finding("master key", "ok", f"from {found}")
    if memory_directory() is None:
        where = f"no memory-backed directory: HAProxy's copies of private keys lie in {data.root / 'run'} while it runs"
        yield Finding("private keys", "note", where, "mount a tmpfs at /dev/shm")


def _clients() -> Iterator[Finding]:
    for program, purpose, package in (
        ("docker", "to push images", "docker.io or docker-cli"),
        ("aws", "to talk to the platform", "awscli"),
    ):
        path = machine.find_program(program) or machine.find_program(os.path.join(os.path.dirname(sys.executable), program))
        if path:
            yield Finding(f"{program} command", "ok", path)
        else:
            yield Finding(f"{program} command", "note", f"not found; you may want it {purpose}", f"install {package}")


def print_findings(findings: list[Finding]) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    marks = {"ok": "[green]✓[/]", "note": "[yellow]![/]", "missing": "[red]✗[/]"}
    for finding in findings:
        console.print(f"{marks[finding.verdict]} {finding.name:<17}", end=" ")
        console.print(finding.text, markup=False)
        if finding.fix:
            console.print(f"  {'':<17} → {finding.fix}", markup=False)
