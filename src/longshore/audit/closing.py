"""Closing files of the audit log, and beginning where the last process left off. All of it on the log's own thread."""

from __future__ import annotations

import hashlib
import logging
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from longshore.audit.layout import (
    ALGORITHM,
    CLOSED,
    DIGEST,
    HEAD,
    OPEN,
    PUBLIC_KEY,
    Digest,
    FileDigest,
    Growing,
    Head,
    NotSigned,
    files_of,
    fingerprint,
    hash_of,
    key_of,
    number_of,
    opened,
    public_pem,
    signed,
)
from longshore.audit.record import moment, seconds_of

log = logging.getLogger("longshore.audit")

_PIECE = 1 << 20
#: zlib's word for what gzip reads
_GZIP = 31
#: zlib's fastest: records are alike, and it is done while requests are answered
_LEVEL = 1
#: a finding is a sentence; no more of them in one digest
_MOST_FINDINGS = 50


class _Times(msgspec.Struct, frozen=True, rename="camel"):
    event_time: str


_read_times = msgspec.json.Decoder(_Times).decode


@dataclass(eq=False, slots=True)
class Opened:
    """A file without a digest, as this process has written it (or found it)."""

    path: Path
    descriptor: int
    #: of what was appended
    hash: Any
    began: float = 0.0
    ends: float = 0.0
    length: int = 0
    records: int = 0
    #: bytes that it has room for, whatever becomes of the disk
    reserved: int = 0
    #: its digest is made, and it closed: set on the thread, never taken back
    done: bool = False

    def growing(self) -> Growing:
        return Growing(self.path.name, self.length, self.records, self.hash.copy().hexdigest())


class Closed(msgspec.Struct, frozen=True):
    """A file with its digest. `oldest` and `newest` are the earliest and the latest time in it, in seconds since the epoch; from the
    beginning to the end of time where they cannot be told."""

    number: int
    path: Path
    oldest: float
    newest: float
    size: int
    #: when its digest was made: its age counts from there, whatever its records say
    made: float


class Closer:
    """`closed` is replaced as a whole, so that it can be read from the event loop."""

    def __init__(self, directory: Path, raw_key: bytes, installation: str, *, kept_s: float, kept_bytes: int) -> None:
        self.directory = directory
        self._key = key_of(raw_key)
        self.public = self._key.public_key()
        self.fingerprint = fingerprint(self.public)
        self._installation = installation
        self._kept_s = kept_s
        self._kept_bytes = kept_bytes
        self.first = 1
        #: of the last digest
        self.last = 0
        self.last_hash = ""
        self._last_file = ""
        #: the last number in use
        self.newest = 0
        #: what the next digest has to say
        self.findings: list[str] = []
        self.closed: tuple[Closed, ...] = ()

    def has_too_much(self, now: float) -> bool:
        closed = self.closed
        return bool(closed) and (closed[0].made < now - self._kept_s or sum(one.size for one in closed) > self._kept_bytes)

    def go_on(self, pending: tuple[Opened, ...], growing: tuple[Growing, ...], descriptor: int | None, now: float) -> None:
        """Make digests of `pending`, sign how far the files without one (`growing`) are, let go of what is too old."""
        try:
            for file in pending:
                if not file.done:
                    self._close(file, now)
                    growing = tuple(one for one in growing if one.file != file.path.name)
            self._trim(growing, now)
            if descriptor is not None:
                os.fdatasync(descriptor)
        except OSError as problem:
            log.error("the audit log %s: %s", self.directory, problem)

    # ── closing ──

    def _close(self, file: Opened, now: float) -> None:
        content = _packed(file)
        if content.hash != file.hash.hexdigest():
            self._note(f"{file.path.name} was changed while it was open: {file.records} records of {file.length} bytes were written to it")
        elif not os.fstat(file.descriptor).st_nlink:
            self._note(f"{file.path.name} was removed while it was open; it was brought back")
        closed = file.path.with_suffix(CLOSED)
        _write(closed, content.packed)
        log_file = FileDigest(
            closed.name, hash_of(content.packed), content.hash, content.length, content.records, content.oldest, content.newest
        )
        digest = Digest(
            number=_number(file.path),
            installation=self._installation,
            made_at=moment(int(now)),
            log_file=log_file,
            public_key_fingerprint=self.fingerprint,
            signature_algorithm=ALGORITHM,
            previous_digest_file=self._last_file,
            previous_digest_hash_value=self.last_hash,
            findings=tuple(self.findings[:_MOST_FINDINGS]),
        )
        made = signed(self._key, digest)
        path = file.path.with_suffix(DIGEST)
        _write(path, made)
        self.findings = []
        self.last, self.last_hash, self._last_file = digest.number, hash_of(made), path.name
        self.closed = (*self.closed, _closed(self.directory, digest, len(content.packed)))
        file.done = True
        file.path.unlink(missing_ok=True)
        os.close(file.descriptor)

    def _note(self, problem: str) -> None:
        log.error("the audit log %s: %s", self.directory, problem)
        self.findings.append(problem)

    # ── the head, and what is kept ──

    def _trim(self, growing: tuple[Growing, ...], now: float) -> None:
        kept, size = list(self.closed), sum(one.size for one in self.closed)
        gone = []
        while kept and (kept[0].made < now - self._kept_s or size > self._kept_bytes):
            gone.append(kept.pop(0))
            size -= gone[-1].size
        if gone:
            self.first, self.closed = gone[-1].number + 1, tuple(kept)
        head = Head(self._installation, moment(int(now)), self.first, self.last, self.last_hash, growing)
        # it says first what is no longer there: what is removed without that has been taken away
        _write(self.directory / HEAD, signed(self._key, head), durable=bool(gone))
        for one in gone:
            one.path.unlink(missing_ok=True)
            (self.directory / one.path.name.replace(CLOSED, DIGEST)).unlink(missing_ok=True)

    # ── the start ──

    def find_again(self) -> list[Opened]:
        """The files that were never closed. What is not as the last process left it becomes a finding. Raises OSError."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._show_key()
        head = self._head()
        self._read_digests(head)
        found, grown = [], {one.file: one for one in head.growing} if head else {}
        for path in files_of(self.directory, OPEN):
            if path.with_suffix(DIGEST).exists():
                path.unlink()  # it was about to be
                continue
            file = _reopened(path)
            if (known := grown.pop(path.name, None)) is not None and not _holds(file, known):
                self._note(f"{path.name} is not as it was left: {known.records} records of {known.length} bytes were written to it")
            found.append(file)
        for name, known in grown.items():
            if known.records and not (self.directory / name).with_suffix(DIGEST).exists():
                self._note(f"{name} is gone, which had {known.records} records")
        numbers = (number_of(path.name) for path in self.directory.iterdir())
        self.newest = max([self.last, head.last if head else 0, *(number for number in numbers if number is not None)])
        return found

    def _show_key(self) -> None:
        path, pem = self.directory / PUBLIC_KEY, public_pem(self.public)
        shown = path.read_bytes() if path.exists() else b""
        if shown and shown != pem:
            self._note(f"{PUBLIC_KEY} was another one than what is signed with")
        if shown != pem:
            _write(path, pem)

    def _head(self) -> Head | None:
        path = self.directory / HEAD
        if not path.exists():
            if any(files_of(self.directory, DIGEST)):
                self._note(f"{HEAD} is gone")
            return None
        try:
            return opened(self.public, path.read_bytes(), Head)
        except NotSigned:
            self._note(f"{HEAD} was changed, or is signed with another key")
            return None

    def _read_digests(self, head: Head | None) -> None:
        paths = files_of(self.directory, DIGEST)
        numbers = [_number(path) for path in paths]
        self.first = head.first if head else min(numbers, default=1)
        closed = []
        for path in paths:
            content = path.read_bytes()
            try:
                digest = opened(self.public, content, Digest)
            except NotSigned:
                self._note(f"{path.name} was changed, or is signed with another key")
                continue
            if head is not None and digest.number == head.last and hash_of(content) != head.last_hash_value:
                self._note(f"{path.name} is not the one that was made last")
            file = self.directory / digest.log_file.file
            if digest.number >= self.first:
                closed.append(_closed(self.directory, digest, file.stat().st_size if file.exists() else 0))
            self.last, self.last_hash, self._last_file = digest.number, hash_of(content), path.name
        self.closed = tuple(closed)
        if head is not None and self.last < head.last:
            self._note(f"digests after number {self.last} are gone: there were {head.last}")
            self.last, self.last_hash = head.last, head.last_hash_value


def _reopened(path: Path) -> Opened:
    """A file of a process that has ended; what is no whole line was never acknowledged, and goes."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) != len(content):
        log.warning("%s: %d bytes of a record that was never finished are cut off", path.name, len(content) - len(whole))
        os.ftruncate(descriptor, len(whole))
    return Opened(path, descriptor, hashlib.sha256(whole), length=len(whole), records=whole.count(b"\n"))


def _holds(file: Opened, known: Growing) -> bool:
    """Whether it begins with what was written down of it."""
    return file.length >= known.length and hash_of(os.pread(file.descriptor, known.length, 0)) == known.content_hash_value


class _Content(NamedTuple):
    """What is in a file, packed, and told of it. `oldest` and `newest` need not be the first and the last time: clocks are set back."""

    packed: bytes
    hash: str
    length: int
    records: int
    oldest: str
    newest: str


def _packed(file: Opened) -> _Content:
    """Piece by piece: a file is larger than what the server otherwise needs at once."""
    packing, hashed, packed = zlib.compressobj(_LEVEL, wbits=_GZIP), hashlib.sha256(), []
    at, records, rest, oldest, newest = 0, 0, b"", "", ""
    while at < file.length and (piece := os.pread(file.descriptor, min(_PIECE, file.length - at), at)):
        at += len(piece)
        hashed.update(piece)
        packed.append(packing.compress(piece))
        records += piece.count(b"\n")
        lines = (rest + piece).split(b"\n")
        rest = lines.pop() if at < file.length else b""  # what a piece cuts goes on in the next
        for line in lines:
            if said := _time_of(line):
                oldest, newest = min(oldest or said, said), max(newest, said)
    packed.append(packing.flush())
    if newest and not (_is_time(oldest) and _is_time(newest)):  # somebody else wrote it
        oldest = newest = ""
    return _Content(b"".join(packed), hashed.hexdigest(), at, records, oldest, newest)


def _time_of(line: bytes) -> str:
    try:
        return _read_times(line).event_time
    except msgspec.MsgspecError:
        return ""


def _is_time(said: str) -> bool:
    try:
        seconds_of(said)
    except ValueError:
        return False
    return True


def _closed(directory: Path, digest: Digest, size: int) -> Closed:
    of = digest.log_file
    oldest = seconds_of(of.oldest_event_time) if of.oldest_event_time else 0.0
    newest = seconds_of(of.newest_event_time) if of.newest_event_time else float("inf")
    return Closed(digest.number, directory / of.file, oldest, newest, size, seconds_of(digest.made_at))


def _number(path: Path) -> int:
    number = number_of(path.name)
    assert number is not None, "a file of ours"
    return number


def _write(path: Path, content: bytes, *, durable: bool = True) -> None:
    """The whole file or none of it, readable by its owner only."""
    beside = path.with_name(f".{path.name}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    beside.replace(path)
