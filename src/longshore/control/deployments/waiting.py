"""Services that found no place for a task, and the changes that could give them one.

Who waits is remembered with every reason that an instance gave, and woken by what can take one of them away (placement/waiting.py).
What is forgotten (a restart) or missed costs no more than time: whoever waits is looked at again after a while in any case.
"""

from __future__ import annotations

from collections.abc import Iterable

from longshore.services.ecs.model import ContainerInstance, Task
from longshore.services.ecs.placement.waiting import may_unblock
from longshore.store.base import Change


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

    def forget(self, service_arn: str) -> None:
        """One that is no more, in whichever cluster it was."""
        for cluster_arn in [arn for arn, of_cluster in self._reasons.items() if service_arn in of_cluster]:
            self.end(cluster_arn, service_arn)

    def woken_by(self, change: Change[Task] | Change[ContainerInstance]) -> Iterable[str]:
        of_cluster = self._reasons.get(change.value.cluster_arn)
        return [arn for arn, reasons in of_cluster.items() if may_unblock(reasons, change)] if of_cluster else ()
