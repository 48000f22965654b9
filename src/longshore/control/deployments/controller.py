"""Carries services to what is wanted of them, one transaction per look.

Watches services, deployments, tasks, targets and container instances; one key per service. Inside one transaction the
snapshot is taken, planned and carried out, so two looks never act on the same facts. New tasks get their place in that
transaction too; where none is found nothing is made, the service says why, and it is looked at again when an instance of
its cluster gains room or a task there stops.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from longshore.control.deployments.launch import Drawn, Launched, launch
from longshore.control.deployments.plan import Plan, plan
from longshore.control.deployments.snapshot import snapshot_of
from longshore.control.events import append_event
from longshore.control.loop import Watched
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.services.call import Site
from longshore.services.ecs import event_words
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, ContainerInstance, Task
from longshore.services.ecs.rollout.model import DEPLOYMENTS, SERVICES, Deployment, Service
from longshore.services.ecs.stopping import stopped_by
from longshore.services.elbv2.model import TARGETS, Target
from longshore.store.base import Change, Store, Tx

log = logging.getLogger("longshore.control.deployments")

#: tasks started in one transaction; the rest follow in the next
MOST_AT_ONCE = 100
#: a service without a place for its tasks is looked at again after this, whatever happens
RETRY_PLACEMENT_S = 30.0


class Deployments:
    name = "deployments"

    def __init__(self, store: Store, clock: Clock, ids: Ids, site: Site) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._site = site
        #: cluster ARN -> services in it that wait for room
        self._waiting: dict[str, set[str]] = {}
        self.watches: Sequence[Watched] = (
            Watched(SERVICES, lambda change: (change.key,)),
            Watched(DEPLOYMENTS, lambda change: (change.value.service_arn,)),
            Watched(TASKS, self._services_of_task),
            Watched(TARGETS, self._services_of_target),
            Watched(CONTAINER_INSTANCES, self._services_waiting_for),
        )

    def keys(self) -> Iterable[str]:
        return [service.arn for service in self._store.list(SERVICES) if service.status != "INACTIVE"]

    async def reconcile(self, key: str) -> float | None:
        service = self._store.get(SERVICES, key)
        if service is None or service.status == "INACTIVE":
            return None
        now = self._clock.now()
        wanted = plan(snapshot_of(self._store, service, now, self._site.warm_up_s))
        if wanted.is_empty:
            return _seconds_until(wanted.look_again_at, now)
        drawn = Drawn.of(self._ids, min(wanted.start, MOST_AT_ONCE))
        done, launched = await self._store.transact(lambda tx: self._step(tx, key, now, drawn))
        if done is None:
            return None
        if launched.refused:
            self._waiting.setdefault(service.cluster_arn, set()).add(key)
            return RETRY_PLACEMENT_S
        self._waiting.get(service.cluster_arn, set()).discard(key)
        return _seconds_until(done.look_again_at, now)

    def _step(self, tx: Tx, service_arn: str, now: float, drawn: Drawn) -> tuple[Plan | None, Launched]:
        service = tx.get(SERVICES, service_arn)
        if service is None:
            return None, Launched()
        todo = plan(snapshot_of(tx, service, now, self._site.warm_up_s))
        launched = launch(tx, service, min(todo.start, len(drawn.task_ids)), drawn, now)
        _stop_tasks(tx, service, todo, now)
        _write_deployments(tx, service, todo, now)
        if todo.roll_back_to:
            service = _roll_back(tx, service, todo, now, drawn.deployment_id)
        _tell(tx, service, todo, launched, now)
        _write_service(tx, service, todo, launched, now)
        return todo, launched

    # ── which services a change concerns ──

    def _services_of_task(self, change: Change[Task]) -> Iterable[str]:
        task = change.value
        if task.spec.service_arn:
            yield task.spec.service_arn
        if change.new is None or (change.new.is_stopped and (change.old is None or not change.old.is_stopped)):
            yield from self._waiting.get(task.cluster_arn, ())

    def _services_of_target(self, change: Change[Target]) -> Iterable[str]:
        for target in (change.old, change.new):
            task = self._store.get(TASKS, target.owner) if target is not None and target.owner else None
            if task is not None and task.spec.service_arn:
                yield task.spec.service_arn

    def _services_waiting_for(self, change: Change[ContainerInstance]) -> Iterable[str]:
        return tuple(self._waiting.get(change.value.cluster_arn, ()))


def _seconds_until(at: float | None, now: float) -> float | None:
    return None if at is None else max(0.0, at - now)


def _stop_tasks(tx: Tx, service: Service, todo: Plan, now: float) -> None:
    balanced = bool(service.spec.load_balancers)
    stopped: list[str] = []
    draining: Counter[str] = Counter()
    for stop in todo.stop:
        task = tx.get(TASKS, stop.arn)
        if task is None or task.stop is not None:
            continue
        behind = task.status.last_status == "RUNNING" and (balanced or tx.count(TARGETS, "owner", task.arn) > 0)
        draining[task.spec.deployment_id] += behind
        tx.put(TASKS, stopped_by(task, reason=stop.reason, code=stop.code, now=now, behind_load_balancer=behind))
        stopped.append(task.arn)
        log.info("(service %s) stops %s: %s", service.name, task.arn, stop.reason)
    for deployment_id, count in draining.items():
        if count:
            append_event(tx, service, event_words.draining_connections(service.name, deployment_id, count), now)
    if stopped:
        append_event(tx, service, event_words.stopped_tasks(service.name, stopped), now)


def _primary_id(tx: Tx, service: Service) -> str:
    return next((d.id for d in tx.list(DEPLOYMENTS, "service", service.arn) if d.status == "PRIMARY"), "")


def _write_deployments(tx: Tx, service: Service, todo: Plan, now: float) -> None:
    for deployment in tx.list(DEPLOYMENTS, "service", service.arn):
        changed = deployment
        if deployment.id in todo.retire:
            changed = replace(changed, status="INACTIVE", updated_at=now)
        if deployment.status == "PRIMARY" and todo.complete:
            reason = f"ECS deployment {deployment.id} completed."
            changed = replace(changed, rollout_state="COMPLETED", rollout_state_reason=reason, updated_at=now)
        if deployment.id == todo.fail:
            reason = "ECS deployment circuit breaker: tasks failed to start."
            changed = replace(changed, rollout_state="FAILED", rollout_state_reason=reason, updated_at=now)
        if changed is not deployment:
            tx.put(DEPLOYMENTS, changed)


def _roll_back(tx: Tx, service: Service, todo: Plan, now: float, deployment_id: str) -> Service:
    """A new deployment of what ran before; the failed one is an old one from now on."""
    good = tx.get(DEPLOYMENTS, todo.roll_back_to)
    failed = tx.get(DEPLOYMENTS, todo.fail)
    if good is None or failed is None:
        return service
    tx.put(DEPLOYMENTS, replace(failed, status="ACTIVE"))
    tx.put(
        DEPLOYMENTS,
        Deployment(
            id=deployment_id,
            service_arn=service.arn,
            task_definition_arn=good.task_definition_arn,
            created_at=now,
            updated_at=now,
            desired_count=service.spec.desired_count,
            rollout_state_reason=f"ECS deployment circuit breaker: rolling back to deploymentId {good.id}.",
        ),
    )
    log.warning("(service %s) rolls back from %s to %s", service.name, failed.id, good.id)
    return replace(service, spec=replace(service.spec, task_definition_arn=good.task_definition_arn))


def _tell(tx: Tx, service: Service, todo: Plan, launched: Launched, now: float) -> None:
    name, primary = service.name, _primary_id(tx, service)
    if launched.task_arns:
        append_event(tx, service, event_words.started_tasks(name, launched.task_arns), now)
        log.info("(service %s) starts %d tasks: %s", name, len(launched.task_arns), todo.start_reason)
    if launched.refused and launched.refused != service.refusal:
        append_event(tx, service, launched.refused, now)
        log.info("%s", launched.refused)
    sentences = {
        "completed": lambda: event_words.deployment_completed(name, primary),
        "steady": lambda: event_words.steady_state(name),
        "stuck": lambda: event_words.stuck(name),
        "struggling": lambda: event_words.cannot_start_consistently(name),
        "failed": lambda: event_words.deployment_failed(name, todo.fail),
        "rolling back": lambda: event_words.rolling_back(name, todo.fail, todo.roll_back_to),
    }
    for word in todo.tell:
        sentence = sentences[word]()
        if word != "stuck" or service.refusal != sentence:
            append_event(tx, service, sentence, now)
            log.info("%s", sentence)


def _write_service(tx: Tx, service: Service, todo: Plan, launched: Launched, now: float) -> None:
    """Whatever of the service itself changed. `refusal` remembers what was said last, so that it is said once."""
    before = tx.get(SERVICES, service.arn)
    refusal = launched.refused or (event_words.stuck(service.name) if "stuck" in todo.tell else "")
    if not launched.task_arns and not launched.refused and todo.start:
        refusal = service.refusal
    after = replace(
        service,
        status=todo.status or service.status,
        inactive_at=now if todo.status == "INACTIVE" else service.inactive_at,
        steady=service.steady if todo.steady is None else todo.steady,
        refusal=refusal,
    )
    if after != before:
        tx.put(SERVICES, after)
