"""HAProxy as a process: a master that outlives us, so that a kill of the server cuts no connection.

It has a session of its own and none of our descriptors. Whoever starts later finds it by its master socket and takes it over.
When a worker dies the master goes with it (and when the master dies, so do its workers): one thing to watch.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import subprocess
from pathlib import Path

from longshore.balancer.access_log.spool import begin_spool
from longshore.balancer.files import write
from longshore.balancer.render.places import Places
from longshore.balancer.runtime import RuntimeFailed, ask_master, failures_in, processes_in
from longshore.kit.clock import Clock
from longshore.kit.logs import begun_anew

log = logging.getLogger("longshore.balancer")

#: where packages put it, in case the search path of whoever starts us lacks them
_USUAL_PLACES = "/usr/sbin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin"
_POLL_S = 0.1
_GRACE_S = 1.5
_END_S = 3.0
_CHECK_S = 60.0
_DEAF_S = 5.0
_MOST_LOG_BYTES = 8 * 1024 * 1024


class CannotRun(Exception):
    """HAProxy cannot be started; says why and what to do."""


class HAProxy:
    def __init__(self, binary: str, places: Places, log_file: Path, clock: Clock) -> None:
        self._binary = binary
        self._places = places
        self._log_file = log_file
        self._clock = clock
        self.pid: int | None = None
        #: reloads that the master counted as failed before the last one
        self._failures = 0
        self._is_remembered = True

    def __repr__(self) -> str:
        return f"HAProxy(pid={self.pid})"

    def program(self) -> str | None:
        return shutil.which(self._binary) or shutil.which(self._binary, path=_USUAL_PLACES)

    async def adopt(self) -> bool:
        """Take over one that runs already in this directory. One that does not answer is ended."""
        self.pid = self._recorded_pid()
        if self.pid is None:
            return False
        try:
            await self.worker()
        except RuntimeFailed as problem:
            log.error("HAProxy (process %s) is there but cannot be taken over: %s", self.pid, problem)
            await self.stop()
            return False
        return True

    def _recorded_pid(self) -> int | None:
        """Of the master that was started last, when it still runs. Its process id stays the same from reload to reload."""
        try:
            pid = int(self._pid_file().read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if self._places.config in _command_of(pid) else None

    async def worker(self) -> int:
        """Process id of the worker that serves now, waiting for a reload that is under way. Raises RuntimeFailed."""
        begun = self._clock.now()
        while True:
            workers = await self.workers()
            if workers:
                return workers[0]
            if self._clock.now() - begun > _DEAF_S:
                raise RuntimeFailed("the master has no worker")
            await self._clock.sleep(0.005)

    async def ask(self, line: str) -> str:
        """One command to the master, which is deaf for a moment after each reload. Raises RuntimeFailed."""
        begun = self._clock.now()
        while True:
            try:
                return await ask_master(self._places.master_socket, line)
            except RuntimeFailed:
                if self._clock.now() - begun > _DEAF_S or not self.is_alive():
                    raise
            await self._clock.sleep(0.005)

    async def workers(self) -> list[int]:
        """Process ids, the one that serves now first."""
        return [process.pid for process in processes_in(await self.ask("show proc")) if not process.is_master]

    def start(self) -> None:
        """Raises CannotRun."""
        program = self.program()
        if program is None:
            raise CannotRun("HAProxy is not installed")
        places = self._places
        Path(places.master_socket).unlink(missing_ok=True)
        # Buffers that one thread has no use for are kept for all: given back to the system, ours (they are large) are asked for again
        # at once, and a tenth of a request's time goes there.
        arguments = [program, "-W", "-dMglobal", "-S", f"{places.master_socket},mode,600", "-f", places.config]
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.bound_log()
        spool = _spool(Path(places.spool))
        try:
            self.pid = os.posix_spawn(
                program,
                arguments,
                {"PATH": _USUAL_PLACES + ":/usr/bin:/bin"},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    # Lines about requests: it writes each by itself, whoever reads them (access_log/).
                    (os.POSIX_SPAWN_DUP2, spool, 1),
                    (os.POSIX_SPAWN_OPEN, 2, str(self._log_file), flags, 0o600),
                ],
                setsid=True,
                # Python ignores SIGPIPE, and what is ignored is inherited.
                setsigdef=[signal.SIGPIPE],
            )
        except OSError as problem:
            raise CannotRun(f"{program} cannot be started: {problem.strerror}") from problem
        finally:
            os.close(spool)
        self._failures = 0
        self._remember_pid()

    def bound_log(self) -> None:
        """Begins its log anew when there is much of it. It tells of every check that changes something, for as long as it runs."""
        with contextlib.suppress(OSError):
            begun_anew(self._log_file, _MOST_LOG_BYTES)

    def _remember_pid(self) -> None:
        """For whoever takes it over: the whole of it or what was there before, and requests are served in either case."""
        try:
            write(self._pid_file(), f"{self.pid}\n".encode())
            self._is_remembered = True
        except OSError as problem:
            self._is_remembered = False
            log.error("the process id of HAProxy (%s) cannot be written down: %s", self.pid, problem)

    async def reload(self) -> None:
        if not self._is_remembered:
            self._remember_pid()
        self._failures = failures_in(await self.ask("show proc"))
        await self.ask("reload")

    async def has_failed_to_reload(self) -> bool:
        """Whether the last reload left everything as it was. False while that is not known."""
        try:
            return failures_in(await self.ask("show proc")) > self._failures
        except RuntimeFailed:
            return False

    async def refusal(self, path: str) -> str:
        """What `haproxy -c` has against the configuration at `path`; empty when it would do."""
        program = self.program()
        if program is None:
            return ""
        process = await asyncio.create_subprocess_exec(
            program, "-c", "-f", path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={}
        )
        try:
            async with asyncio.timeout(_CHECK_S):
                _, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode == 0:
            return ""
        lines = [line for line in errors.decode(errors="replace").splitlines() if "[ALERT]" in line]
        return (lines[0].partition(" : ")[2] if lines else errors.decode(errors="replace")).strip()[:500] or "it is not accepted"

    def is_alive(self) -> bool:
        if self.pid is None:
            return False
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(self.pid, os.WNOHANG)[0] == self.pid:
                return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return not _is_dead(self.pid)

    async def ended(self) -> None:
        """Returns when it has ended, which it never should."""
        pid = self.pid
        if pid is None:
            return
        try:
            descriptor = os.pidfd_open(pid)
        except (AttributeError, OSError):
            while self.is_alive():
                await self._clock.sleep(_POLL_S)
            return
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        loop.add_reader(descriptor, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        self.is_alive()

    async def stop(self) -> None:
        """Lets requests that have begun end, for a moment; then ends it."""
        with contextlib.suppress(RuntimeFailed):
            await self.ask("show proc")  # a signal during a reload would be lost
        for wanted, grace_s in ((signal.SIGUSR1, _GRACE_S), (signal.SIGTERM, _END_S), (signal.SIGKILL, _END_S)):
            if not self.is_alive() or self.pid is None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, wanted)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self.ended()
        self.pid = None
        self._pid_file().unlink(missing_ok=True)

    def _pid_file(self) -> Path:
        return Path(self._places.directory, "haproxy.pid")


def _spool(path: Path) -> int:
    """Where lines about requests go. A disk that is full takes none of them, and requests are served all the same."""
    try:
        return begin_spool(path)
    except OSError as problem:
        log.error("access logs are not kept, since %s cannot be written: %s", path, problem)
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def _is_dead(pid: int) -> bool:
    """Ended, and not yet taken note of by its parent, which is not always us: not every first process of a container does that."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    except (OSError, IndexError):
        return False


def _command_of(pid: int) -> str:
    """The command line of a process; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        if Path("/proc/self").exists():
            return ""
    # Not Linux.
    return subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
