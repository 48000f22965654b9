"""Carries services to what is wanted of them, one transaction per look.

Watches services, deployments, tasks, targets and container instances; one key per service. Inside one transaction the
snapshot is taken, planned and carried out, so two looks never act on the same facts. New tasks get their place in that
transaction too; where none is found nothing is made, the service says why, and it is looked at again when something changes that
could give it one (waiting.py).
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from longshore.control.deployments import records
from longshore.control.deployments.decide import decide
from longshore.control.deployments.launch import Drawn, Launched, launch
from longshore.control.deployments.shifting.carry import take_step
from longshore.control.deployments.snapshot import is_balanced, snapshot_of
from longshore.control.deployments.task_sets.carry import write_task_sets
from longshore.control.deployments.vocabulary import Plan, Saying, spoken
from longshore.control.deployments.waiting import Waiting
from longshore.control.deployments.zones import NO_PLACE
from longshore.control.events import append_event
from longshore.control.loop import Watched
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.services.call import Site
from longshore.services.ecs import event_words
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, ContainerInstance, Lifecycle, Task
from longshore.services.ecs.rollout.model import DEPLOYMENTS, SERVICE_DEPLOYMENTS, SERVICES, TASK_SETS, Service, Told
from longshore.services.ecs.stopping import stopped_by
from longshore.services.elbv2.model import TARGETS, Target
from longshore.store.base import Change, Store, Tx

log = logging.getLogger("longshore.control.deployments")

#: tasks started in one transaction; the rest follow in the next
MOST_AT_ONCE = 100
#: a service without a place for its tasks is looked at again after this, whatever happens
RETRY_PLACEMENT_S = 30.0
#: tasks of a service that is looked at whenever something changes; a larger one waits a second for so many of its tasks
SMALL = 250
TASKS_PER_PAUSE_S = 10_000


def pause_after_nothing_s(tasks: int) -> float:
    """How long a service is left alone when there was nothing to do for it. A look costs by the task, and every task changes a few
    times: thousands that start would have their service looked at thousands of times for nothing."""
    return tasks / TASKS_PER_PAUSE_S if tasks > SMALL else 0.0


class Deployments:
    name = "deployments"

    def __init__(self, store: Store, clock: Clock, ids: Ids, site: Site) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._site = site
        self._waiting = Waiting()
        #: when a large service was last looked at in vain
        self._idle_at: dict[str, float] = {}
        self.watches: Sequence[Watched] = (
            Watched(SERVICES, lambda change: (change.key,)),
            Watched(DEPLOYMENTS, lambda change: (change.value.service_arn,)),
            Watched(SERVICE_DEPLOYMENTS, lambda change: (change.value.service_arn,)),
            Watched(TASK_SETS, lambda change: (change.value.service_arn,)),
            Watched(TASKS, self._services_of_task),
            Watched(TARGETS, self._services_of_target),
            Watched(CONTAINER_INSTANCES, self._services_of_instance),
        )

    def keys(self) -> Iterable[str]:
        return [service.arn for service in self._store.list(SERVICES) if service.status != "INACTIVE"]

    async def reconcile(self, key: str) -> float | None:
        service = self._store.get(SERVICES, key)
        if service is None or service.status == "INACTIVE":
            self._idle_at.pop(key, None)
            self._waiting.forget(key)
            return None
        now = self._clock.now()
        pause_s = self._idle_at.get(key, 0.0) + pause_after_nothing_s(self._store.count(TASKS, "service", key)) - now
        if pause_s > 0:
            return pause_s
        wanted = decide(snapshot_of(self._store, service, now, self._site.warm_up_s))
        if wanted.is_empty and not records.is_behind(self._store, service, now):
            self._idle_at[key] = now
            self._waiting.end(service.cluster_arn, key)
            return _seconds_until(wanted.look_again_at, now)
        self._idle_at.pop(key, None)
        drawn = Drawn.of(self._ids, min(wanted.starting, MOST_AT_ONCE))
        done, launched = await self._store.transact(lambda tx: self._step(tx, key, now, drawn))
        if done is None:
            return None
        soon = _seconds_until(done.look_again_at, now)
        if launched.refused or launched.zone_refused:
            return RETRY_PLACEMENT_S if soon is None else min(soon, RETRY_PLACEMENT_S)
        self._waiting.end(service.cluster_arn, key)
        return soon

    def _step(self, tx: Tx, service_arn: str, now: float, drawn: Drawn) -> tuple[Plan | None, Launched]:
        service = tx.get(SERVICES, service_arn)
        if service is None:
            return None, Launched()
        todo = decide(snapshot_of(tx, service, now, self._site.warm_up_s))
        launched = launch(tx, service, todo.start, drawn, now)
        if launched.refused or launched.zone_refused:
            # before the commit: what makes room in the very same one, or right after, is not to be missed
            self._waiting.begin(service.cluster_arn, service_arn, launched.reasons)
        _stop_tasks(tx, service, todo, now)
        _write_deployments(tx, service, todo, now)
        write_task_sets(tx, service, todo, now)
        before = service
        if todo.roll_back_to:
            service = _roll_back(tx, service, todo, now, drawn.deployment_id)
        if todo.fail:
            records.note_failure(tx, todo, drawn.deployment_id, now)
        if todo.step is not None:
            service = take_step(tx, service, todo.step, now)
        records.follow(tx, service, now)
        if todo.status == "INACTIVE":
            records.close(tx, service, now)
        told = _tell(tx, service, todo, launched, now)
        _write_service(tx, before, replace(service, told=told), todo, launched, now)
        return todo, launched

    # ── which services a change concerns ──

    def _services_of_task(self, change: Change[Task]) -> Iterable[str]:
        task = change.value
        if task.spec.service_arn:
            yield task.spec.service_arn
        yield from self._waiting.woken_by(change)
        if change.new is None or (change.new.is_stopped and (change.old is None or not change.old.is_stopped)):
            yield from self._daemons_on(task.container_instance_arn)

    def _daemons_on(self, instance_arn: str) -> Iterable[str]:
        """Services whose daemon on a drained instance goes when everything else is gone."""
        instance = self._store.get(CONTAINER_INSTANCES, instance_arn) if instance_arn else None
        if instance is None or instance.status != "DRAINING":
            return
        for arn in {task.spec.service_arn for task in self._store.list(TASKS, "active_on", instance_arn)}:
            service = self._store.get(SERVICES, arn)
            if service is not None and service.spec.scheduling_strategy == "DAEMON":
                yield arn

    def _services_of_target(self, change: Change[Target]) -> Iterable[str]:
        for target in (change.old, change.new):
            task = self._store.get(TASKS, target.owner) if target is not None and target.owner else None
            if task is not None and task.spec.service_arn:
                yield task.spec.service_arn

    def _services_of_instance(self, change: Change[ContainerInstance]) -> Iterable[str]:
        """Where the instance itself came, went or changed, all whose tasks it bears on; and those that wait for room.

        Daemons are first in the queue: they have nowhere else to go.
        """
        instance = change.value
        if change.old is not None and change.new is not None and _standing(change.old) == _standing(change.new):
            yield from self._waiting.woken_by(change)
            return
        services = self._store.list(SERVICES, "cluster", instance.cluster_arn)
        yield from (service.arn for service in services if service.spec.scheduling_strategy == "DAEMON")
        yield from self._waiting.woken_by(change)
        for task in self._store.list(TASKS, "active_on", instance.arn):
            if task.spec.service_arn:
                yield task.spec.service_arn
        yield from (service.arn for service in services if is_balanced(service))


def _standing(instance: ContainerInstance) -> tuple[object, ...]:
    """What of an instance matters to services beside the room on it."""
    return instance.status, instance.agent_connected, instance.lost_at, instance.attributes, instance.availability_zone


def _seconds_until(at: float | None, now: float) -> float | None:
    return None if at is None else max(0.0, at - now)


def _stop_tasks(tx: Tx, service: Service, todo: Plan, now: float) -> None:
    balanced = bool(service.spec.load_balancers)
    #: zone that had too many -> tasks; "" for every other reason
    stopped: defaultdict[str, list[str]] = defaultdict(list)
    draining: Counter[str] = Counter()
    pending = 0
    for stop in todo.stop:
        task = tx.get(TASKS, stop.arn)
        if task is None or task.stop is not None:
            continue
        behind = task.status.last_status == "RUNNING" and (balanced or tx.count(TARGETS, "owner", task.arn) > 0)
        draining[task.spec.deployment_id] += behind
        tx.put(TASKS, stopped_by(task, reason=stop.reason, code=stop.code, now=now, behind_load_balancer=behind))
        if Lifecycle[task.status.last_status] < Lifecycle.RUNNING:
            pending += 1
        else:
            stopped[stop.rebalanced_zone].append(task.arn)
        log.info("(service %s) stops %s: %s", service.name, task.arn, stop.reason)
    for deployment_id, count in draining.items():
        if count:
            append_event(tx, service, event_words.draining_connections(service.name, deployment_id, count), now)
    for zone, arns in stopped.items():
        in_zone = event_words.stopped_in_zone(service.name, arns, zone)
        append_event(tx, service, in_zone if zone else event_words.stopped_tasks(service.name, arns), now)
    if pending:
        append_event(tx, service, event_words.stopped_pending(service.name, pending), now)


def _write_deployments(tx: Tx, service: Service, todo: Plan, now: float) -> None:
    tallies = dict(todo.tallies)
    for deployment in tx.list(DEPLOYMENTS, "service", service.arn):
        changed = replace(deployment, tally=tallies.get(deployment.id, deployment.tally))
        if deployment.id in todo.retire:
            changed = replace(changed, status="INACTIVE", updated_at=now)
        if deployment.id == todo.complete:
            reason = f"ECS deployment {deployment.id} completed."
            changed = replace(changed, rollout_state="COMPLETED", rollout_state_reason=reason, updated_at=now)
        if deployment.id == todo.fail:
            reason = todo.fail_reason or "ECS deployment circuit breaker: tasks failed to start."
            changed = replace(changed, rollout_state="FAILED", rollout_state_reason=reason, updated_at=now)
        if changed != deployment:
            tx.put(DEPLOYMENTS, changed)


def _roll_back(tx: Tx, service: Service, todo: Plan, now: float, deployment_id: str) -> Service:
    """A new deployment of what ran before; the failed one is an old one from now on."""
    good = tx.get(DEPLOYMENTS, todo.roll_back_to)
    failed = tx.get(DEPLOYMENTS, todo.fail)
    if good is None or failed is None:
        return service
    why = todo.fail_reason or f"ECS deployment circuit breaker: rolling back to deploymentId {good.id}."
    log.warning("(service %s) rolls back from %s to %s", service.name, failed.id, good.id)
    return records.going_back(tx, service, good, failed, deployment_id, now, why)


def _tell(tx: Tx, service: Service, todo: Plan, launched: Launched, now: float) -> tuple[Told, ...]:
    """Write down what is news, and return what has been said by now about causes that last."""
    name = service.name
    in_zones: defaultdict[str, list[str]] = defaultdict(list)
    started: list[str] = []
    for start, arns in launched.groups:
        (in_zones[start.zone] if start.zone else started).extend(arns)
        log.info("(service %s) starts %d tasks: %s", name, len(arns), start.reason)
    if started:
        replaces = min(len(started), sum(start.replaces for start, _ in launched.groups))
        append_event(tx, service, event_words.started_tasks(name, started, replaces), now)
    told = service.told if todo.told is None else todo.told
    # what is still stopping may well be what takes the room: it is no news before that is over
    refused = launched.refused and not _makes_room(tx, service)
    refusals = [Saying(launched.refused, "placement")] if refused else []
    refusals += [Saying(launched.zone_refused, NO_PLACE)] if launched.zone_refused else []
    if todo.start:
        lasting = frozenset(one.cause for one in told) - ({NO_PLACE} if launched.refused and not refused else {"placement", NO_PLACE})
        speech = spoken(told, refusals, now, lasting=lasting)
        told = told if speech.told is None else speech.told
        refusals = [saying for saying in refusals if saying.sentence in speech.tell]
    for sentence in (*(saying.sentence for saying in refusals), *todo.tell):
        append_event(tx, service, sentence, now)
        log.info("%s", sentence)
    for zone, arns_there in in_zones.items():
        append_event(tx, service, event_words.started_in_zone(name, arns_there, zone), now)
    return told


def _makes_room(tx: Tx, service: Service) -> bool:
    """Tasks of the service are stopping, where somebody is there to stop them."""
    for task in tx.list(TASKS, "service", service.arn):
        instance = tx.get(CONTAINER_INSTANCES, task.container_instance_arn) if task.stop is not None else None
        if instance is not None and instance.agent_connected:
            return True
    return False


def _write_service(tx: Tx, before: Service, service: Service, todo: Plan, launched: Launched, now: float) -> None:
    """Whatever of the service itself changed."""
    after = replace(
        service,
        status=todo.status or service.status,
        inactive_at=now if todo.status == "INACTIVE" else service.inactive_at,
        steady=service.steady if todo.steady is None else todo.steady,
        refusal=launched.refused if todo.start or todo.steady else service.refusal,
    )
    if after != before:
        tx.put(SERVICES, after)
