"""What Trivy and Grype have in common: a program that reads an OCI layout, brings its own vulnerability database and answers in JSON.

They run with the server's rights and fetch their databases as they are configured to: whoever installs one decides that.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from longshore.scanner import layout
from longshore.scanner.process import Overlong, answer_of, ended_by
from longshore.scanner.report import Report
from longshore.scanner.seam import ImageSource, ScanInterrupted

log = logging.getLogger("longshore.scanner")

#: of the program's JSON: it is held whole while it is read
_LARGEST_ANSWER = 32 << 20
_TIMEOUT_S = 1800.0


class Dialect(Protocol):
    """How one program is asked and what its answer means."""

    @property
    def name(self) -> str: ...

    def command(self, program: str, image: Path) -> Sequence[str]: ...

    def report(self, said: bytes) -> Report:
        """Raises msgspec.DecodeError for what is no answer of its."""


class External:
    def __init__(self, program: str, dialect: Dialect, directory: Path, *, timeout_s: float = _TIMEOUT_S) -> None:
        """`directory` is where images are laid out."""
        self._program = program
        self._dialect = dialect
        self._directory = directory
        self._timeout_s = timeout_s
        layout.sweep(directory)

    def __repr__(self) -> str:
        return f"External({self._program})"

    @property
    def name(self) -> str:
        return self._dialect.name

    async def refresh(self) -> str:
        """Its database is its own affair."""
        return ""

    async def scan(self, image: ImageSource) -> Report:
        try:
            async with layout.exported(image, self._directory) as directory:
                status, said, words = await answer_of(
                    self._dialect.command(self._program, directory),
                    _nothing(),
                    environment=None,  # their caches and proxies are set there
                    timeout_s=self._timeout_s,
                    most=_LARGEST_ANSWER,
                )
        except Overlong as error:
            return Report(scanner=self.name, failure=f"{self.name} was ended: {error}")
        except OSError as error:
            raise ScanInterrupted(f"the image could not be laid out for {self.name}: {error.strerror}") from error
        if status != 0:
            raise ScanInterrupted(f"{self.name}: {words.rpartition(chr(10))[2].strip() or ended_by(status)}")
        try:
            return self._dialect.report(said)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ScanInterrupted(f"{self.name} answered in a form that is not known here: {error}") from error


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
