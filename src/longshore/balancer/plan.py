"""What is to be done to the servers of one target group, given what HAProxy has of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from longshore.balancer.snapshot import Pool
from longshore.balancer.words import server_name
from longshore.services.elbv2.model import Target


class Step(msgspec.Struct, frozen=True):
    server: str
    reason: str
    #: None for a server that no target stands for
    target: Target | None = None


class Plan(msgspec.Struct, frozen=True):
    #: new servers, out of service until their first check
    add: tuple[Step, ...] = ()
    #: registered again, while they drained or for somebody else: in service again, as new ones
    revive: tuple[Step, ...] = ()
    #: to get no further requests
    withhold: tuple[Step, ...] = ()
    #: withheld already: to go when their connections are gone or their time is over
    finish: tuple[Step, ...] = ()
    #: nobody's any more
    remove: tuple[Step, ...] = ()
    #: deregistered targets that HAProxy does not know: nothing to wait for
    forget: tuple[Step, ...] = ()


def stays_s(target: Target, *, is_busy: bool, delay_s: float, now: float) -> float:
    """Seconds until a target that leaves is to be looked at again; 0 when it may go, since nothing is on its way to it any more, or
    because its group gives it no more time. What is short is soon seen to be over; what is long is not asked after all the time.
    """
    age_s = max(0.0, now - (now if target.deregistered_at is None else target.deregistered_at))
    left_s = delay_s - age_s
    if left_s <= 0 or not is_busy:
        return 0.0
    return min(max(0.01, age_s / 4), 0.5, max(left_s, 0.01))


def plan(pool: Pool | None, statuses: Mapping[str, str], registered_at: Mapping[str, float] | None = None) -> Plan:
    """`statuses`: server name -> status as HAProxy says it; `registered_at`: when the target was that each was put there for.

    A server that is not in the latter was put there by another process of ours, and is believed to be for who is registered.
    """
    add: list[Step] = []
    revive: list[Step] = []
    withhold: list[Step] = []
    finish: list[Step] = []
    forget: list[Step] = []
    wanted: set[str] = set()
    for target in pool.targets if pool else ():
        name = server_name(target)
        wanted.add(name)
        status = statuses.get(name)
        is_withheld = status is not None and status.startswith("MAINT")
        if target.deregistered_at is None:
            if status is None:
                add.append(Step(name, "registered", target))
            elif is_withheld or (registered_at or {}).get(name, target.registered_at) != target.registered_at:
                revive.append(Step(name, "registered again", target))
        elif status is None:
            forget.append(Step(name, "deregistered, and in no worker", target))
        elif is_withheld:
            finish.append(Step(name, "deregistered, and withheld from new requests", target))
        else:
            withhold.append(Step(name, "deregistered", target))
    remove = [Step(name, "no target stands for it") for name in statuses if name not in wanted]
    return Plan(tuple(add), tuple(revive), tuple(withhold), tuple(finish), tuple(remove), tuple(forget))
