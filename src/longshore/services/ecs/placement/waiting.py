"""Which changes are worth another look for whoever waits for room. Pure.

A refused placement says which reasons the instances gave (`Placement.reasons`). The first reason of each is enough to go by: what
an instance lacks beside it can change as it likes, the task is kept away as long as that one holds.
"""

from __future__ import annotations

from typing import Any

from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, ContainerInstance, Task
from longshore.services.ecs.placement.columns import held_by
from longshore.services.ecs.placement.request import CPU, ENI, GPU, MEMORY, PORTS, PORTS_UDP, TASKS_THERE, of_group
from longshore.store.base import Change


def may_unblock(reasons: frozenset[str], change: Change[Any]) -> bool:
    """Whether a task that was refused for these reasons could be placed after the change; False only when it cannot."""
    if change.kind is CONTAINER_INSTANCES:
        return _offers_more(change.old, change.new)
    if change.kind is TASKS:
        return _makes_room(reasons, change.old, change.new)
    return False


def _offers_more(old: ContainerInstance | None, new: ContainerInstance | None) -> bool:
    if new is None or new.status != "ACTIVE" or not new.agent_connected:
        return False
    if old is None or old.status != "ACTIVE" or not old.agent_connected:
        return True
    if (old.attributes, old.capacity_provider, old.availability_zone, old.agent_version) != (
        new.attributes,
        new.capacity_provider,
        new.availability_zone,
        new.agent_version,
    ):
        return True
    before, after = old.capacity, new.capacity
    return (
        after.cpu > before.cpu
        or after.memory_mib > before.memory_mib
        or len(after.gpus) > len(before.gpus)
        or after.enis > before.enis
        or not set(before.reserved_ports) <= set(after.reserved_ports)
        or not set(before.reserved_ports_udp) <= set(after.reserved_ports_udp)
    )


def _makes_room(reasons: frozenset[str], old: Task | None, new: Task | None) -> bool:
    was, now = held_by(old), held_by(new)
    if was == now:
        return False
    if TASKS_THERE in reasons:
        return True  # an expression asks about tasks: fewer or more of them may be what it waits for
    if was is None:
        return False
    freed = set(was.ports).difference(now.ports if now is not None else ())
    if any((PORTS_UDP if port.protocol == "udp" else PORTS) in reasons for port in freed):
        return True
    if now is not None:
        return False
    held = was.reservation
    amounts = ((CPU, held.cpu), (MEMORY, held.memory_mib), (GPU, held.gpus), (ENI, held.enis))
    return of_group(was.group) in reasons or any(amount and reason in reasons for reason, amount in amounts)
