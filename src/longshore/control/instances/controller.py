"""Notices that a container instance is lost: its agent has been away for so long that services do without it.

Watches container instances; one key per instance. It writes `lost_at` and nothing else. What follows is for those who keep tasks:
services start others elsewhere and ask the lost ones to stop, which an agent that comes back after all is told first thing. So
nothing runs twice for longer than it takes to say so. Tasks of nobody's service are left as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from longshore.control.instances.plan import Plan, Seen, plan
from longshore.control.loop import Watched
from longshore.kit.clock import Clock
from longshore.services.call import Site
from longshore.services.ecs.model import CONTAINER_INSTANCES, ContainerInstance
from longshore.store.base import Store, Tx

log = logging.getLogger("longshore.control.instances")


class Instances:
    name = "instances"

    def __init__(self, store: Store, clock: Clock, site: Site) -> None:
        self._store = store
        self._clock = clock
        self._lost_after_s = site.lost_after_s
        self._since = clock.now()
        self.watches: Sequence[Watched] = (Watched(CONTAINER_INSTANCES, lambda change: (change.key,)),)

    def keys(self) -> Iterable[str]:
        return [instance.arn for instance in self._store.list(CONTAINER_INSTANCES) if instance.status != "INACTIVE"]

    async def reconcile(self, key: str) -> float | None:
        instance = self._store.get(CONTAINER_INSTANCES, key)
        if instance is None or instance.status == "INACTIVE":
            return None
        now = self._clock.now()
        wanted = self._plan(instance, now)
        if wanted.lost_at != instance.lost_at:
            await self._store.transact(lambda tx: self._write(tx, key, now))
        return None if wanted.look_again_at is None else max(0.0, wanted.look_again_at - now)

    def _write(self, tx: Tx, arn: str, now: float) -> None:
        instance = tx.get(CONTAINER_INSTANCES, arn)
        if instance is None or instance.status == "INACTIVE":
            return
        lost_at = self._plan(instance, now).lost_at
        if lost_at == instance.lost_at:
            return
        tx.put(CONTAINER_INSTANCES, replace(instance, lost_at=lost_at))
        if lost_at is None:
            log.info("%s: its agent is back", arn)
        else:
            log.warning("%s: counts as lost, its agent was not there for %.0f s", arn, self._lost_after_s)

    def _plan(self, instance: ContainerInstance, now: float) -> Plan:
        # one that has registered and never opened a session changed when it registered
        changed_at = instance.agent_connection_changed_at or instance.registered_at
        seen = Seen(instance.agent_connected, changed_at, instance.lost_at, now, self._since)
        return plan(seen, self._lost_after_s)
