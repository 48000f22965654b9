"""Is everything there, and as it was written? For whoever has the directory and the public key, whether a server runs or not.

What is looked at: the signature of the head and of every digest, that digests follow one another without a gap and each names the
one before as it is, that every file is the one its digest was made of, that files without a digest begin with what the head says
of them, and that nothing else lies there. So a change of any byte, a file or record that was taken away, moved or added is found. What
this cannot see is a directory that was set back as a whole to what it once was: compare `last` with what the running server says, or
with a digest that was kept elsewhere.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from longshore.audit.layout import (
    CLOSED,
    DIGEST,
    HEAD,
    OPEN,
    PUBLIC_KEY,
    Digest,
    Growing,
    Head,
    NotSigned,
    files_of,
    fingerprint,
    hash_of,
    number_of,
    opened,
    public_pem,
)

#: one file holds no more; what unpacks to more is none of ours
_MOST_CONTENT = 1 << 28


class Verified(msgspec.Struct, frozen=True, rename="camel"):
    """What was found. Times are as in eventTime, "" where there are no records."""

    problems: tuple[str, ...]
    public_key_fingerprint: str
    digests: int
    records: int
    #: of those, the ones in files whose digest is yet to be made
    open_records: int
    #: and of those, the ones written since the head was signed: nobody vouches for them yet
    unsigned_records: int
    first: int
    last: int
    oldest_event_time: str
    newest_event_time: str


class _Timed(msgspec.Struct, rename="camel"):
    event_time: str = ""


class _Looking:
    def __init__(self, directory: Path, key: Ed25519PublicKey) -> None:
        self.directory = directory
        self.key = key
        self.problems: list[str] = []
        self.records = self.open_records = self.unsigned = 0
        self.times: list[str] = []

    def read(self, path: Path, kind: type[Head] | type[Digest]) -> tuple[bytes, Head | Digest | None]:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            self.problems.append(f"{path.name} is missing")
            return b"", None
        try:
            return content, opened(self.key, content, kind)
        except NotSigned:
            self.problems.append(f"{path.name} is not what was signed with this key")
            return content, None

    def digests(self, head: Head) -> tuple[int, set[str]]:
        """The last number, and the names of everything that belongs to digests."""
        paths = {number: path for path in files_of(self.directory, DIGEST) if (number := number_of(path.name)) is not None}
        last = max([head.last, *paths])
        names, before, before_name = set(), "", ""
        for number in range(head.first, last + 1):
            path = paths.get(number)
            if path is None:
                self.problems.append(f"the digest number {number} is missing")
                before = before_name = ""
                continue
            content, digest = self.read(path, Digest)
            names |= {path.name, path.name.replace(DIGEST, CLOSED)}
            if isinstance(digest, Digest):
                self._chained(path, digest, number, before, before_name, is_first=number == head.first)
                self._closed_file(digest)
            before, before_name = hash_of(content), path.name
            if number == head.last and before != head.last_hash_value:
                self.problems.append(f"{path.name} is not the digest that {HEAD} names")
        return last, names

    def _chained(self, path: Path, digest: Digest, number: int, before: str, before_name: str, *, is_first: bool) -> None:
        if digest.number != number or path.name.replace(DIGEST, CLOSED) != digest.log_file.file:
            self.problems.append(f"{path.name} has the digest of {digest.log_file.file}")
        named = (digest.previous_digest_file, digest.previous_digest_hash_value)
        if (not is_first and before and named != (before_name, before)) or (number == 1 and named != ("", "")):
            self.problems.append(f"{path.name} does not follow on the digest before it")
        self.problems.extend(f"{path.name} says: {finding}" for finding in digest.findings)

    def _closed_file(self, digest: Digest) -> None:
        told = digest.log_file
        try:
            packed = (self.directory / told.file).read_bytes()
        except FileNotFoundError:
            self.problems.append(f"{told.file} is missing")
            return
        if hash_of(packed) != told.hash_value:
            self.problems.append(f"{told.file} is not as it was closed")
            return
        unpacking = zlib.decompressobj(31)
        content = unpacking.decompress(packed, _MOST_CONTENT)
        if hash_of(content) != told.content_hash_value:
            self.problems.append(f"{told.file} holds something else than its digest says")
        self.records += told.records
        self.times += [at for at in (told.oldest_event_time, told.newest_event_time) if at]

    def growing(self, head: Head, closed: set[str]) -> set[str]:
        """Files without a digest; returns their names."""
        known = {one.file: one for one in head.growing}
        names = set()
        for path in files_of(self.directory, OPEN):
            if path.name.replace(OPEN, DIGEST) in closed:
                known.pop(path.name, None)
                names.add(path.name)  # it has got its digest and is about to go
                continue
            names.add(path.name)
            self._growing_file(path, known.pop(path.name, None))
        for name in known:
            if name.replace(OPEN, DIGEST) not in closed and known[name].records:
                self.problems.append(f"{name} is missing")
        return names

    def _growing_file(self, path: Path, known: Growing | None) -> None:
        content = path.read_bytes()
        length, records = (known.length, known.records) if known else (0, 0)
        if known is not None and hash_of(content[:length]) != known.content_hash_value:
            self.problems.append(f"{path.name} is not as it was written")
        rest = content[length : content.rfind(b"\n") + 1]
        for line in rest.splitlines():
            try:
                msgspec.json.decode(line, type=dict)
            except msgspec.MsgspecError:
                self.problems.append(f"{path.name} has a line that is no record")
                break
        self.open_records += records + rest.count(b"\n")
        self.records += records + rest.count(b"\n")
        self.unsigned += rest.count(b"\n")
        self._told_times(content[: length + len(rest)])

    def _told_times(self, content: bytes) -> None:
        """Of whole lines, which stand in the order in which they were written."""
        end = content.rfind(b"\n")
        for line in (content[: content.find(b"\n")], content[content.rfind(b"\n", 0, end) + 1 : end]) if end > 0 else ():
            with suppress(msgspec.MsgspecError):  # it has been told of already
                self.times += [at for at in (msgspec.json.decode(line, type=_Timed).event_time,) if at]

    def strangers(self, names: set[str], first: int) -> None:
        for path in sorted(self.directory.iterdir()):
            if path.name in names or path.name in (HEAD, PUBLIC_KEY) or path.name.startswith("."):
                continue
            number = number_of(path.name)
            if number is None or number >= first:
                self.problems.append(f"{path.name} belongs to nothing here")


def verify(directory: Path, key: Ed25519PublicKey) -> Verified:
    """Raises OSError where files cannot be read."""
    looking = _Looking(directory, key)
    public = directory / PUBLIC_KEY
    if not public.exists() or public.read_bytes() != public_pem(key):
        looking.problems.append(f"{PUBLIC_KEY} is missing, or another one than it is verified with")
    _, head = looking.read(directory / HEAD, Head)
    if not isinstance(head, Head):
        return _told(looking, Head("", "", 1, 0, ""), 0)
    last, names = looking.digests(head)
    names |= looking.growing(head, names)
    looking.strangers(names, head.first)
    return _told(looking, head, last)


def _told(looking: _Looking, head: Head, last: int) -> Verified:
    return Verified(
        problems=tuple(looking.problems),
        public_key_fingerprint=fingerprint(looking.key),
        digests=max(0, last - head.first + 1),
        records=looking.records,
        open_records=looking.open_records,
        unsigned_records=looking.unsigned,
        first=head.first,
        last=last,
        oldest_event_time=min(looking.times, default=""),
        newest_event_time=max(looking.times, default=""),
    )
