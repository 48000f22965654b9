"""One server per data directory: a lock that the kernel lets go of when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from longshore.store.base import StoreLocked


class DirectoryLock:
    """Held from construction to `release`. Raises StoreLocked, naming the holder's process id."""

    def __init__(self, directory: Path) -> None:
        path = directory / "lock"
        # Python opens with O_CLOEXEC, so that no child (HAProxy, a container engine) can inherit the lock and outlive us with it.
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise StoreLocked(f"{directory} is in use by another Longshore server (process {holder})") from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
