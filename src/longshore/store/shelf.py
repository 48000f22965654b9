"""One set of blobs as files, with its trash and its quarantine: blobs get their names, lose them and get them back.

    <place>/<algorithm>/<first two digits>/<digits>        what can be read
    <trash>/<algorithm>/<first two digits>/<digits>        deleted, and restored by whoever stores or keeps it again
    <quarantine>/<algorithm>/<first two digits>/<digits>   found broken; kept for people to look at, never served

A file's modification time is its stamp: when the blob was last stored or kept, and in the trash when it came there. The stamp
is a lease. Whoever is about to name a blob in the store stores or keeps it first, which renews the stamp; the collector looks
whether anything names the blob and then deletes it only if its stamp is older than the grace. Both happen under the one lock
`naming`, so for any blob either the stamp is first, and the deletion is refused, or the deletion is first, and whoever stores
or keeps finds the blob in the trash and takes it out again (or writes it anew). What was named meanwhile had to be stamped
before it was named, and naming takes far less than the grace. One process owns the directory (the store's lock sees to
that), so a lock in memory is enough.

Moving between these directories is a rename within one file system: after a crash a blob is in one place or the other, whole.
A rename that somebody relies on is on the disk before they are told. Everything here blocks: it is called on threads.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from longshore.kit.clock import Clock
from longshore.store.blobs import Place, split_digest


class Filed(NamedTuple):
    """A file of a shelf: its blob's digest, its bytes on the disk and its stamp."""

    digest: str
    bytes: int
    stamp: float


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Create a directory, and the parents it lacks, for this user alone, so that they are still there after a power failure."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True, mode=0o700)
    sync_directory(path.parent)


class Shelf:
    def __init__(self, place: Path, trash: Path, quarantine: Path, *, clock: Clock, naming: threading.Lock) -> None:
        self.place = place
        self.trash = trash
        self._quarantine = quarantine
        self._clock = clock
        #: held where a blob gets or loses its name: what has just been stored again is not deleted for having been unused
        self._naming = naming

    def __repr__(self) -> str:
        return f"Shelf({self.place})"

    def file_of(self, digest: str) -> Path | None:
        """Where the blob of that digest lies or would lie; None when it is no digest."""
        parts = split_digest(digest)
        if parts is None:
            return None
        algorithm, digits = parts
        return self.place / algorithm / digits[:2] / digits

    def look(self, digest: str) -> Filed | None:
        """None when there is no such blob."""
        file = self.file_of(digest)
        if file is None:
            return None
        try:
            status = file.stat()
        except FileNotFoundError:
            return None
        return Filed(digest, status.st_size, status.st_mtime)

    def stamp(self, file: int | Path) -> None:
        """Note on a file (or its descriptor) that it was stored or written to just now."""
        now = self._clock.now()
        os.utime(file, (now, now))

    def name(self, arrived: Path, target: Path) -> None:
        """Make a blob of a file that is on the disk already."""
        make_directory(target.parent)
        with self._naming:
            self.stamp(arrived)
            arrived.rename(target)
            self._elsewhere(self.trash, target).unlink(missing_ok=True)
        sync_directory(target.parent)

    def keep(self, file: Path) -> bool:
        """Renew the stamp, taking the blob out of the trash if it is there; whether there is one."""
        with self._naming:
            try:
                self.stamp(file)
            except FileNotFoundError:
                return self._restore(file)
            return True

    def _restore(self, file: Path) -> bool:
        thrown = self._elsewhere(self.trash, file)
        try:
            self.stamp(thrown)
        except FileNotFoundError:
            return False
        make_directory(file.parent)
        thrown.rename(file)
        sync_directory(file.parent)
        return True

    def delete(self, file: Path, unused_since: float | None) -> bool:
        thrown = self._elsewhere(self.trash, file)
        with self._naming:
            try:
                if unused_since is not None and file.stat().st_mtime > unused_since:
                    return False
                # The stamp comes first: a crash in between leaves a blob that is collected a little later.
                self.stamp(file)
                self._throw(file, thrown)
            except FileNotFoundError:
                return False
            return True

    def _throw(self, file: Path, thrown: Path) -> None:
        try:
            thrown.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file.rename(thrown)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            # Not even a directory finds room: what nobody needs is what has to go.
            file.unlink()

    def purge(self, file: Path, trashed_before: float) -> bool:
        thrown = self._elsewhere(self.trash, file)
        with self._naming:
            try:
                if thrown.stat().st_mtime > trashed_before:
                    return False
                thrown.unlink()
            except FileNotFoundError:
                return False
            return True

    def quarantine(self, file: Path, stored_at: float) -> bool:
        aside = self._elsewhere(self._quarantine, file)
        make_directory(aside.parent)
        with self._naming:
            try:
                if file.stat().st_mtime != stored_at:
                    return False
                file.rename(aside)
            except FileNotFoundError:
                return False
        sync_directory(file.parent)
        return True

    def quarantined(self) -> Place:
        return usage_of(self._quarantine)

    def pages(self, root: Path) -> Iterator[list[Filed]]:
        """What lies below `root` (the shelf's place or its trash), one directory at a time."""
        for algorithm in _directories(root):
            for beginning in _directories(root / algorithm):
                yield _filed(root / algorithm / beginning, algorithm)

    def _elsewhere(self, root: Path, file: Path) -> Path:
        return root / file.relative_to(self.place)


def _directories(directory: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(directory) if entry.is_dir()]
    except FileNotFoundError:
        return []


def _filed(directory: Path, algorithm: str) -> list[Filed]:
    found = []
    for entry in os.scandir(directory):
        digest = f"{algorithm}:{entry.name}"
        if split_digest(digest) is None:
            continue  # not ours
        try:
            status = entry.stat()
        except FileNotFoundError:
            continue  # deleted meanwhile
        found.append(Filed(digest, status.st_size, status.st_mtime))
    return found


def usage_of(root: Path) -> Place:
    """Of all files below `root`; nothing when it is not there."""
    files = occupied = 0
    for directory, _, names in os.walk(root):
        for name in names:
            try:
                occupied += (Path(directory) / name).stat().st_size
            except FileNotFoundError:
                continue  # it went meanwhile
            files += 1
    return Place(files, occupied)
