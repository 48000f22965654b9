"""The vulnerability database as it is asked: an SQLite file made from the operator's OSV records, looked up per package.

Making it reads every record once, one at a time; asking it holds nothing in memory. The file is complete when it has its name, and is
made again from the records whenever it is missing or they have changed.
"""

from __future__ import annotations

import os
import sqlite3
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

import msgspec

from longshore.scanner.osv import Advisory, advisories, read_records

#: one record, or one file of them
_LARGEST_RECORD = 32 << 20
_FORMAT = "1"
_SCHEMA = """
CREATE TABLE advisories (ecosystem TEXT NOT NULL, package TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE coverage (ecosystem TEXT PRIMARY KEY, count INTEGER NOT NULL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Unusable(Exception):
    """The vulnerability database cannot be used; the message says why."""


class Summary(msgspec.Struct, frozen=True):
    """What came of making an index."""

    records: int
    #: files or lines that are no OSV records
    skipped: int
    #: of the newest record, seconds since the epoch
    updated_at: float


class Index:
    """An index made before; raises Unusable when the file is not one. Close it."""

    def __init__(self, path: Path) -> None:
        try:
            self._database = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
            facts = dict(self._database.execute("SELECT name, value FROM facts"))
            self._covered = {name for (name,) in self._database.execute("SELECT ecosystem FROM coverage")}
        except sqlite3.Error as error:
            raise Unusable(f"{path} cannot be read: {error}") from None
        if facts.get("format") != _FORMAT:
            raise Unusable(f"{path} was made by another version")
        self.updated_at = float(facts["updated_at"])
        self.stamp = facts["stamp"]

    def covers(self, ecosystem: str) -> bool:
        """Whether anything at all is known of it."""
        return ecosystem in self._covered

    def about(self, ecosystem: str, package: str) -> list[Advisory]:
        found = self._database.execute("SELECT body FROM advisories WHERE ecosystem = ? AND package = ?", (ecosystem, package))
        return [msgspec.msgpack.decode(zlib.decompress(body), type=Advisory) for (body,) in found]

    def close(self) -> None:
        self._database.close()


def build(source: Path, target: Path, stamp: str) -> Summary:
    """Makes the index `target` of the records at `source`; raises Unusable."""
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        summary = _write(source, beside, stamp)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(target)
    except (sqlite3.Error, OSError) as error:
        raise Unusable(f"the vulnerability database {source} cannot be read: {error}") from error
    finally:
        beside.unlink(missing_ok=True)
    return summary


def _write(source: Path, target: Path, stamp: str) -> Summary:
    target.unlink(missing_ok=True)
    made = _Made()
    with closing(sqlite3.connect(target)) as database:
        database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _SCHEMA)
        database.executemany("INSERT INTO advisories VALUES (?, ?, ?)", made.rows(_contents(source)))
        if not made.records:
            raise Unusable(f"the vulnerability database {source} holds no records in the OSV format")
        database.execute("CREATE INDEX by_package ON advisories (ecosystem, package)")
        database.execute("INSERT INTO coverage SELECT ecosystem, count(*) FROM advisories GROUP BY ecosystem")
        facts = {"format": _FORMAT, "stamp": stamp, "updated_at": repr(made.updated_at)}
        database.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
        database.commit()
    return Summary(made.records, made.skipped, made.updated_at)


class _Made:
    """Counts while rows are written."""

    def __init__(self) -> None:
        self.records = 0
        self.skipped = 0
        self.updated_at = 0.0

    def rows(self, contents: Iterable[bytes]) -> Iterator[tuple[str, str, bytes]]:
        for content in contents:
            try:
                records = read_records(content)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self.skipped += 1
                continue
            for record in records:
                self.records += 1
                for advisory in advisories(record):
                    self.updated_at = max(self.updated_at, advisory.modified_at or 0.0)
                    yield advisory.ecosystem, advisory.package, zlib.compress(msgspec.msgpack.encode(advisory), 1)


def files_of(source: Path) -> Iterator[Path]:
    """The files that a database consists of, in a fixed order; raises OSError."""
    if not source.is_dir():
        source.stat()
        yield source
        return
    for directory, inside, names in os.walk(source, onerror=_raise):
        inside.sort()
        for name in sorted(names):
            if name.endswith((".json", ".jsonl", ".ndjson", ".zip")):
                yield Path(directory, name)


def _raise(error: OSError) -> None:
    raise error


def _contents(source: Path) -> Iterator[bytes]:
    """Records, one or several at a time, each small; what is larger than a record can be is given as nothing, to be counted."""
    for path in files_of(source):
        if path.suffix == ".zip":
            yield from _zipped(path)
        else:
            with path.open("rb") as file:
                yield from _records_in(file, path.suffix, path.stat().st_size)


def _zipped(path: Path) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                suffix = Path(member.filename).suffix
                if suffix in (".json", ".jsonl", ".ndjson"):
                    with archive.open(member) as file:
                        yield from _records_in(file, suffix, member.file_size)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise Unusable(f"{path} is not a ZIP file that can be read: {error}") from None


def _records_in(file: IO[bytes], suffix: str, size: int) -> Iterator[bytes]:
    if suffix == ".json":
        yield file.read(_LARGEST_RECORD + 1) if size <= _LARGEST_RECORD else b""
        return
    while line := file.readline(_LARGEST_RECORD):
        if line.strip():
            yield line
