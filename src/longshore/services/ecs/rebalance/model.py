"""Rebalances as they are kept: what was decided, move by move, and how far it is.

The operation that starts one writes all its moves; from then on it is the rebalance controller's, except for the wish to stop.
"""

from __future__ import annotations

import msgspec

from longshore.kit.resource import Kind


class Move(msgspec.Struct, frozen=True, gc=False):
    task_arn: str
    service_arn: str
    from_instance_arn: str
    to_instance_arn: str
    reason: str = ""
    status: str = "PENDING"  # PENDING | MOVING | DONE | SKIPPED | FAILED
    #: the task that takes the other's place
    new_task_arn: str = ""
    #: why it was skipped, or failed
    detail: str = ""


class Rebalance(msgspec.Struct, frozen=True, gc=False):
    arn: str
    cluster_arn: str
    #: empty: of the whole cluster
    service_arn: str
    created_at: float
    created_by: str
    updated_at: float
    moves: tuple[Move, ...]
    #: moves under way at once
    max_concurrent: int = 1
    status: str = "IN_PROGRESS"  # IN_PROGRESS | STOPPING | SUCCEEDED | STOPPED
    finished_at: float | None = None

    @property
    def is_over(self) -> bool:
        return self.status in ("SUCCEEDED", "STOPPED")


REBALANCES: Kind[Rebalance] = Kind(
    name="ecs.rebalance",
    type=Rebalance,
    key=lambda one: one.arn,
    indexes={
        "cluster": lambda one: (one.cluster_arn,),
        "open": lambda one: () if one.is_over else (one.cluster_arn,),
    },
)
