"""What is over is forgotten after a while: stopped tasks, deleted services, deregistered instances.

ECS shows a stopped task for at least an hour; so does this. One key, looked at every minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from longshore.control.expiry.plan import Ended, plan
from longshore.control.loop import Watched
from longshore.kit.clock import Clock
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS
from longshore.services.ecs.rollout.model import DEPLOYMENTS, SERVICE_EVENTS, SERVICES
from longshore.store.base import Store, Tx

EVERY_S = 60.0
#: resources forgotten in one transaction
MOST = 500


class Expiry:
    name = "expiry"
    watches: Sequence[Watched] = ()

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def keys(self) -> Iterable[str]:
        return ("everything",)

    async def reconcile(self, key: str) -> float | None:
        now = self._clock.now()
        gone = plan(self._ended(), now)
        for start in range(0, len(gone), MOST):
            await self._store.transact(lambda tx, some=gone[start : start + MOST]: _forget(tx, some))  # type: ignore[misc]
        return EVERY_S

    def _ended(self) -> list[Ended]:
        tasks = (Ended("task", task.arn, task.status.stopped_at or 0.0) for task in self._store.list(TASKS, "stopped", "stopped"))
        services = (
            Ended("service", service.arn, service.inactive_at or 0.0)
            for service in self._store.list(SERVICES)
            if service.status == "INACTIVE"
        )
        instances = (
            Ended("instance", instance.arn, instance.deregistered_at or 0.0)
            for instance in self._store.list(CONTAINER_INSTANCES)
            if instance.status == "INACTIVE"
        )
        return [*tasks, *services, *instances]


def _forget(tx: Tx, gone: list[Ended]) -> None:
    for ended in gone:
        match ended.what:
            case "task":
                tx.delete(TASKS, ended.key)
            case "instance":
                tx.delete(CONTAINER_INSTANCES, ended.key)
            case "service":
                _forget_service(tx, ended.key)


def _forget_service(tx: Tx, arn: str) -> None:
    service = tx.get(SERVICES, arn)
    if service is None or service.status != "INACTIVE":
        return  # made again under the same name meanwhile
    for event in tx.list(SERVICE_EVENTS, "service", arn):
        tx.delete(SERVICE_EVENTS, SERVICE_EVENTS.key(event))
    for deployment in tx.list(DEPLOYMENTS, "history", arn):
        tx.delete(DEPLOYMENTS, deployment.id)
    tx.delete(SERVICES, arn)
