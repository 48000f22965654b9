"""Byte ranges: of a blob that is read, and of a chunk that is uploaded. Pure."""

from __future__ import annotations

import re

from longshore.registry.errors import BlobUploadInvalid, RangeNotSatisfiable

_DIGITS = r"[0-9]{1,18}"
# blanks belong to what stands before them: there is one way alone to read a thousand of them
_RANGE = re.compile(rf"bytes=\s*(?:({_DIGITS})\s*)?-\s*(?:({_DIGITS})\s*)?")
_CHUNK = re.compile(rf"(?:bytes[ =])?({_DIGITS})-({_DIGITS})(?:/(?:\*|{_DIGITS}))?")


def requested_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte (inclusive) of what a Range header asks for out of `size` bytes; None: everything.

    What is no single byte range is ignored, as RFC 9110 §14.2 has it; one that ends before it begins is refused, as it may be.
    Raises RangeNotSatisfiable.
    """
    found = _RANGE.fullmatch(header) if header else None
    if found is None:
        return None
    first, last = found.groups()
    if first is None and last is None:
        return None
    if first is None:
        begin, end = max(0, size - int(last)), size - 1
        satisfiable = int(last) > 0 and size > 0
    else:
        begin, end = int(first), min(int(last), size - 1) if last else size - 1
        satisfiable = begin < size and not (last and int(last) < begin)
    if not satisfiable:
        raise RangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return begin, end


def chunk_range(header: str | None) -> tuple[int, int] | None:
    """First and last byte (inclusive) that a chunk says it is; None when it does not say. Raises BlobUploadInvalid."""
    if not header:
        return None
    found = _CHUNK.fullmatch(header.strip())
    if found is None or int(found[2]) < int(found[1]):
        raise BlobUploadInvalid(f"the content range {header[:100]!r} is not of the form FIRST-LAST")
    return int(found[1]), int(found[2])


def received_range(offset: int) -> str:
    """What a Range header says about an upload of `offset` bytes so far. With nothing received it is 0-0 by tradition."""
    return f"0-{max(0, offset - 1)}"
