"""Which planner a service is for. A service of any kind that is deleted is dissolved alike."""

from __future__ import annotations

from longshore.control.deployments import daemon as daemons
from longshore.control.deployments import plan as rolling
from longshore.control.deployments.vocabulary import Plan, Snapshot


def decide(snapshot: Snapshot) -> Plan:
    return rolling.with_tallies(_planned(snapshot), snapshot)


def _planned(snapshot: Snapshot) -> Plan:
    if snapshot.deleted:
        return rolling.dissolve(snapshot)
    if snapshot.stations is not None:
        return daemons.plan(snapshot)
    return rolling.plan(snapshot)
