"""A place for what must lie in files and never on a disk: private keys that another program reads."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from pathlib import Path

#: file systems that keep what they hold in memory
_MEMORY = frozenset({"tmpfs", "ramfs"})
_PLACES = ("/dev/shm", "/run")
#: file that tells whose a directory is
_OWNER = "owner"


def memory_directory(mounts: Path = Path("/proc/self/mounts")) -> Path | None:
    """A directory on a file system in memory that this user may write to; None where there is none."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return None
    kinds = {words[1]: words[2] for words in lines if len(words) > 2}
    return next((Path(place) for place in _PLACES if kinds.get(place) in _MEMORY and os.access(place, os.W_OK | os.X_OK)), None)


def private_directory(owner: Path, name: str) -> Path | None:
    """A directory in memory for `name` of the data directory `owner`, this user's alone; the same one on every call.

    None where there is no such place, or somebody else has taken it. Raises OSError.
    """
    base = memory_directory()
    if base is None:
        return None
    whose = hashlib.sha256(str(owner.absolute()).encode()).hexdigest()[:16]
    _forget_orphans(base)
    directory = base / f"longshore-{os.geteuid()}-{whose}"
    for each in (directory, directory / name):
        with contextlib.suppress(FileExistsError):
            each.mkdir(mode=0o700)
        status = each.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            return None
    (directory / _OWNER).write_text(str(owner.absolute()))
    return directory / name


def _forget_orphans(base: Path) -> None:
    """Of ours, those whose owner was killed and then removed."""
    for directory in base.glob(f"longshore-{os.geteuid()}-*"):
        with contextlib.suppress(OSError):
            if directory.lstat().st_uid == os.geteuid() and not Path((directory / _OWNER).read_text()).exists():
                shutil.rmtree(directory)


def forget(directory: Path) -> None:
    """With everything in it, and what was made to hold it if nothing else is there."""
    shutil.rmtree(directory, ignore_errors=True)
    with contextlib.suppress(OSError):
        if all(each.name == _OWNER for each in directory.parent.iterdir()):
            shutil.rmtree(directory.parent)
