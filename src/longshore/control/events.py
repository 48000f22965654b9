"""A service's event log: the newest hundred lines, in AWS's words."""

from __future__ import annotations

from longshore.services.ecs.rollout.model import SERVICE_EVENTS, Service, ServiceEvent
from longshore.store.base import Tx

#: how many events of a service are kept, as ECS keeps them
KEPT = 100


def append_event(tx: Tx, service: Service, message: str, now: float) -> None:
    """Add `message`; the log stays in order even when two events carry the same time."""
    kept = tx.list(SERVICE_EVENTS, "service", service.arn)
    last = kept[-1].sequence if kept else 0
    sequence = max(int(now * 1_000_000), last + 1)
    event_id = f"{sequence:032x}"
    identifier = f"{event_id[:8]}-{event_id[8:12]}-{event_id[12:16]}-{event_id[16:20]}-{event_id[20:]}"
    tx.put(SERVICE_EVENTS, ServiceEvent(identifier, service.arn, sequence, now, message))
    for event in kept[: max(0, len(kept) + 1 - KEPT)]:
        tx.delete(SERVICE_EVENTS, SERVICE_EVENTS.key(event))
