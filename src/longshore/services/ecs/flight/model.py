"""A task's flight record: what its agent wrote down of each container at the end."""

from __future__ import annotations

import msgspec

from longshore.aws.flight import ContainerFlight


class FlightRecord(msgspec.Struct, frozen=True, gc=False):
    task_arn: str
    reported_at: float
    containers: tuple[ContainerFlight, ...]
