"""Room on the disk that a file has before it needs it: what is appended there fits although the disk is full by then."""

from __future__ import annotations

import ctypes
import os

#: as linux/falloc.h has it: the file stays as long as it is
_KEEP_SIZE = 1
_libc = ctypes.CDLL(None, use_errno=True)


def reserve(descriptor: int, offset: int, length: int) -> None:
    """Room for `length` bytes from `offset` on. Raises OSError where there is none, or the file system cannot promise any."""
    done = _libc.fallocate(descriptor, ctypes.c_int(_KEEP_SIZE), ctypes.c_int64(offset), ctypes.c_int64(length))
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
