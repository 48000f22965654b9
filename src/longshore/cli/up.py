"""`longshore up`: look before starting, start the supervisor, follow it until everything is ready, then stay or leave.

The supervisor lives in a session of its own, so that Ctrl-C reaches only this command, which hands it on as one orderly
stop. Its output goes to logs/supervisor.log in either mode and is followed there: leaving it behind changes nothing for it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from longshore.cli import layout, machine, presence, profile
from longshore.cli.events import PLATFORM, Event, GrowingFile, last_lines, read_event
from longshore.cli.exposure import open_doors
from longshore.cli.master import refuse_another
from longshore.cli.outcome import ExitCode, Failure
from longshore.cli.progress import Progress, progress_for
from longshore.cli.tls import settled
from longshore.config import DataDirectory, PlatformConfig, write_platform
from longshore.environment import Environment, without_secrets
from longshore.kit.logs import appended

SUPERVISOR = (sys.executable, "-m", "longshore.main", "supervisor")
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_START_TIMEOUT_S = 90.0
_LOOK_EVERY_S = 0.02
_LOOK_AGAIN_S = 0.5
#: what the supervisor itself allows its parts for an orderly end, and a little more
_STOP_TIMEOUT_S = 75.0


@dataclass(frozen=True, slots=True)
class Started:
    process: subprocess.Popen[bytes]
    ready: Event
    #: parts that did not come up, without holding up the rest
    failed: tuple[Event, ...]
    seconds: float


def up(
    wishes: layout.Wishes,
    environment: Environment,
    out: TextIO,
    *,
    detach: bool,
    command: Sequence[str] = SUPERVISOR,
) -> subprocess.Popen[bytes]:
    """Starts the platform and, unless `detach`, stays until it ends; gives the supervisor's process.

    Raises Failure with the cause and what to do.
    """
    for number in _STOPPING:
        signal.signal(number, signal.default_int_handler)
    layout.check_names(wishes)
    data = DataDirectory(wishes.data_dir)
    prepare(data)
    lock = presence.take_lock(data)
    if lock is None:
        raise _already(data)
    try:
        refuse_another(environment, data, wishes.master_key)
        platform = plan(wishes, environment, data)
        write_platform(data.platform_file, platform)
        data.forget_state()
        started = start(data, [*command, "--config", str(data.platform_file)], lock, progress_for(out), handed=environment.master_key)
    finally:
        os.close(lock)
    try:
        written = _write_profile(platform, environment)
        print(_ready_text(started, platform, written, detach), file=out, flush=True)
        if not detach:
            _stay(started, data, out)
    except KeyboardInterrupt:
        _stop(started, out)
    return started.process


def prepare(data: DataDirectory) -> None:
    """Makes the data directory; refuses one that holds someone else's files."""
    try:
        if data.root.exists() and any(data.root.iterdir()) and not data.credentials_file.exists() and not (data.root / "run").exists():
            raise Failure(f"{data.root} is not empty and not a data directory of Longshore", "choose another with --data-dir")
        data.prepare()
    except OSError as error:
        raise Failure(f"cannot use {data.root}: {error.strerror or error}", "choose a directory of yours with --data-dir") from error


def plan(wishes: layout.Wishes, environment: Environment, data: DataDirectory) -> PlatformConfig:
    """Looks whether everything needed is here and puts the configuration together."""
    try:
        haproxy = machine.find_haproxy(environment.haproxy)
        if wishes.instances:
            machine.docker_version(wishes.docker_url)
    except machine.Unusable as missing:
        raise Failure(str(missing), missing.fix, ExitCode.MISSING_PART) from missing
    if taken := machine.port_taken(wishes.host, wishes.port):
        raise Failure(f"port {wishes.port} of {wishes.host} is {taken}", "stop what listens there, or choose another with --port")
    if wishes.tls is not None:
        wishes = replace(wishes, tls=settled(wishes.tls, wishes.host, data))
    return layout.platform(
        wishes,
        machine.size(),
        environment.root_credentials or data.credentials(),
        data.instance_id,
        haproxy,
        machine.may_bind_low_ports(),
        machine.may_name(),
    )


def start(
    data: DataDirectory, command: Sequence[str], lock: int, progress: Progress, timeout_s: float = _START_TIMEOUT_S, handed: str = ""
) -> Started:
    """Starts the supervisor with the lock handed down and waits for its word that everything is ready. `handed` is the master key,
    where it is not in a file: it goes through a pipe, and nothing secret into what the process is started with."""
    log = data.log_file("supervisor")
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    begun = time.monotonic()
    with appended(log) as output:
        process = subprocess.Popen(
            [*command, "--handed"] if handed else command,
            stdin=subprocess.PIPE if handed else subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=data.root,
            start_new_session=True,
            pass_fds=(lock,),
            env=without_secrets(),
        )
    if process.stdin is not None:
        with process.stdin as pipe:
            pipe.write(f"{handed}\n".encode())
    presence.note_supervisor(lock, process.pid)
    try:
        ready, failed = _follow(process, log, progress, begun + timeout_s)
    except BaseException:
        _end(process)
        raise
    finally:
        progress.close()
    return Started(process, ready, failed, time.monotonic() - begun)


def _follow(process: subprocess.Popen[bytes], log: Path, progress: Progress, deadline: float) -> tuple[Event, tuple[Event, ...]]:
    """The platform's ready line and the parts that failed before it; raises Failure when it ends instead, or takes too long."""
    failed: list[Event] = []
    with GrowingFile(log) as file:
        while True:
            ended = process.poll() is not None
            for event in filter(None, map(read_event, file.new_lines())):
                if event.event == "failed":
                    failed.append(event)
                elif event.event == "ready" and event.part == PLATFORM:
                    return event, tuple(failed)
                _show(event, progress)
            if ended:
                raise _not_started(process.returncode, log, failed)
            if time.monotonic() > deadline:
                raise Failure("the platform was not ready in time", f"what it waits for is in {log}")
            progress.tick()
            time.sleep(_LOOK_EVERY_S)


def _not_started(code: int, log: Path, failed: list[Event]) -> Failure:
    if failed:
        first = failed[0]
        return Failure(f"{first.part} did not start: {first.cause}", first.fix or f"the whole story is in {log}")
    return Failure(f"the supervisor ended with {code} while starting{_ending_of(log)}", f"the whole log: {log}")


def _show(event: Event, progress: Progress) -> None:
    if event.event == "starting":
        progress.starting(event.part)
    elif event.event == "ready":
        progress.ready(event.part)


def _end(process: subprocess.Popen[bytes]) -> None:
    """After a start that came to nothing: let the supervisor stop what it had started."""
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _stay(started: Started, data: DataDirectory, out: TextIO) -> None:
    """Until the platform ends, telling what dies and comes back meanwhile."""
    log = data.log_file("supervisor")
    with GrowingFile(log) as file:
        list(file.new_lines())
        while started.process.poll() is None:
            for event in filter(None, map(read_event, file.new_lines())):
                print(f"{event.part} {event.event}{f': {event.cause}' if event.cause else ''}", file=out, flush=True)
            time.sleep(_LOOK_AGAIN_S)
    code = started.process.returncode
    if code != 0:
        raise Failure(f"the platform ended with {code}{_ending_of(log)}", f"the whole log: {log}")


def _stop(started: Started, out: TextIO) -> None:
    """The one orderly stop that Ctrl-C, SIGTERM and a closed terminal ask for; asking again does not hurry it."""
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
    print("\nstopping …", file=out, flush=True)
    started.process.terminate()
    started.process.wait()
    print("stopped", file=out, flush=True)


def _already(data: DataDirectory) -> Failure:
    state = data.read_state()
    where = f" at {state.endpoint}" if state else ""
    return Failure(f"a platform is already running from {data.root}{where}", "stop it with `longshore down`", ExitCode.ALREADY_RUNNING)


def _ending_of(log: Path) -> str:
    lines = [line.decode(errors="replace") for line in last_lines(log, 8) if read_event(line) is None]
    return ":\n" + "\n".join(f"    {line}" for line in lines) if lines else ""


def _write_profile(platform: PlatformConfig, environment: Environment) -> str | None:
    """What stands in the way of writing the AWS profile; the platform is up either way."""
    assert platform.server is not None
    try:
        server = platform.server
        profile.write(server.endpoint, server.region, server.credentials, environment, server.tls.ca_bundle if server.tls else None)
    except (OSError, UnicodeDecodeError) as error:
        return str(error)
    return None


def _trust_text(platform: PlatformConfig) -> list[str]:
    tls = platform.server.tls if platform.server else None
    return [f"  trust           {tls.ca_bundle}  (`longshore ca` prints it)"] if tls and tls.ca_bundle else []


def _insecure_text(platform: PlatformConfig) -> list[str]:
    return [f"  INSECURE        {words}" for words in open_doors(platform.server)] if platform.server else []


def _ready_text(started: Started, platform: PlatformConfig, profile_error: str | None, detach: bool) -> str:
    ready = started.ready
    instances = ", ".join(f"{agent.name} ({agent.address}, {agent.zone})" for agent in platform.agents)
    lines = [
        f"Longshore is ready ({started.seconds:.1f} s)",
        f"  endpoint        {ready.endpoint}",
        f"  registry        {ready.registry}",
        *_trust_text(platform),
        *_insecure_text(platform),
        f"  load balancers  {ready.load_balancers}",
        f"  instances       {instances or 'none yet: join machines with `longshore agent`'}",
        f"  aws profile     {profile.NAME}" if profile_error is None else f"  aws profile     not written: {profile_error}",
    ]
    lines += [f"  {event.part} did not start: {event.cause}  → {event.fix}" for event in started.failed]
    lines.append('Use it: eval "$(longshore env)"   ' + ("Stop it: longshore down" if detach else "Stop it: Ctrl-C"))
    return "\n".join(lines)
