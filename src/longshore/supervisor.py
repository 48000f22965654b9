"""One process that starts the others, tells how that goes, and starts again what dies.

Each part is a child in a process group of its own with its log in the data directory. A part says on its standard output,
in one JSON line, that it is ready or why it cannot be; the supervisor passes that on, line by line, to whoever started it
(the CLI draws it). HAProxy belongs to the server and outlives it when it is killed, and so do the tasks of a killed agent:
what is started again finds them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from longshore.config import DataDirectory, InstanceState, PartState, PlatformConfig, State, read_platform
from longshore.environment import without_secrets
from longshore.kit.backoff import backoff_s
from longshore.kit.ids import RandomIds
from longshore.kit.logs import appended, rotation_of

#: a part that ran this long before it died is started again at once
STABLE_S = 30.0
#: how long a part may take to say that it is ready
READY_WITHIN_S = 60.0
_MOST_LOG_BYTES = 4 << 20
#: how long a part may take to stop
STOP_WITHIN_S = {"server": 20.0, "agent": 45.0}


def supervise(config_file: Path, handed: str = "") -> int:
    """`handed` is the master key, where it came from the environment: it goes on to each server and nowhere else."""
    return asyncio.run(_Supervisor(config_file, handed).run())


@dataclass
class _Part:
    name: str
    arguments: list[str]
    log_file: Path
    process: asyncio.subprocess.Process | None = None
    #: held while it is being started, so that whoever ends it finds the process that runs
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    failure: dict[str, str] | None = None
    #: what its ready line told beside being ready
    facts: dict[str, Any] = field(default_factory=dict)


class _Supervisor:
    def __init__(self, config_file: Path, handed: str = "") -> None:
        self._config_file = config_file
        self._handed = handed
        self._platform: PlatformConfig = read_platform(config_file)
        root = self._platform.server.data_dir if self._platform.server else self._platform.agents[0].data_dir
        self._directory = DataDirectory(root)
        #: of what is said here; a part that dies again and again is told of each time
        self._rotation = rotation_of(self._directory.log_file("supervisor"), (1, 2), most=_MOST_LOG_BYTES, kept=2)
        self._stopping = asyncio.Event()
        self._keep_tasks = False
        self._ids = RandomIds()
        self._parts: list[_Part] = []
        self._changed = asyncio.Event()
        self._started_at = time.time()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stopping.set)
        loop.add_signal_handler(signal.SIGINT, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._stop_keeping_tasks)
        self._directory.prepare()
        self._parts = self._all_parts()
        jobs = [asyncio.create_task(self._keep_running(part), name=part.name) for part in self._parts]
        started = await self._wait_until_ready()
        if started:
            self._tell_ready()
            state_job = asyncio.create_task(self._keep_state(), name="state")
            jobs.append(state_job)
            await self._stopping.wait()
        _say(event="stopping", part="platform")
        self._stopping.set()
        await self._stop(jobs)
        self._directory.forget_state()
        _say(event="stopped", part="platform")
        return 0 if started else 1

    def _stop_keeping_tasks(self) -> None:
        self._keep_tasks = True
        self._stopping.set()

    def _all_parts(self) -> list[_Part]:
        parts = []
        if self._platform.server:
            parts.append(self._part("server", "server"))
        parts.extend(self._part(agent.name, "agent", "--name", agent.name) for agent in self._platform.agents)
        return parts

    def _part(self, name: str, role: str, *more: str) -> _Part:
        arguments = [sys.executable, "-m", "longshore.main", role, "--config", str(self._config_file), *more]
        return _Part(name, arguments, self._directory.log_file(name))

    # ── starting ──

    async def _wait_until_ready(self) -> bool:
        """True when everything needed is up. An agent that cannot start is told about and does not hold up the rest."""
        for part in self._parts:
            waits = [asyncio.create_task(part.ready.wait()), asyncio.create_task(self._stopping.wait())]
            await asyncio.wait(waits, timeout=READY_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            if self._stopping.is_set():
                return False
            if not part.ready.is_set():
                part.failure = {"cause": f"it was not ready within {READY_WITHIN_S:.0f} s", "fix": f"see {part.log_file}"}
                _say(event="failed", part=part.name, **part.failure)
            if part.failure is not None and (part.name == "server" or self._platform.server is None):
                return False
        return True

    async def _keep_running(self, part: _Part) -> None:
        failures = 0
        await self._until_there_is_something_to_trust(part)
        while not self._stopping.is_set():
            began = time.monotonic()
            _say(event="starting" if failures == 0 else "restarting", part=part.name)
            async with part.starting:
                if self._stopping.is_set():
                    return
                await self._start(part)
            code = await self._attend(part)
            if self._stopping.is_set():
                return
            if time.monotonic() - began > STABLE_S:
                failures = 0
            if code == 5 or (part.name == "server" and not part.ready.is_set()) or (part.failure is not None and failures == 0):
                part.failure = part.failure or {"cause": f"it ended with exit code {code}", "fix": f"see {part.log_file}"}
                if not part.ready.is_set():
                    _say(event="failed", part=part.name, **part.failure)
                    part.ready.set()
                if code == 5 or part.name == "server":
                    return
            wait = backoff_s(failures, self._ids.fraction(), first_s=0.05, most_s=10.0)
            failures += 1
            _say(event="died", part=part.name, cause=_how_it_ended(code))
            if self._rotation is not None:
                self._rotation.look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)

    async def _until_there_is_something_to_trust(self, part: _Part) -> None:
        """The server makes its authority at its first start, and agents read that certificate at theirs."""
        tls = self._platform.server.tls if self._platform.server else None
        if part.name == "server" or tls is None or tls.ca_bundle is None or tls.ca_bundle.exists():
            return
        waits = [asyncio.create_task(self._parts[0].ready.wait()), asyncio.create_task(self._stopping.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _start(self, part: _Part) -> None:
        part.log_file.parent.mkdir(parents=True, exist_ok=True)
        with appended(part.log_file) as log_file:
            handed = self._handed if part.name == "server" else ""
            part.process = await asyncio.create_subprocess_exec(
                *part.arguments,
                *(["--handed"] if handed else []),
                stdin=asyncio.subprocess.PIPE if handed else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log_file,
                start_new_session=True,
                env=without_secrets(),
            )
        if part.process.stdin is not None:
            part.process.stdin.write(f"{handed}\n".encode())
            part.process.stdin.close()
        self._changed.set()

    async def _attend(self, part: _Part) -> int:
        """Read what the part says until it ends; returns its exit code."""
        assert part.process is not None and part.process.stdout is not None
        async for line in part.process.stdout:
            try:
                said = msgspec.json.decode(line, type=dict[str, Any])
            except msgspec.DecodeError:
                continue
            if said.get("event") == "ready":
                first = not part.ready.is_set()
                part.facts = {key: value for key, value in said.items() if key not in ("event", "part")}
                part.failure = None
                part.ready.set()
                self._changed.set()
                _say(event="ready" if first else "recovered", part=part.name)
            elif said.get("event") == "master-key" and part.name == "server":
                self._handed = str(said.get("key", ""))  # another one than before: what is started next needs it
            elif said.get("event") == "failed":
                # a part that goes on trying holds nobody up: it is told about now, and told as recovered when it is ready
                part.failure = {"cause": str(said.get("cause", "")), "fix": str(said.get("fix", ""))}
                if not part.ready.is_set():
                    _say(event="failed", part=part.name, **part.failure)
                    part.ready.set()
        return await part.process.wait()

    # ── while it runs ──

    def _tell_ready(self) -> None:
        self._directory.write_state(self._state())
        server = self._platform.server
        if server is None:
            _say(event="ready", part="platform", endpoint=self._platform.agents[0].endpoint, registry="", load_balancers="")
            return
        _say(
            event="ready",
            part="platform",
            endpoint=server.endpoint,
            registry=server.registry,
            load_balancers=self._load_balancers(),
        )

    def _load_balancers(self) -> str:
        server = self._platform.server
        return f"{server.load_balancer_network}N, and 127.0.0.1 by host name" if server else ""

    async def _keep_state(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._directory.write_state(self._state())
            await asyncio.sleep(0.2)

    def _state(self) -> State:
        server, agents = self._platform.server, self._platform.agents
        parts = [PartState(name=part.name, pid=part.process.pid) for part in self._parts if part.process is not None]
        haproxy = next((part.facts.get("haproxy_pid") for part in self._parts if part.name == "server"), None)
        if isinstance(haproxy, int):
            parts.append(PartState(name="haproxy", pid=haproxy))
        return State(
            pid=os.getpid(),
            started_at=self._started_at,
            endpoint=server.endpoint if server else agents[0].endpoint,
            registry=server.registry if server else "",
            load_balancers=self._load_balancers(),
            account_id=server.account_id if server else "",
            region=server.region if server else agents[0].region,
            zones=server.zones if server else tuple(agent.zone for agent in agents),
            dev=bool(server and server.dev),
            ca_bundle=_text(server.tls.ca_bundle if server and server.tls else None if server else agents[0].ca_bundle),
            parts=tuple(parts),
            instances=tuple(
                InstanceState(name=agent.name, instance_id=agent.instance_id, address=agent.address, zone=agent.zone) for agent in agents
            ),
        )

    # ── stopping ──

    async def _stop(self, jobs: list[asyncio.Task[None]]) -> None:
        """Agents first, so that they can still tell the server; then the server with its load balancers."""
        agents = [part for part in self._parts if part.name != "server"]
        await asyncio.gather(*(self._end(part, signal.SIGTERM if self._keep_tasks else signal.SIGINT, "agent") for part in agents))
        await asyncio.gather(*(self._end(part, signal.SIGTERM, "server") for part in self._parts if part.name == "server"))
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    async def _end(self, part: _Part, how: signal.Signals, role: str) -> None:
        async with part.starting:
            process = part.process
        if process is None or process.returncode is not None:
            return
        _say(event="stopping", part=part.name)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
        try:
            await asyncio.wait_for(process.wait(), STOP_WITHIN_S[role])
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        _say(event="stopped", part=part.name)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _say(**facts: str) -> None:
    with contextlib.suppress(BrokenPipeError, OSError):
        sys.stdout.write(msgspec.json.encode(facts).decode() + "\n")
        sys.stdout.flush()
