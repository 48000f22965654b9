"""A nameless file for what only passes through this process: gone with it, and of no use to whoever reads the disk.

Encrypted with a key that is nowhere but in memory (AES-256 in counter mode, a key for each file, every byte written once), so
any part of it can be read by itself. Nothing is authenticated: what is read is to be checked by other means, as by its digest.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

_BLOCK_BYTES = 16


class ScratchFile:
    """In `directory`, or where the system keeps such files. Raises OSError where there is no room, here and in `append`."""

    def __init__(self, directory: Path | None = None) -> None:
        self._file = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115 - closed by `close`
        self._key = AES(os.urandom(32))
        self._size = 0

    def __repr__(self) -> str:
        return f"ScratchFile({self._size} bytes)"

    def append(self, content: bytes) -> None:
        sealed = memoryview(self._cipher_at(self._size).update(content))
        while sealed:
            written = os.pwrite(self._file.fileno(), sealed, self._size)
            self._size += written
            sealed = sealed[written:]

    def read(self, count: int, at: int) -> bytes:
        """At most `count` bytes from `at` on."""
        return self._cipher_at(at).update(os.pread(self._file.fileno(), count, at))

    def close(self) -> None:
        self._file.close()

    def _cipher_at(self, at: int) -> CipherContext:
        """Goes on at byte `at`; the same both ways."""
        block, within = divmod(at, _BLOCK_BYTES)
        cipher = Cipher(self._key, CTR(block.to_bytes(_BLOCK_BYTES, "big"))).encryptor()
        cipher.update(bytes(within))
        return cipher
