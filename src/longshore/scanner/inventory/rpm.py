"""RPM packages: the headers in rpmdb.sqlite. Older databases (Berkeley DB, ndb) are recognised and refused.

A header is an index of (tag, type, offset, count), big-endian, and the data behind it. The SQLite file is opened in memory and only
asked for its blobs. https://rpm-software-management.github.io/rpm/manual/format_header.html
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator, Mapping
from contextlib import closing

from longshore.scanner.inventory.text import LONGEST
from longshore.scanner.layers import File
from longshore.scanner.limits import Refused
from longshore.scanner.report import Package

_DATABASES = ("var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/rpmdb.sqlite")
_OTHERS = {
    "var/lib/rpm/Packages": "Berkeley DB",
    "usr/lib/sysimage/rpm/Packages": "Berkeley DB",
    "var/lib/rpm/Packages.db": "ndb",
    "usr/lib/sysimage/rpm/Packages.db": "ndb",
}
_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH, _SOURCE_RPM = 1000, 1001, 1002, 1003, 1022, 1044
_INT32, _STRING, _STRINGS, _I18N = 4, 6, 8, 9
_MOST_ENTRIES = 65_536


def read(files: Mapping[str, File]) -> Iterator[Package]:
    """Raises Refused for a database that cannot be read."""
    there = [path for path in _DATABASES if path in files]
    for path in there:
        for header in _headers(files[path].content, path):
            package = _package(header, path, files[path].layer)
            if package is not None:
                yield package
    for path, kind in _OTHERS.items():
        if path in files and not there and files[path].size:
            raise Refused(f"the package database {path} is in the format {kind}, which is not read here; only rpm's SQLite format is")


def _headers(content: bytes, path: str) -> Iterator[bytes]:
    if not content:
        raise Refused(f"the package database {path} cannot be read: it is empty")
    try:
        with closing(sqlite3.connect(":memory:")) as database:
            # A journal mode of its own would look for files beside the database, and there are none.
            if content[18:20] == b"\2\2":
                content = content[:18] + b"\1\1" + content[20:]
            database.deserialize(content)
            database.execute("PRAGMA trusted_schema = OFF")
            for (blob,) in database.execute("SELECT blob FROM Packages"):
                if isinstance(blob, bytes):
                    yield blob
    except (sqlite3.Error, OverflowError) as error:
        raise Refused(f"the package database {path} cannot be read: {error}") from None


def _package(header: bytes, path: str, layer: str) -> Package | None:
    values = header_values(header, frozenset({_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH, _SOURCE_RPM}))
    name, version, release = (str(values.get(tag, "")) for tag in (_NAME, _VERSION, _RELEASE))
    if not name or not version or name == "gpg-pubkey":
        return None
    epoch = values.get(_EPOCH)
    # NAME-VERSION-RELEASE.src.rpm
    source = str(values.get(_SOURCE_RPM, "")).rsplit("-", 2)
    return Package(
        name=name[:LONGEST],
        version=f"{f'{epoch}:' if epoch else ''}{version}{f'-{release}' if release else ''}"[:LONGEST],
        manager="rpm",
        arch=str(values.get(_ARCH, ""))[:LONGEST],
        source=source[0][:LONGEST] if len(source) == 3 else "",
        path=path,
        layer=layer,
    )


def header_values(header: bytes, wanted: frozenset[int]) -> dict[int, str | int]:
    """The first value of each wanted tag, as far as the header is whole."""
    found: dict[int, str | int] = {}
    if len(header) < 8:
        return found
    entries, _ = struct.unpack_from(">II", header)
    data = 8 + 16 * entries
    if entries > _MOST_ENTRIES or data > len(header):
        return found
    for number in range(entries):
        tag, kind, offset, count = struct.unpack_from(">IIII", header, 8 + 16 * number)
        at = data + offset
        if tag not in wanted or not count or at >= len(header):
            continue
        if kind in (_STRING, _STRINGS, _I18N):
            end = header.find(b"\0", at)
            found[tag] = header[at : end if end >= 0 else len(header)].decode(errors="replace")
        elif kind == _INT32 and at + 4 <= len(header):
            found[tag] = struct.unpack_from(">I", header, at)[0]
    return found
