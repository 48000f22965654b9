"""Tar archives as a stream of entries, read with bounded memory and nothing unpacked anywhere.

Written for archives that nobody vouches for: a name never becomes a path on this machine, a length is believed only as far as bytes
come, and what announces other things (long names, pax headers) is itself small or refused. Known are ustar, pax and GNU's long
names, base-256 numbers and sparse files; that is what image builders write.
https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13_06
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import msgspec

from longshore.scanner import zstd
from longshore.scanner.limits import Budget, Refused

_ZSTD = b"\x28\xb5\x2f\xfd"
_BLOCK = 512
#: a pax header or a long name
_LARGEST_EXTENSION = 1 << 20
_CHUNK = 1 << 18

#: reads at most so many bytes; b"" at the end
Read = Callable[[int], bytes]

FILE, HARD_LINK, SYMBOLIC_LINK, DIRECTORY, OTHER = "file", "hard link", "symbolic link", "directory", "other"
_KINDS = {
    b"0": FILE, b"\0": FILE, b"7": FILE, b"S": FILE, b"1": HARD_LINK, b"2": SYMBOLIC_LINK, b"5": DIRECTORY,
}  # fmt: skip
#: kinds that never have content, whatever their header says of a size
_EMPTY = frozenset({HARD_LINK, SYMBOLIC_LINK, DIRECTORY})


class Entry(msgspec.Struct, frozen=True, gc=False):
    #: normalised: no leading slash, no `.` and no `..`; "" is the root itself
    path: str
    kind: str
    size: int
    #: of a hard link, normalised like `path`
    target: str = ""


def unpacked(read: Read, budget: Budget, what: str) -> Read:
    """The tar bytes of a layer, by what its first bytes say of how it is compressed. Raises Refused for a way that is not known here."""
    start = read(_CHUNK)
    while start and len(start) < 6 and (more := read(_CHUNK)):
        start += more
    for magic, name in ((b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz")):
        if start.startswith(magic):
            raise Refused(f"{what} is compressed with {name}, which cannot be read here")
    if start.startswith(b"\x1f\x8b"):
        pieces = _inflated(start, read, what)
    elif start.startswith(_ZSTD):
        pieces = zstd.inflated(start, read, what)
    else:
        pieces = _plain(start, read)
    return _Buffer(pieces, budget).read


def _plain(start: bytes, read: Read) -> Iterator[bytes]:
    yield start
    while piece := read(_CHUNK):
        yield piece


def _inflated(pending: bytes, read: Read, what: str) -> Iterator[bytes]:
    """Inflates a piece at a time: however far a few bytes expand, only one piece of it is ever in memory."""
    inflate = zlib.decompressobj(31)
    while True:
        if not pending and not (pending := read(_CHUNK)):
            raise Refused(f"{what} ends in the middle")
        try:
            piece = inflate.decompress(pending, _CHUNK)
        except zlib.error as error:
            raise Refused(f"{what} is not valid gzip: {error}") from None
        pending = inflate.unconsumed_tail
        if piece:
            yield piece
        if inflate.eof:
            # Parallel compressors write one member after the other; anything else behind the end is padding.
            pending = inflate.unused_data
            while len(pending) < 2 and (more := read(_CHUNK)):
                pending += more
            if pending[:2] != b"\x1f\x8b":
                return
            inflate = zlib.decompressobj(31)


class _Buffer:
    """Serves reads of any size from pieces of any size."""

    def __init__(self, pieces: Iterator[bytes], budget: Budget) -> None:
        self._pieces = pieces
        self._budget = budget
        self._piece = b""
        self._at = 0

    def read(self, count: int) -> bytes:
        while self._at >= len(self._piece):
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._budget.unpack(len(piece))
            self._piece, self._at = piece, 0
        content = self._piece[self._at : self._at + count]
        self._at += len(content)
        return content


class Archive:
    """Iterate over the entries; `content` gives the bytes of the one that came last, before the next is asked for."""

    def __init__(self, read: Read, budget: Budget, what: str) -> None:
        self._read = read
        self._budget = budget
        self._what = what
        self._left = 0  # bytes of the present entry, padding included
        self._size = 0

    def __iter__(self) -> Iterator[Entry]:
        """Raises Refused for what is no archive, or ends too early."""
        extensions: dict[str, str] = {}
        while (header := self._header()) is not None:
            self._budget.enter()
            kind = header[156:157]
            size = _number(header[124:136], self._what)
            if kind in b"xgLKN":
                content = self._extension(size)
                if kind == b"x":
                    extensions |= _pax(content, self._what)
                elif kind in b"LK":
                    extensions["path" if kind == b"L" else "linkpath"] = content.rstrip(b"\0").decode(errors="replace")
                continue
            entry = self._entry(header, kind, size, extensions)
            extensions = {}
            self._expect(entry.size)
            if kind == b"S" and header[482:483] not in (b"\0", b"0", b""):
                self._skip_sparse_map()
            yield entry
            self._skip(self._left)

    def content(self, most: int) -> bytes:
        """The first `most` bytes of the present entry."""
        count = min(most, self._size)
        content = self._exactly(count)
        self._left -= count
        self._size -= count
        return content

    def _entry(self, header: bytes, kind: bytes, size: int, extensions: dict[str, str]) -> Entry:
        name = _text(header[0:100])
        if header[257:262] == b"ustar" and header[257:265] != b"ustar  \0" and header[345] != 0:
            name = f"{_text(header[345:500])}/{name}"
        name = extensions.get("path", name)
        what = _KINDS.get(kind, OTHER)
        if "size" in extensions:
            size = _decimal(extensions["size"], self._what)
        if what == FILE and name.endswith("/") and kind == b"\0":
            what = DIRECTORY  # as it was said before there was a kind for it
        target = extensions.get("linkpath", _text(header[157:257])) if what == HARD_LINK else ""
        path, target = self._normal(name), self._normal(target)
        return Entry(path=path, kind=what, size=0 if what in _EMPTY else size, target=target)

    def _normal(self, name: str) -> str:
        if len(name) > self._budget.limits.path:
            raise Refused(f"{self._what} has a path of {len(name)} characters")
        return normal(name)

    def _expect(self, size: int) -> None:
        self._size = size
        self._left = size + -size % _BLOCK

    def _header(self) -> bytes | None:
        """None at the end: a block of zeros, or no more bytes at all."""
        header = self._up_to(_BLOCK)
        if not header.strip(b"\0") and len(header) in (0, _BLOCK):
            while self._read(_CHUNK):  # whoever sends the layer gets rid of all of it
                pass
            return None
        if len(header) < _BLOCK:
            raise Refused(f"{self._what} ends in the middle")
        # Half of an Adler-32 is one more than the sum of all bytes, modulo a prime; it is found ten times faster than by adding them up.
        summed = zlib.adler32(header[:148] + b"        " + header[156:]) & 0xFFFF
        if (_number(header[148:156], self._what) + 1) % 65_521 != summed:
            raise Refused(f"{self._what} is not a tar archive, or damaged")
        return header

    def _extension(self, size: int) -> bytes:
        if size > _LARGEST_EXTENSION:
            raise Refused(f"{self._what} has an extended header of {size} bytes")
        content = self._exactly(size)
        self._skip(-size % _BLOCK)
        return content

    def _skip_sparse_map(self) -> None:
        """Blocks of offsets between the header and the content of GNU's sparse files."""
        while self._exactly(_BLOCK)[504:505] not in (b"\0", b"0"):
            self._budget.enter()

    def _skip(self, count: int) -> None:
        while count:
            content = self._read(min(count, _CHUNK))
            if not content:
                raise Refused(f"{self._what} ends in the middle")
            count -= len(content)
        self._left = 0

    def _exactly(self, count: int) -> bytes:
        content = self._up_to(count)
        if len(content) < count:
            raise Refused(f"{self._what} ends in the middle")
        return content

    def _up_to(self, count: int) -> bytes:
        parts = []
        while count and (content := self._read(min(count, _CHUNK))):
            parts.append(content)
            count -= len(content)
        return b"".join(parts)


def normal(name: str) -> str:
    """A path inside the image: relative to its root, which `..` does not leave."""
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if parts:
                parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")


def _number(field: bytes, what: str) -> int:
    """Octal digits, or base 256 where the first bit says so."""
    if field[0] in (0x80, 0xFF):
        number = int.from_bytes(field[1:], "big")
        if field[0] == 0xFF or number >= 1 << 62:
            raise Refused(f"{what} has an entry of an impossible size")
        return number
    digits = field.partition(b"\0")[0].strip()
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        raise Refused(f"{what} is not a tar archive, or damaged") from None


def _decimal(text: str, what: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Refused(f"{what} has an entry of an impossible size")
    return int(text)


def _pax(content: bytes, what: str) -> dict[str, str]:
    """The records `LENGTH KEY=VALUE\\n` that matter here."""
    found: dict[str, str] = {}
    while content:
        length, space, _ = content[:20].partition(b" ")
        if not space or not length.isdigit() or not len(length) + 1 < int(length) <= len(content):
            raise Refused(f"{what} has a damaged extended header")
        record, content = content[len(length) + 1 : int(length) - 1], content[int(length) :]
        key, _, value = record.partition(b"=")
        if key in (b"path", b"linkpath", b"size"):
            found[key.decode()] = value.decode(errors="replace")
        elif key == b"GNU.sparse.name":
            found["path"] = value.decode(errors="replace")
    return found
