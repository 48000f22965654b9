"""Which planner a service is for. A service of any kind that is deleted is dissolved alike."""

from __future__ import annotations

from longshore.control.deployments import daemon as daemons
from longshore.control.deployments import plan as rolling
from longshore.control.deployments.shifting import plan as shifting
from longshore.control.deployments.task_sets import plan as task_sets
from longshore.control.deployments.vocabulary import Plan, Snapshot


def decide(snapshot: Snapshot) -> Plan:
    return rolling.with_tallies(_planned(snapshot), snapshot)


def _planned(snapshot: Snapshot) -> Plan:
    if snapshot.deleted:
        return rolling.dissolve(snapshot)
    if snapshot.shares is not None:
        return task_sets.plan(snapshot, snapshot.shares)
    if snapshot.shift is not None:
        return shifting.plan(snapshot, snapshot.shift)
    if snapshot.wish is not None:
        return rolling.end_as_wished(snapshot, snapshot.wish)
    if snapshot.stations is not None:
        return daemons.plan(snapshot)
    return rolling.plan(snapshot)
