"""The seam: layers in, findings out, whoever looks at them.

A scanner reads layers through `ImageSource`, so it neither knows where bytes lie nor whether they are encrypted there. What is
wrong with the image itself is part of the report (`failure`, `unsupported`); `ScanInterrupted` is raised for what another
attempt may cure.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol

import msgspec

from longshore.scanner.report import Report


class ScanInterrupted(Exception):
    """The scan ended before it knew anything; the message says why. Trying again may help."""


class BlobRef(msgspec.Struct, frozen=True):
    digest: str
    size: int
    media_type: str = ""


class ImageSource(msgspec.Struct, frozen=True):
    """One image manifest: its config and layers, the lowest layer first."""

    digest: str
    media_type: str
    manifest: bytes
    config: BlobRef | None
    layers: tuple[BlobRef, ...]
    #: the bytes of a config or layer, from the first to the last
    read: Callable[[BlobRef], AsyncIterator[bytes]]


class Scanner(Protocol):
    @property
    def name(self) -> str:
        """As people know it: built-in, trivy, grype."""

    async def scan(self, image: ImageSource) -> Report:
        """Raises ScanInterrupted."""

    async def refresh(self) -> str:
        """Take notice of a changed vulnerability database; its stamp now, "" where there is none or only the scanner knows."""
