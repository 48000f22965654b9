"""Services that found no place for a task, and the changes that could give them one.

Who waits is remembered with every reason that an instance gave. Only what can take one of these reasons away wakes it: a task that
stopped frees resources and ends being alike, but brings no agent back and changes no attribute. What is forgotten (a restart) or
missed costs no more than time: whoever waits is looked at again after a while in any case.
"""

from __future__ import annotations

from collections.abc import Iterable

from longshore.services.ecs.model import ContainerInstance
from longshore.services.ecs.placement.request import DISTINCT, MEMBER_OF
from longshore.store.base import Change

#: a stopped task may make these untrue: it took something, it was of the same group, or an expression asked for tasks
_BY_TASKS = frozenset({DISTINCT, MEMBER_OF})


class Waiting:
    def __init__(self) -> None:
        #: cluster ARN -> service ARN -> what stood in its way
        self._reasons: dict[str, dict[str, frozenset[str]]] = {}

    def begin(self, cluster_arn: str, service_arn: str, reasons: frozenset[str]) -> None:
        self._reasons.setdefault(cluster_arn, {})[service_arn] = reasons

    def end(self, cluster_arn: str, service_arn: str) -> None:
        of_cluster = self._reasons.get(cluster_arn, {})
        of_cluster.pop(service_arn, None)
        if not of_cluster:
            self._reasons.pop(cluster_arn, None)

    def for_stopped_task(self, cluster_arn: str) -> Iterable[str]:
        return [arn for arn, reasons in self._reasons.get(cluster_arn, {}).items() if any(map(ended_by_stop, reasons))]

    def for_instance(self, change: Change[ContainerInstance]) -> Iterable[str]:
        return list(self._reasons.get(change.value.cluster_arn, ())) if may_take_more(change.old, change.new) else ()


def ended_by_stop(reason: str) -> bool:
    """Whether the end of a task can make `reason` untrue."""
    return reason.startswith("RESOURCE:") or reason in _BY_TASKS


def may_take_more(old: ContainerInstance | None, new: ContainerInstance | None) -> bool:
    """Whether tasks that had no place might have one now, by what the instance is and not by what runs there."""
    if new is None or new.status != "ACTIVE" or not new.agent_connected:
        return False
    return old is None or _offer(old) != _offer(new)


def _offer(instance: ContainerInstance) -> tuple[object, ...]:
    return (
        instance.status,
        instance.agent_connected,
        instance.capacity,
        instance.attributes,
        instance.availability_zone,
        instance.capacity_provider,
        instance.agent_version,
    )
