"""npm packages: package.json of what is unpacked in node_modules; where nothing is, what a package-lock.json says will be.

A lock alone counts because images are built in stages: what was bundled from it left no other trace. It is not read where
node_modules beside it shows what was installed indeed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from longshore.scanner.inventory.text import LONGEST
from longshore.scanner.layers import File
from longshore.scanner.report import Package

_INSTALLED = re.compile(r"(?P<root>(?:.*/)?)node_modules/(?P<name>(?:@[^/]+/)?[^/]+)/package\.json")
_LOCK = "package-lock.json"
_MODULES = "node_modules/"


class _Manifest(msgspec.Struct):
    name: str = ""
    version: str = ""


class _Locked(msgspec.Struct):
    version: str = ""
    name: str = ""
    link: bool = False


class _Dependency(msgspec.Struct):
    version: str = ""
    dependencies: dict[str, _Dependency] | None = None


class _Lock(msgspec.Struct):
    packages: dict[str, _Locked] | None = None
    dependencies: dict[str, _Dependency] | None = None


def read(files: Mapping[str, File]) -> Iterator[Package]:
    roots: set[str] = set()
    for path, file in files.items():
        found = _INSTALLED.fullmatch(path)
        if found is None:
            continue
        roots.add(found["root"].partition(_MODULES)[0])
        try:
            manifest = msgspec.json.decode(file.content, type=_Manifest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue  # test fixtures of packages are full of broken ones
        if manifest.name and manifest.version:
            yield _package(manifest.name, manifest.version, path, file)
    for path, file in files.items():
        if (path == _LOCK or path.endswith(f"/{_LOCK}")) and path.removesuffix(_LOCK) not in roots:
            yield from _locked(path, file)


def _locked(path: str, file: File) -> Iterator[Package]:
    try:
        lock = msgspec.json.decode(file.content, type=_Lock)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if lock.packages is not None:
        for place, locked in lock.packages.items():
            name = locked.name or place.rpartition(_MODULES)[2]
            if place and name and locked.version and not locked.link:
                yield _package(name, locked.version, path, file)
        return
    waiting = [lock.dependencies or {}]
    while waiting:
        for name, dependency in waiting.pop().items():
            if dependency.version[:1].isdigit():  # others are addresses
                yield _package(name, dependency.version, path, file)
            if dependency.dependencies:
                waiting.append(dependency.dependencies)


def _package(name: str, version: str, path: str, file: File) -> Package:
    return Package(name=name[:LONGEST], version=version[:LONGEST], manager="npm", path=path, layer=file.layer)
