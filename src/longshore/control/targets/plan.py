"""Which targets a service's tasks should have: a pure function of its tasks and of what is registered.

Traffic leaves before SIGTERM: a task that is asked to stop is DEACTIVATING until no row of a target group stands for it
any more (the balancer takes the rows away when their connections are gone), and only then may its agent stop it.

A task that dies by itself leaves its rows behind, and its host port may be another task's before they are gone. That one is
registered when they are, in whatever group they stand: what is on its way to the one before never reaches it.
"""

from __future__ import annotations

import msgspec


class Endpoint(msgspec.Struct, frozen=True, order=True):
    """A place traffic can go to, in one target group."""

    target_group_arn: str
    target_id: str
    port: int


class Serving(msgspec.Struct, frozen=True):
    """A task of the service that has not stopped."""

    arn: str
    running: bool
    #: asked to stop
    leaving: bool
    #: waiting for its targets to drain
    deactivating: bool
    endpoints: tuple[Endpoint, ...] = ()
    #: those of them whose address and port a row of another task still names
    occupied: frozenset[Endpoint] = frozenset()


class Registered(msgspec.Struct, frozen=True):
    endpoint: Endpoint
    owner: str
    draining: bool


class Snapshot(msgspec.Struct, frozen=True):
    tasks: tuple[Serving, ...]
    #: rows that stand for tasks of this service, living or dead
    registered: tuple[Registered, ...]


class Change(msgspec.Struct, frozen=True):
    endpoint: Endpoint
    owner: str
    reason: str


class Plan(msgspec.Struct, frozen=True):
    register: tuple[Change, ...] = ()
    deregister: tuple[Change, ...] = ()
    #: tasks whose agents may stop them now
    drained: tuple[str, ...] = ()
    #: to be registered when the row of an earlier task is gone
    waiting: tuple[Change, ...] = ()


def plan(snapshot: Snapshot) -> Plan:
    wanted = {endpoint: task.arn for task in snapshot.tasks if task.running and not task.leaving for endpoint in task.endpoints}
    occupied = {endpoint for task in snapshot.tasks for endpoint in task.occupied if wanted.get(endpoint) == task.arn}
    standing = {row.endpoint: row for row in snapshot.registered}
    missing = [
        Change(endpoint, owner, "the task is running")
        for endpoint, owner in wanted.items()
        if (row := standing.get(endpoint)) is None or row.draining or row.owner != owner
    ]
    register = [change for change in missing if change.endpoint not in occupied]
    waiting = [change for change in missing if change.endpoint in occupied]
    deregister = [
        Change(row.endpoint, row.owner, _why_gone(snapshot, row.owner))
        for row in snapshot.registered
        if not row.draining and (row.endpoint not in wanted or (row.endpoint in occupied and row.owner != wanted[row.endpoint]))
    ]
    held = {row.owner for row in snapshot.registered}
    drained = [task.arn for task in snapshot.tasks if task.deactivating and task.arn not in held]
    return Plan(
        register=tuple(sorted(register, key=_order)),
        deregister=tuple(sorted(deregister, key=_order)),
        drained=tuple(sorted(drained)),
        waiting=tuple(sorted(waiting, key=_order)),
    )


def _why_gone(snapshot: Snapshot, owner: str) -> str:
    task = next((task for task in snapshot.tasks if task.arn == owner), None)
    if task is None:
        return "the task has stopped"
    return "the task is to stop" if task.leaving else "the task no longer serves there"


def _order(change: Change) -> Endpoint:
    return change.endpoint
