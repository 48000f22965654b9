"""Zstandard layers, inflated by the program `zstd` where it is installed: Python's library learns it in 3.14 only.

The program stands under the limits of the process that reads the layer, and is told how much memory a window may take. It is fed by a
thread, because what it reads and what it writes must not wait for each other.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator

from longshore.scanner.limits import Refused

_CHUNK = 1 << 18
#: of one window: what its command line takes without being asked, and all that registries' clients write
_WINDOW = "128MB"


def inflated(start: bytes, read: Callable[[int], bytes], what: str) -> Iterator[bytes]:
    """Raises Refused for what is not valid, and where the program is missing."""
    program = shutil.which("zstd")
    if program is None:
        raise Refused(f"{what} is compressed with zstd, which cannot be read here: install the program zstd where the server runs")
    process = subprocess.Popen(
        [program, "-dcq", f"--memory={_WINDOW}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin and process.stdout and process.stderr
    feeder = _Feeder(process, start, read)
    feeder.start()
    try:
        while piece := process.stdout.read(_CHUNK):
            yield piece
        words = process.stderr.read(500).decode(errors="replace").strip()
        if process.wait() != 0:
            raise Refused(f"{what} is not valid zstd, or ends in the middle: {words}")
    finally:
        process.kill()
        feeder.join()
        process.wait()
        process.stdout.close()
        process.stderr.close()


class _Feeder(threading.Thread):
    """Hands the layer to the program until either has enough."""

    def __init__(self, process: subprocess.Popen[bytes], start: bytes, read: Callable[[int], bytes]) -> None:
        super().__init__(name="zstd", daemon=True)
        self._process = process
        self._start = start
        self._read = read

    def run(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            piece = self._start
            while piece:
                pipe.write(piece)
                piece = self._read(_CHUNK)
        except BrokenPipeError:
            pass  # it ended: its exit status tells why
        except EOFError:
            pass  # nobody sends the layer any more: whoever reads on hears of it, too
        finally:
            try:
                pipe.close()
            except BrokenPipeError:
                pass
