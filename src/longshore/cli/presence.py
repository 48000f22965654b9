"""Whether a platform runs from a data directory, and how to get hold of it.

The supervisor holds a lock on `run/lock` for as long as it lives, handed down to it when it is started; the kernel lets go
of it however the supervisor ends. The file holds the supervisor's process id.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from pathlib import Path

from longshore.cli.outcome import ExitCode, Failure
from longshore.config import DataDirectory, State

_LOOK_EVERY_S = 0.05


def _lock_file(data: DataDirectory) -> Path:
    return data.root / "run" / "lock"


def take_lock(data: DataDirectory) -> int | None:
    """A descriptor that holds the lock until its last copy is closed; None when a supervisor has it."""
    descriptor = os.open(_lock_file(data), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    # A command that only looks holds the lock for a moment, so one refusal is not an answer yet.
    for _ in range(5):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOOK_EVERY_S)
        else:
            return descriptor
    os.close(descriptor)
    return None


def note_supervisor(descriptor: int, pid: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{pid}\n".encode(), 0)


def supervisor_pid(data: DataDirectory) -> int | None:
    """The process that runs the platform of this data directory, also while it is still starting; None when none does."""
    try:
        descriptor = os.open(_lock_file(data), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 32, 0).strip()
        return int(text) if text.isdigit() else 0
    else:
        return None
    finally:
        os.close(descriptor)


def running_state(data: DataDirectory) -> State:
    """The platform that runs from `data`; raises Failure with NOT_RUNNING, or when it is still starting."""
    pid = supervisor_pid(data)
    if pid is None:
        raise not_running(data)
    state = data.read_state()
    if state is None or state.pid != pid:
        raise Failure(f"the platform in {data.root} is still starting", "wait a moment, or look at `longshore logs supervisor`")
    return state


def not_running(data: DataDirectory) -> Failure:
    return Failure(
        f"no platform is running from {data.root}",
        "start it with `longshore up`; if it uses another directory, name it with --data-dir",
        ExitCode.NOT_RUNNING,
    )


def stop(data: DataDirectory, timeout_s: float, keep_tasks: bool = False) -> None:
    """Asks the supervisor to stop everything and waits until it has; raises Failure when nothing runs or it takes too long.

    `keep_tasks`: containers of tasks go on and are found again at the next start.
    """
    pid = supervisor_pid(data)
    if pid is None:
        raise not_running(data)
    if pid == 0:
        raise Failure(f"a platform is just being started from {data.root}", "try again in a moment")
    try:
        os.kill(pid, signal.SIGHUP if keep_tasks else signal.SIGTERM)
    except PermissionError as error:
        raise Failure(f"process {pid} belongs to another user", "stop it as the user who started it, or as root") from error
    except ProcessLookupError:
        return
    deadline = time.monotonic() + timeout_s
    while supervisor_pid(data) == pid:
        if time.monotonic() > deadline:
            raise Failure(f"process {pid} is still stopping after {timeout_s:g} s", "look at `longshore logs supervisor`")
        time.sleep(_LOOK_EVERY_S)
