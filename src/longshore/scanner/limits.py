"""How much of an image is looked at before a scan gives up: archives can be made to never end."""

from __future__ import annotations

import msgspec


class Refused(Exception):
    """The image cannot be read to its end; the message says which part of it and why. Another attempt ends the same way."""


class Limits(msgspec.Struct, frozen=True):
    #: bytes of all layers together, unpacked
    unpacked: int = 64 << 30
    #: entries of all layers together
    entries: int = 4_000_000
    #: bytes kept of all files that tell of packages, together and of each
    kept: int = 192 << 20
    kept_each: int = 128 << 20
    #: files kept
    files: int = 50_000
    #: characters of a path
    path: int = 4096
    #: packages in one report
    packages: int = 50_000
    #: findings in one report; the worst are kept
    findings: int = 5_000
    #: seconds of processor time and bytes of memory of the process that reads
    cpu_s: int = 900
    memory: int = 1 << 30


class Budget:
    """What is left of the limits while an image is read."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._unpacked = 0
        self._entries = 0

    def unpack(self, count: int) -> None:
        """Raises Refused when the layers are larger than they may be."""
        self._unpacked += count
        if self._unpacked > self.limits.unpacked:
            raise Refused(f"the layers hold more than {self.limits.unpacked} bytes when unpacked")

    def enter(self) -> None:
        self._entries += 1
        if self._entries > self.limits.entries:
            raise Refused(f"the layers have more than {self.limits.entries} entries")
