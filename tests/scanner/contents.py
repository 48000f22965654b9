"""Layers and package databases put together for tests: small, and the same each time."""

from __future__ import annotations

import gzip
import io
import sqlite3
import struct
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from longshore.scanner.layers import Tree
from longshore.scanner.limits import Budget, Limits
from longshore.scanner.tar import Read
from tests.engines import tar_of

OS_RELEASE = b'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\nVERSION="12 (bookworm)"\n'
ALPINE = b'ID=alpine\nVERSION_ID=3.18.4\nPRETTY_NAME="Alpine Linux v3.18"\n'
ROCKY = b'ID="rocky"\nVERSION_ID="9.3"\nPRETTY_NAME="Rocky Linux 9.3 (Blue Onyx)"\n'


def reading(content: bytes, most: int = 1 << 30) -> Read:
    """Reads of `content`, never more than `most` bytes at a time."""
    file = io.BytesIO(content)
    return lambda count: file.read(min(count, most))


def tree_of(*layers: bytes, limits: Limits | None = None, most: int = 1 << 30) -> Tree:
    """Layers, the lowest first, as l0, l1 …"""
    tree = Tree(Budget(limits or Limits()))
    for number, layer in enumerate(layers):
        tree.add_layer(f"l{number}", reading(layer, most))
    return tree


def layer_of(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    return gzip.compress(tar_of(files, links), mtime=0)


def zstd(content: bytes, *options: str) -> bytes:
    """As the program compresses it; for tests marked engine("zstd")."""
    return subprocess.run(["zstd", "-qc", *options], input=content, capture_output=True, check=True).stdout


def entries(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for member in members:
            info, content = member if isinstance(member, tuple) else (member, b"")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def dpkg_status(*packages: tuple[str, str], source: str = "") -> bytes:
    """(name, version) each."""
    built = f"Source: {source}\n" if source else ""
    form = "Package: {}\nStatus: install ok installed\nArchitecture: amd64\n{}Version: {}\nDescription: made for a test\n more of it\n"
    return "\n".join(form.format(name, built, version) for name, version in packages).encode()


def apk_installed(*packages: tuple[str, str, str]) -> bytes:
    """(name, version, origin) each."""
    return "\n".join(
        f"C:Q1x\nP:{name}\nV:{version}\nA:x86_64\no:{origin}\nF:bin\nR:{name}\n" for name, version, origin in packages
    ).encode()


def metadata(name: str, version: str) -> bytes:
    return (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: made for a test\n\nVersion: 9.9 of the description\n".encode()
    )


def rpm_header(values: Iterable[tuple[int, str | int]]) -> bytes:
    """An RPM header: strings and 32-bit numbers by tag."""
    index, data = b"", b""
    values = list(values)
    for tag, value in values:
        if isinstance(value, int):
            data += b"\0" * (-len(data) % 4)
            index += struct.pack(">IIII", tag, 4, len(data), 1)
            data += struct.pack(">I", value)
        else:
            index += struct.pack(">IIII", tag, 6, len(data), 1)
            data += value.encode() + b"\0"
    return struct.pack(">II", len(values), len(data)) + index + data


def rpm_package(name: str, version: str, release: str, epoch: int | None = None, arch: str = "x86_64") -> bytes:
    values: list[tuple[int, str | int]] = [
        (1000, name),
        (1001, version),
        (1002, release),
        (1022, arch),
        (1044, f"{name}-{version}-{release}.src.rpm"),
    ]
    return rpm_header(values + ([(1003, epoch)] if epoch is not None else []))


def rpm_database(*headers: bytes, journal: str = "delete") -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "rpmdb.sqlite")
        database = sqlite3.connect(path)
        database.execute(f"PRAGMA journal_mode = {journal}")
        database.execute("CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
        database.executemany("INSERT INTO Packages (blob) VALUES (?)", [(header,) for header in headers])
        database.commit()
        database.close()
        return path.read_bytes()
