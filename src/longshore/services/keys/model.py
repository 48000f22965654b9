"""Rotations of the installation's secret: who asked for each, and how far it is."""

from __future__ import annotations

import msgspec

from longshore.kit.resource import Kind


class Rotation(msgspec.Struct, frozen=True, gc=False):
    #: of the generation that it made
    number: int
    #: seconds since the epoch
    begun_at: float
    #: ARN of whoever asked
    by: str
    #: nothing that was signed before is good any more
    at_once: bool = False
    #: rows and values that were sealed anew, and values that no generation opens
    resealed: int = 0
    broken: int = 0
    #: when nothing was left to seal anew
    done_at: float | None = None

    @property
    def key(self) -> str:
        return rotation_key(self.number)


def rotation_key(number: int) -> str:
    return f"{number:010}"


ROTATIONS: Kind[Rotation] = Kind(name="keys.rotation", type=Rotation, key=lambda rotation: rotation.key)

KINDS = (ROTATIONS,)
