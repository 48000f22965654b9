"""The columns of all clusters, derived from what the store keeps; inside a transaction they hold its own writes, too."""

from __future__ import annotations

from typing import Any

from longshore.kit.resource import Derivation, Kind
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, ContainerInstance
from longshore.services.ecs.placement.columns import Columns, held_by
from longshore.services.ecs.placement.masks import Masks
from longshore.store.base import Reader


class Fleets:
    """A cluster's columns are made when somebody places a task there."""

    def __init__(self) -> None:
        self._clusters: dict[str, tuple[Columns, Masks]] = {}

    def of(self, reader: Reader, cluster_arn: str) -> tuple[Columns, Masks]:
        """`reader` is the transaction that asks."""
        found = self._clusters.get(cluster_arn)
        if found is None:
            columns = columns_of(reader, cluster_arn)
            found = self._clusters[cluster_arn] = (columns, Masks(columns))
        return found

    def moved(self, kind: Kind[Any], old: Any, new: Any) -> None:
        value = old if new is None else new
        if value is None:
            return
        found = self._clusters.get(value.cluster_arn)
        if found is None:
            return
        columns = found[0]
        if kind is TASKS:
            columns.task_moved(held_by(old), held_by(new))
            return
        was, now = registered(old), registered(new)
        if was is not None or now is not None:
            columns.instance_moved(was, now)
        if not columns.row_of:
            del self._clusters[value.cluster_arn]


FLEETS: Derivation[Fleets] = Derivation(name="ecs.fleets", kinds=(CONTAINER_INSTANCES, TASKS), make=Fleets)


def registered(instance: ContainerInstance | None) -> ContainerInstance | None:
    return instance if instance is not None and instance.status != "INACTIVE" else None


def columns_of(reader: Reader, cluster_arn: str) -> Columns:
    """Columns of one's own, which follow nothing."""
    columns = Columns()
    for instance in reader.list(CONTAINER_INSTANCES, "cluster", cluster_arn):
        columns.instance_moved(None, instance)
    for desired in ("RUNNING", "STOPPED"):
        for task in reader.list(TASKS, "cluster", f"{cluster_arn}|{desired}"):
            if (held := held_by(task)) is not None:
                columns.task_moved(None, held)
    return columns
