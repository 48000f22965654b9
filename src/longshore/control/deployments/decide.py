"""Which planner a service is for. A service of any kind that is deleted is dissolved alike."""

from __future__ import annotations

from msgspec.structs import replace

from longshore.control.deployments import daemon as daemons
from longshore.control.deployments import plan as rolling
from longshore.control.deployments.shifting import plan as shifting
from longshore.control.deployments.task_sets import plan as task_sets
from longshore.control.deployments.vocabulary import SILENCE_S, Plan, Saying, Snapshot, spoken


def decide(snapshot: Snapshot) -> Plan:
    return rolling.with_tallies(_planned(snapshot), snapshot)


def _said_once(decided: Plan, snapshot: Snapshot) -> Plan:
    """What both sides' tasks give cause to say is said when it is new. A step is taken once, and so are its sentences told."""
    if decided.step is not None:
        return decided
    recent = frozenset(one.cause for one in snapshot.told if snapshot.now - one.at < SILENCE_S)
    speech = spoken(snapshot.told, [Saying(sentence, f"said:{sentence}") for sentence in decided.tell], snapshot.now, lasting=recent)
    return replace(decided, tell=speech.tell, told=speech.told)


def _planned(snapshot: Snapshot) -> Plan:
    if snapshot.deleted:
        return rolling.dissolve(snapshot)
    if snapshot.shares is not None:
        return task_sets.plan(snapshot, snapshot.shares)
    if snapshot.shift is not None:
        return _said_once(shifting.plan(snapshot, snapshot.shift), snapshot)
    if snapshot.wish is not None:
        return rolling.end_as_wished(snapshot, snapshot.wish)
    if snapshot.stations is not None:
        return daemons.plan(snapshot)
    return rolling.plan(snapshot)
