"""Layers put on top of each other, as far as they tell of packages: which files of interest the image shows in the end.

A later entry replaces an earlier one, a directory that becomes something else takes what was in it along, and whiteouts
(`.wh.NAME`, `.wh..wh..opq`) hide what lower layers have, never what their own layer has, wherever in it they stand.
https://github.com/opencontainers/image-spec/blob/main/layer.md
"""

from __future__ import annotations

import re

import msgspec

from longshore.scanner.limits import Budget, Refused
from longshore.scanner.tar import DIRECTORY, FILE, HARD_LINK, Archive, Read, unpacked

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
#: what is read of files whose beginning says it all
_HEAD = 64 << 10
_MEGABYTE = 1 << 20

#: path -> most bytes to read of it; 0 where it is enough to know that it is there
_EXACT = {
    "etc/os-release": _HEAD,
    "usr/lib/os-release": _HEAD,
    "var/lib/dpkg/status": 64 * _MEGABYTE,
    "lib/apk/db/installed": 64 * _MEGABYTE,
    "usr/lib/apk/db/installed": 64 * _MEGABYTE,
    "var/lib/rpm/rpmdb.sqlite": 128 * _MEGABYTE,
    "usr/lib/sysimage/rpm/rpmdb.sqlite": 128 * _MEGABYTE,
    "var/lib/rpm/Packages": 0,
    "var/lib/rpm/Packages.db": 0,
    "usr/lib/sysimage/rpm/Packages": 0,
    "usr/lib/sysimage/rpm/Packages.db": 0,
}
_PATTERNS = (
    (re.compile(r"var/lib/dpkg/status\.d/[^/]+(?<!\.md5sums)"), _MEGABYTE),
    (re.compile(r"(?:.*/)?[^/]+\.(?:dist-info/METADATA|egg-info/PKG-INFO|egg-info)"), _HEAD),
    (re.compile(r"(?:.*/)?node_modules/(?:@[^/]+/)?[^/]+/package\.json"), _MEGABYTE),
    (re.compile(r"(?!.*node_modules/)(?:.*/)?package-lock\.json"), 32 * _MEGABYTE),
)
#: no pattern matches a path that ends otherwise: most paths are let go by this alone
_ENDINGS = ("METADATA", "PKG-INFO", ".egg-info", "package.json", "package-lock.json")
_STATUS_D = "var/lib/dpkg/status.d/"


class File(msgspec.Struct, frozen=True, gc=False):
    content: bytes
    #: size in the archive; the content may be only the beginning
    size: int
    #: digest of the layer it comes from
    layer: str


def interest(path: str) -> int | None:
    """How many bytes of the file to read; None when it tells of no package."""
    if path in _EXACT:
        return _EXACT[path]
    if path.endswith(_ENDINGS) or path.startswith(_STATUS_D):
        for pattern, most in _PATTERNS:
            if pattern.fullmatch(path):
                return most
    return None


class Tree:
    """The files of interest after some layers."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.files: dict[str, File] = {}

    def add_layer(self, digest: str, read: Read) -> None:
        """The next layer above. Raises Refused."""
        what = f"layer {digest}"
        archive = Archive(unpacked(read, self._budget, what), self._budget, what)
        layer = _Layer(digest, self.files, self._budget)
        for entry in archive:
            directory, _, name = entry.path.rpartition("/")
            if name == _OPAQUE:
                layer.hide_below(directory)
            elif name.startswith(_WHITEOUT):
                layer.hide(f"{directory}/{name[len(_WHITEOUT) :]}".lstrip("/"))
            elif entry.kind == DIRECTORY:
                layer.replace_file(entry.path)
            else:
                layer.replace(entry.path)
                most = interest(entry.path) if entry.kind in (FILE, HARD_LINK) else None
                if most is None:
                    continue
                if entry.kind == HARD_LINK:
                    layer.link(entry.path, entry.target)
                else:
                    layer.add(entry.path, archive.content(self._allowed(entry.path, entry.size, most)), entry.size)
        self.files = layer.over(self.files)
        self._check()

    def _allowed(self, path: str, size: int, most: int) -> int:
        """Files read whole must not be larger than looked at: half a database of packages is none."""
        if most > _MEGABYTE and size > min(most, self._budget.limits.kept_each):
            raise Refused(f"{path} has {size} bytes, more than is looked at")
        return min(size, most)

    def _check(self) -> None:
        limits = self._budget.limits
        if len(self.files) > limits.files:
            raise Refused(f"the image has more than {limits.files} files that tell of packages")
        if sum(len(file.content) for file in self.files.values()) > limits.kept:
            raise Refused(f"the files that tell of packages have more than {limits.kept} bytes")


class _Layer:
    """What one layer adds and hides, collected before any of it takes effect."""

    def __init__(self, digest: str, below: dict[str, File], budget: Budget) -> None:
        self._digest = digest
        self._below = below
        self._budget = budget
        self._added: dict[str, File] = {}
        #: paths of lower layers that are gone, with everything in them
        self._hidden: set[str] = set()
        #: directories whose content in lower layers is gone
        self._opaque: set[str] = set()
        #: where a directory now stands, no file of lower layers shows
        self._directories: set[str] = set()
        #: every directory that holds something of interest, below or here: most entries are none of them, and cost one look
        self._holders = {parent for path in below for parent in _parents(path)}
        self._kept = 0

    def hide(self, path: str) -> None:
        self._hidden.add(path)

    def hide_below(self, directory: str) -> None:
        self._opaque.add(directory)

    def replace_file(self, path: str) -> None:
        """By a directory, which leaves what is in it alone."""
        self._added.pop(path, None)
        if path in self._below:
            self._directories.add(path)

    def replace(self, path: str) -> None:
        """By something that is no directory: neither what was there nor anything in it is left."""
        self._added.pop(path, None)
        if path in self._below:
            self._hidden.add(path)
        if path in self._holders:
            self._hidden.add(path)
            inside = f"{path}/"
            for each in [each for each in self._added if each.startswith(inside)]:
                del self._added[each]

    def add(self, path: str, content: bytes, size: int) -> None:
        self._put(path, File(content, size, self._digest))

    def _put(self, path: str, file: File) -> None:
        limits = self._budget.limits
        self._kept += len(file.content)
        if self._kept > limits.kept:
            raise Refused(f"the files that tell of packages have more than {limits.kept} bytes")
        if len(self._added) >= limits.files:
            raise Refused(f"the image has more than {limits.files} files that tell of packages")
        self._added[path] = file
        self._holders.update(_parents(path))

    def link(self, path: str, target: str) -> None:
        file = self._added.get(target) or self._below.get(target)
        if file is not None:
            self._put(path, msgspec.structs.replace(file, layer=self._digest))

    def over(self, below: dict[str, File]) -> dict[str, File]:
        hidden, opaque, directories = self._hidden, self._opaque, self._directories

        def shows(path: str) -> bool:
            if path in directories or path in hidden:
                return False
            above = path
            while above:
                above = above.rpartition("/")[0]
                if above in opaque or above in hidden:
                    return False
            return True

        return {path: file for path, file in below.items() if shows(path)} | self._added


def _parents(path: str) -> list[str]:
    """The directories above, the nearest first."""
    found = []
    while path := path.rpartition("/")[0]:
        found.append(path)
    return found
