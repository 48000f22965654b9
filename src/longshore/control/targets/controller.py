"""Keeps the target groups of services in step with their tasks.

Watches tasks, services and targets; one key per service. What it writes: targets (through the same function that
RegisterTargets uses, so both mean the same), instances of Classic load balancers (classic.py), the service's events, and a
task's way from DEACTIVATING to STOPPING.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence

from longshore.aws.errors import AwsError
from longshore.aws.shapes import elbv2 as shapes
from longshore.control.events import append_event
from longshore.control.loop import Watched
from longshore.control.targets.classic import apply_to_classic, claims, classic_endpoints, is_classic
from longshore.control.targets.plan import Change, Endpoint, Plan, Registered, Serving, Snapshot, plan
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.services.ecs import event_words
from longshore.services.ecs.interfaces import address_of
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, Task
from longshore.services.ecs.rollout.model import SERVICES, TASK_SETS, Service, ServiceSpec
from longshore.services.ecs.rollout.revisions import settings_of
from longshore.services.ecs.stopping import drained
from longshore.services.elb.model import REGISTERED_INSTANCES
from longshore.services.elbv2.model import TARGET_GROUPS, TARGETS, Target, place_of
from longshore.services.elbv2.registration import deregister, register
from longshore.store import base
from longshore.store.base import Reader, Store, Tx

log = logging.getLogger("longshore.control.targets")

#: Who waits for a row of another service is not woken when that goes: it looks again.
LOOK_AGAIN_S = 0.5


class Targets:
    name = "targets"

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self.watches: Sequence[Watched] = (
            Watched(TASKS, _service_of_task),
            Watched(SERVICES, lambda change: (change.key,)),
            Watched(TARGETS, self._services_of_target),
        )

    def keys(self) -> Iterable[str]:
        return [service.arn for service in self._store.list(SERVICES)]

    async def reconcile(self, key: str) -> float | None:
        service = self._store.get(SERVICES, key)
        if service is None or not _concerned(self._store, service):
            return None
        now = self._clock.now()
        waits = await self._store.transact(lambda tx: _step(tx, key, now))
        return LOOK_AGAIN_S if waits else None

    def _services_of_target(self, change: base.Change[Target]) -> Iterable[str]:
        owners = {target.owner for target in (change.old, change.new) if target is not None and target.owner}
        tasks = (self._store.get(TASKS, owner) for owner in owners)
        return {task.spec.service_arn for task in tasks if task is not None and task.spec.service_arn}


def _service_of_task(change: base.Change[Task]) -> Iterable[str]:
    service_arn = change.value.spec.service_arn
    return (service_arn,) if service_arn else ()


def _concerned(reader: Reader, service: Service) -> bool:
    """Services that never had a load balancer cost nothing here."""
    return (
        bool(service.spec.load_balancers)
        or service.spec.deployment_controller == "EXTERNAL"
        or any(
            task.status.last_status == "DEACTIVATING"
            or reader.count(TARGETS, "owner", task.arn)
            or reader.count(REGISTERED_INSTANCES, "task", task.arn)
            for task in reader.list(TASKS, "service", service.arn)
        )
    )


def _step(tx: Tx, service_arn: str, now: float) -> bool:
    """Whether a task waits for a place that another one's row still names."""
    service = tx.get(SERVICES, service_arn)
    if service is None:
        return False
    todo = plan(snapshot_of(tx, service))
    for verb, changes in (("deregister", todo.deregister), ("register", todo.register)):
        for arn, count in Counter(change.endpoint.target_group_arn for change in changes).items():
            some = [change for change in changes if change.endpoint.target_group_arn == arn]
            if is_classic(arn):
                apply_to_classic(tx, service, verb, arn, some, now)
            elif _apply(tx, service, verb, arn, some, now):
                words = event_words.registered_targets if verb == "register" else event_words.deregistered_targets
                append_event(tx, service, words(service.name, count, arn), now)
    _let_go(tx, service, todo, now)
    for change in todo.waiting:
        log.debug("(service %s) %s:%d: another task's target is still there", service.name, change.endpoint.target_id, change.endpoint.port)
    return bool(todo.waiting)


def _apply(tx: Tx, service: Service, verb: str, group_arn: str, changes: list[Change], now: float) -> bool:
    group = tx.get(TARGET_GROUPS, group_arn)
    if group is None:
        return False
    try:
        for change in changes:
            target = shapes.TargetDescription(id=change.endpoint.target_id, port=change.endpoint.port)
            if verb == "register":
                register(tx, group, (target,), now, owner=change.owner)
            else:
                deregister(tx, group, (target,), now)
    except AwsError as error:
        log.warning("(service %s) could not %s targets in %s: %s", service.name, verb, group_arn, error.message)
        append_event(tx, service, f"(service {service.name}) failed to {verb} targets in (target-group {group_arn}): {error.message}", now)
        return False
    for change in changes:
        log.info("(service %s) %s %s:%d: %s", service.name, verb, change.endpoint.target_id, change.endpoint.port, change.reason)
    return True


def _let_go(tx: Tx, service: Service, todo: Plan, now: float) -> None:
    """A task whose rows this very plan takes away has none left already when its group serves nobody."""
    remaining = snapshot_of(tx, service) if todo.deregister else None
    for arn in (plan(remaining) if remaining else todo).drained:
        task = tx.get(TASKS, arn)
        if task is not None:
            tx.put(TASKS, drained(task, now))


def snapshot_of(reader: Reader, service: Service) -> Snapshot:
    tasks = reader.list(TASKS, "service", service.arn)
    rows: dict[str, Target] = {}
    for task in tasks:
        rows.update((TARGETS.key(target), target) for target in reader.list(TARGETS, "owner", task.arn))
    for group_arn in _groups(reader, service):
        for target in reader.list(TARGETS, "target_group", group_arn):
            if target.owner and _was_ours(reader, target.owner, service.arn):
                rows[TARGETS.key(target)] = target
    # tasks stand in the target groups that their own deployment has, which may be others than the service's newest
    settings = {one: settings_of(reader, service, one) for one in {task.spec.deployment_id for task in tasks}}
    return Snapshot(
        tasks=tuple(_serving(reader, settings[task.spec.deployment_id], task) for task in tasks),
        registered=(
            *(
                Registered(Endpoint(row.target_group_arn, row.id, row.port), row.owner, row.deregistered_at is not None)
                for row in rows.values()
                # Those of a Classic load balancer that serve are seen as what they come from: a claim to an instance.
                if not row.classic or row.deregistered_at is not None
            ),
            *claims(reader, service, tasks),
        ),
    )


def _groups(reader: Reader, service: Service) -> set[str]:
    """Every target group that tasks of the service may stand in."""
    load_balancers = [*service.spec.load_balancers]
    for task_set in reader.list(TASK_SETS, "service", service.arn):
        load_balancers += task_set.load_balancers
    groups = {lb.target_group_arn for lb in load_balancers}
    groups |= {lb.advanced_configuration.alternate_target_group_arn for lb in load_balancers if lb.advanced_configuration is not None}
    return {group for group in groups if group}


def _was_ours(reader: Reader, owner: str, service_arn: str) -> bool:
    """A row whose task is forgotten is nobody's, and goes with whichever service sees it."""
    task = reader.get(TASKS, owner)
    return task is None or task.spec.service_arn == service_arn


def _serving(reader: Reader, spec: ServiceSpec, task: Task) -> Serving:
    endpoints = tuple(_endpoints(reader, spec, task))
    return Serving(
        arn=task.arn,
        running=task.status.last_status == "RUNNING",
        leaving=task.stop is not None,
        deactivating=task.status.last_status == "DEACTIVATING",
        endpoints=endpoints,
        occupied=frozenset(endpoint for endpoint in endpoints if _is_occupied(reader, task, endpoint)),
    )


def _is_occupied(reader: Reader, task: Task, endpoint: Endpoint) -> bool:
    """Whether a row of an earlier task names the same address and port, in this target group or another."""
    if is_classic(endpoint.target_group_arn):
        return False  # an instance is registered there, for all of its tasks
    instance = reader.get(CONTAINER_INSTANCES, task.container_instance_arn)
    address = address_of(task) or (instance.address if instance is not None else "")
    return any(
        row.owner not in ("", task.arn) and _may_be_meant_for(reader, row, task)
        for row in reader.list(TARGETS, "place", place_of(address, endpoint.port))
    )


def _may_be_meant_for(reader: Reader, row: Target, task: Task) -> bool:
    """Of a row of another task at the same place: what is on its way there would reach this task."""
    if row.classic and row.deregistered_at is None:
        return False  # it stands for every task on the instance
    owner = reader.get(TASKS, row.owner)
    # Two instances whose tasks both live have one address each, even if it is called the same.
    return owner is None or owner.is_stopped or owner.container_instance_arn == task.container_instance_arn


def _endpoints(reader: Reader, spec: ServiceSpec, task: Task) -> Iterable[Endpoint]:
    instance = reader.get(CONTAINER_INSTANCES, task.container_instance_arn)
    if instance is None:
        return
    yield from classic_endpoints(reader, spec, task, instance)
    for lb in spec.load_balancers:
        group = reader.get(TARGET_GROUPS, lb.target_group_arn or "")
        container = next((c for c in task.status.containers if c.name == lb.container_name), None)
        if group is None or container is None:
            continue
        own = address_of(task)
        if own:
            if group.target_type == "ip":
                yield Endpoint(group.arn, own, lb.container_port or 0)
            continue
        target_id = instance.ec2_instance_id if group.target_type == "instance" else instance.address
        port = next(
            (b.host_port for b in container.network_bindings if b.container_port == lb.container_port and b.protocol == "tcp"), None
        )
        if port is not None and target_id:
            yield Endpoint(group.arn, target_id, port)
