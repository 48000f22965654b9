"""Where a part of a layer belongs. Pure: decided from what was received so far, before a byte is written."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from longshore.services.ecr.layers.model import LARGEST_LAYER, LARGEST_PART, MOST_PARTS, SMALLEST_PART, LayerUpload


class PartRefused(Exception):
    """The part does not follow on what is there, or its size is not what it says; the message tells which."""


class TooMuch(Exception):
    """More parts or bytes than one layer may have."""


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes `first` to `last` of the layer, both inclusive, as the client says; `size` is how many it sent."""

    first: int
    last: int
    size: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The upload with this part begun, and how many bytes at the beginning of the part are there already."""

    upload: LayerUpload
    skip: int


def accept(upload: LayerUpload, received: int, part: Part, now: float) -> Accepted:
    """What to do with `part` when `received` bytes are there. Raises PartRefused and TooMuch.

    Cases: the part follows on the last one · it is the latest part once more, in whole or as far as it had come · anything else.
    """
    if part.last - part.first + 1 != part.size or not 0 < part.size <= LARGEST_PART:
        raise PartRefused(f"bytes {part.first} to {part.last} are said to be in a part of {part.size} bytes")
    if part.last >= LARGEST_LAYER:
        raise TooMuch(f"A layer may have at most {LARGEST_LAYER} bytes.")
    if part.first == upload.part_begins and upload.parts and received <= part.last + 1:
        return Accepted(replace(upload, touched_at=now), received - part.first)
    if part.first != received:
        raise PartRefused(f"the part begins at byte {part.first}, but {received} bytes were received")
    if upload.parts >= MOST_PARTS:
        raise TooMuch(f"A layer may be uploaded in at most {MOST_PARTS} parts.")
    too_small = upload.too_small or (upload.parts > 0 and 0 < received - upload.part_begins < SMALLEST_PART)
    begun = replace(upload, touched_at=now, parts=upload.parts + 1, part_begins=part.first, too_small=too_small)
    return Accepted(begun, 0)
