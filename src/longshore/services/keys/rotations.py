"""What rotations of the installation's secret mean for what was signed before them."""

from __future__ import annotations

from longshore.services.keys.model import ROTATIONS
from longshore.store.base import Reader


def is_void(reader: Reader, signed_at: float) -> bool:
    """Whether what was signed at that time (seconds since the epoch) was declared void since."""
    return any(rotation.at_once and rotation.begun_at >= signed_at for rotation in reader.list(ROTATIONS))
