"""The form encrypted blobs have on the disk: a header, then chunks that are encrypted and authenticated one by one.

    header  magic (8 bytes) · salt (32 bytes)
    chunk   nonce (12) · ciphertext (64 KiB, the last one shorter) · tag (16)

Every file has a key of its own, made of the data key and its random salt (HKDF-SHA256), and every chunk a random nonce
(AES-256-GCM), so that a chunk may be written again after a crash without ever using a nonce twice. Authenticated with a chunk
are the header, its number and whether it is the last: chunks that are swapped, left out, repeated or cut off at the end do not
open. There always is a last chunk; it is empty only where the content is. A range is read by opening the chunks it touches,
and how long the content is follows from how long the file is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from longshore.store.blobs import BlobBroken

MAGIC = b"LSBLOB1\n"
_SALT_BYTES = 32
HEADER_BYTES = len(MAGIC) + _SALT_BYTES
CHUNK_BYTES = 1 << 16
_NONCE_BYTES = 12
#: what a chunk takes beside its content
OVERHEAD_BYTES = _NONCE_BYTES + 16
SEALED_CHUNK_BYTES = CHUNK_BYTES + OVERHEAD_BYTES


def content_bytes(occupied: int) -> int:
    """Bytes of content in a file of `occupied` bytes; 0 for a file that is too short to be whole."""
    body = occupied - HEADER_BYTES
    chunks = -(-body // SEALED_CHUNK_BYTES)
    return max(0, body - chunks * OVERHEAD_BYTES)


def place_of(number: int) -> int:
    """Where the chunk of that number begins in its file, counted from 0."""
    return HEADER_BYTES + number * SEALED_CHUNK_BYTES


def last_chunk(size: int) -> int:
    """The number of the last chunk of a content of `size` bytes."""
    return max(0, size - 1) // CHUNK_BYTES


class Chunks:
    """Seals and opens the chunks of one file."""

    def __init__(self, data_key: bytes, header: bytes) -> None:
        """Raises BlobBroken for what is no header."""
        if len(header) != HEADER_BYTES or not header.startswith(MAGIC):
            raise BlobBroken("this is no encrypted blob")
        self.header = header
        file_key = HKDF(SHA256(), 32, header[len(MAGIC) :], b"longshore:blob").derive(data_key)
        self._cipher = AESGCM(file_key)

    @classmethod
    def new(cls, data_key: bytes) -> Chunks:
        """For a new file, which begins with `header`."""
        return cls(data_key, MAGIC + os.urandom(_SALT_BYTES))

    def seal(self, number: int, content: bytes | memoryview, *, last: bool) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, self._beside(number, last))

    def open(self, number: int, sealed: bytes | memoryview, *, last: bool) -> bytes:
        """Raises BlobBroken."""
        try:
            return self._cipher.decrypt(bytes(sealed[:_NONCE_BYTES]), sealed[_NONCE_BYTES:], self._beside(number, last))
        except (InvalidTag, ValueError):
            raise BlobBroken(f"chunk {number} of an encrypted blob does not open") from None

    def seal_all(self, content: bytes) -> Iterator[bytes]:
        """The whole file for a content that is at hand."""
        yield self.header
        end = last_chunk(len(content))
        view = memoryview(content)
        for number in range(end + 1):
            yield self.seal(number, view[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES], last=number == end)

    def _beside(self, number: int, last: bool) -> bytes:
        return self.header + number.to_bytes(8, "big") + bytes((last,))
