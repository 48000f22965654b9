"""Shows what is starting: one line that rewrites itself on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from typing import Protocol, TextIO

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_CLEAR_LINE = "\r\x1b[K"


class Progress(Protocol):
    def starting(self, part: str) -> None: ...

    def ready(self, part: str) -> None: ...

    def tick(self) -> None:
        """Called while waiting, many times a second."""

    def close(self) -> None:
        """Called once at the end, however it ended."""


class PlainProgress:
    """`starting server` … `server ready (0.4 s)`, one line each, for logs and pipes."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._since: dict[str, float] = {}

    def starting(self, part: str) -> None:
        self._since[part] = time.monotonic()
        print(f"starting {part}", file=self._out, flush=True)

    def ready(self, part: str) -> None:
        print(f"{part} ready ({time.monotonic() - self._since.get(part, time.monotonic()):.1f} s)", file=self._out, flush=True)

    def tick(self) -> None:
        pass

    def close(self) -> None:
        pass


class TerminalProgress:
    """One line: what is ready, what is still starting and for how long."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._begun = time.monotonic()
        self._waiting: list[str] = []
        self._ready: list[str] = []
        self._drawn = ""

    def starting(self, part: str) -> None:
        self._waiting.append(part)
        self.tick()

    def ready(self, part: str) -> None:
        if part in self._waiting:
            self._waiting.remove(part)
        self._ready.append(part)
        self.tick()

    def tick(self) -> None:
        elapsed = time.monotonic() - self._begun
        ready = "".join(f"\x1b[32m✓\x1b[0m {part}  " for part in self._ready)
        waiting = f"\x1b[2m{', '.join(self._waiting)} {elapsed:.0f} s\x1b[0m" if self._waiting else ""
        line = f"{_CLEAR_LINE}{_SPINNER[int(elapsed * 10) % len(_SPINNER)]} {ready}{waiting}"
        if line != self._drawn:
            self._drawn = line
            self._out.write(line)
            self._out.flush()

    def close(self) -> None:
        self._out.write(_CLEAR_LINE)
        self._out.flush()


def progress_for(out: TextIO) -> Progress:
    return TerminalProgress(out) if out.isatty() else PlainProgress(out)
