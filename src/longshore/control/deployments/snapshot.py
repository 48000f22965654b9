"""What the store says about a service, as its planner wants to see it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from longshore.control.deployments.records import wish_of
from longshore.control.deployments.shifting.gather import shift_of
from longshore.control.deployments.task_sets.gather import shares_of
from longshore.control.deployments.vocabulary import Breaker, Member, Phase, Rollout, Snapshot, Station
from longshore.services.ecs import event_words
from longshore.services.ecs.daemons import matching_instances
from longshore.services.ecs.model import (
    CONTAINER_INSTANCES,
    SHORT_LIFE_S,
    TASK_DEFINITIONS,
    TASKS,
    ContainerInstance,
    Lifecycle,
    Task,
    revision_key,
)
from longshore.services.ecs.rollout.model import DEPLOYMENTS, SERVICES, TASK_SETS, Deployment, Service, Tally, TaskSet
from longshore.services.ecs.rollout.revisions import settings_of
from longshore.services.ecs.stopping import DRAINED, lost_with
from longshore.services.elbv2.model import TARGETS, Target
from longshore.store.base import Reader

ZONE = "attribute:ecs.availability-zone"


def snapshot_of(reader: Reader, service: Service, now: float, warm_up_s: float) -> Snapshot:
    """`warm_up_s`: how long after RUNNING a task counts as healthy when nothing checks its health."""
    spec = service.spec
    tasks = reader.list(TASKS, "service", service.arn)
    wanted = [task for task in tasks if task.stop is None]
    deployments = reader.list(DEPLOYMENTS, "service", service.arn)
    grounds = Grounds(reader, service, now, warm_up_s)
    breaker = spec.circuit_breaker
    is_daemon = spec.scheduling_strategy == "DAEMON" and not spec.deleted
    stations = _stations(reader, service, tasks, deployments) if is_daemon else None
    shares = shares_of(reader, service, tasks)
    return Snapshot(
        now=now,
        service_name=service.name,
        desired=spec.desired_count if stations is None else sum(1 for station in stations if station.wanted),
        minimum_percent=spec.minimum_healthy_percent,
        maximum_percent=spec.maximum_percent,
        deleted=spec.deleted,
        status=service.status,
        steady=service.steady,
        rollouts=tuple(_rollout(reader, deployment, wanted, now) for deployment in deployments)
        if shares is None
        else tuple(_task_set_rollout(reader, task_set, wanted, now) for task_set in reader.list(TASK_SETS, "service", service.arn)),
        members=tuple(grounds.member(task) for task in wanted),
        leaving=sum(1 for task in tasks if task.stop is not None and not grounds.is_lost(task)),
        breaker=Breaker(bool(breaker and breaker.enable), bool(breaker and breaker.rollback)),
        last_completed=_last_completed(reader, service) if breaker and breaker.rollback else "",
        strategy=tuple((one.type or "", one.field or "") for one in spec.placement_strategy),
        zones=_zones(reader, service) if service.steady and is_balanced(service) else (),
        told=service.told,
        deployment_strategy=spec.strategy,
        stations=stations,
        shift=shift_of(reader, service, tasks) if shares is None else None,
        wish=wish_of(reader, service) if shares is None else None,
        shares=shares,
    )


class Grounds:
    """What tasks of one service are judged by. Instances and definitions are looked up once for all that share them."""

    def __init__(self, reader: Reader, service: Service, now: float, warm_up_s: float) -> None:
        self._reader = reader
        self._service = service
        self._now = now
        self._warm_up_s = warm_up_s
        self._instances: dict[str, ContainerInstance | None] = {}
        #: instance -> what each placement strategy spreads over, as it has it
        self._values: dict[str, tuple[str, ...]] = {}
        self._checked: dict[str, bool] = {}
        #: deployment id -> the service as that deployment's tasks are made for it
        self._services: dict[str, Service] = {}
        self._fields = tuple(one.field or "" if one.type == "spread" else "" for one in service.spec.placement_strategy)
        self._packs = any(one.type == "binpack" for one in service.spec.placement_strategy)
        self._stays = service.spec.scheduling_strategy == "DAEMON"

    def member(self, task: Task) -> Member:
        instance = self.instance(task)
        phase, complaint, warm_at = self.phase(task)
        outgoing, gone = "", False
        # a DAEMON service has its own way with instances: its tasks leave last, or not at all
        if instance is not None and not self._stays:
            outgoing = DRAINED if instance.status == "DRAINING" else ""
            if instance.is_lost:
                outgoing, gone = lost_with(instance), not (self._service_of(task).spec.load_balancers and phase is Phase.HEALTHY)
        return Member(
            arn=task.arn,
            deployment_id=task.spec.deployment_id,
            phase=Phase.UNHEALTHY if gone else phase,
            zone=task.availability_zone,
            created_at=task.spec.created_at,
            complaint=complaint,
            diagnosis=self._diagnosis(task) if phase is Phase.UNHEALTHY else "",
            warm_at=None if gone else warm_at,
            sound_at=None if gone or warm_at is None else self._sound_at(task),
            grace_until=self._grace_until(task),
            instance_arn=task.container_instance_arn,
            outgoing=outgoing,
            gone=gone,
            protected_until=task.protected_until if task.protected_until is not None and task.protected_until > self._now else None,
            spread=self._spread(task, instance),
            left=self._left(instance) if self._packs else (0, 0),
            in_place_of=task.spec.in_place_of,
        )

    def _sound_at(self, task: Task) -> float | None:
        at = (task.status.started_at or 0.0) + min(SHORT_LIFE_S, self._warm_up_s)
        return at if at > self._now else None

    def phase(self, task: Task) -> tuple[Phase, str, float | None]:
        definition_arn = task.spec.task_definition_arn
        if definition_arn not in self._checked:
            self._checked[definition_arn] = _has_health_check(self._reader, definition_arn)
        targets = self._reader.list(TARGETS, "owner", task.arn)
        return phase_of(self._service_of(task), task, targets, self._checked[definition_arn], self._now, self._warm_up_s)

    def _diagnosis(self, task: Task) -> str:
        name = self._service.name
        for target in self._reader.list(TARGETS, "owner", task.arn):
            if target.health.state == "unhealthy" and target.classic:
                return event_words.instance_unhealthy(name, target.id, target.classic)
            if target.health.state == "unhealthy":
                reason = target.health.description or target.health.reason
                return event_words.target_unhealthy(name, target.id, target.port, target.target_group_arn, reason)
        return event_words.task_failed_checks(name, task.arn)

    def _service_of(self, task: Task) -> Service:
        deployment_id = task.spec.deployment_id
        if deployment_id not in self._services:
            spec = settings_of(self._reader, self._service, deployment_id)
            self._services[deployment_id] = replace(self._service, spec=spec)
        return self._services[deployment_id]

    def _grace_until(self, task: Task) -> float | None:
        spec = self._service_of(task).spec
        if not spec.load_balancers or not spec.health_check_grace_period_s or task.status.started_at is None:
            return None
        return task.status.started_at + spec.health_check_grace_period_s

    def is_lost(self, task: Task) -> bool:
        """It went with its instance, and is waited for no more; nor is it when the instance is back and the task is stopped there."""
        instance = self.instance(task)
        return instance is not None and (instance.is_lost or (task.stop is not None and task.stop.reason == lost_with(instance)))

    def instance(self, task: Task) -> ContainerInstance | None:
        arn = task.container_instance_arn
        if arn not in self._instances:
            self._instances[arn] = self._reader.get(CONTAINER_INSTANCES, arn) if arn else None
        return self._instances[arn]

    def _spread(self, task: Task, instance: ContainerInstance | None) -> tuple[str, ...]:
        arn = task.container_instance_arn
        if arn not in self._values:
            self._values[arn] = tuple(
                arn
                if field.lower() in ("instanceid", "host")
                else (instance.attribute(field.removeprefix("attribute:")) or "" if instance is not None and field else "")
                for field in self._fields
            )
        return self._values[arn]

    def _left(self, instance: ContainerInstance | None) -> tuple[int, int]:
        if instance is None:
            return 0, 0
        cpu, memory, *_ = self._reader.total(TASKS, "on_instance", instance.arn)
        return instance.capacity.cpu - cpu, instance.capacity.memory_mib - memory


# ── DAEMON services and zones ───────────────────────────────────────────────────────────────────────────────────────


def _stations(reader: Reader, service: Service, tasks: Sequence[Task], deployments: Sequence[Deployment]) -> tuple[Station, ...]:
    """Every instance that is to have a task of the service, and every other one that has."""
    primary = next((one.id for one in deployments if one.status == "PRIMARY"), "")
    leaving: dict[str, int] = {}
    staying: set[str] = set()
    running: set[str] = set()
    for task in tasks:
        if task.stop is None:
            staying.add(task.container_instance_arn)
            if task.status.last_status == "RUNNING" and task.spec.deployment_id == primary:
                running.add(task.container_instance_arn)
        else:
            leaving[task.container_instance_arn] = leaving.get(task.container_instance_arn, 0) + 1
    found: dict[str, Station] = {}
    for instance in matching_instances(reader, service):
        reachable = instance.agent_connected
        # nothing can be started where no agent is, so nothing is missing there either; and on a lost instance what only starts
        # never comes to run, and an update never comes to an end
        if reachable or instance.arn in (running if instance.is_lost else staying):
            found[instance.arn] = Station(
                instance.arn, instance.availability_zone, leaving=leaving.get(instance.arn, 0), reachable=reachable
            )
    for arn in sorted((staying | leaving.keys()) - found.keys()):
        row = reader.get(CONTAINER_INSTANCES, arn)
        draining = row is not None and row.status == "DRAINING"
        others = _others_on(reader, arn) if draining else 0
        reason = DRAINED if draining else lost_with(row) if row is not None and row.is_lost else ""
        found[arn] = Station(arn, wanted=False, reason=reason, leaving=leaving.get(arn, 0), others=others)
    return tuple(found[arn] for arn in sorted(found))


def _others_on(reader: Reader, instance_arn: str) -> int:
    """Tasks there that no DAEMON service keeps."""
    kept: dict[str, bool] = {"": False}
    tasks = reader.list(TASKS, "active_on", instance_arn)
    for arn in {task.spec.service_arn for task in tasks}:
        if arn not in kept:
            service = reader.get(SERVICES, arn)
            kept[arn] = service is not None and service.spec.scheduling_strategy == "DAEMON"
    return sum(1 for task in tasks if not kept[task.spec.service_arn])


def is_balanced(service: Service) -> bool:
    """Whether its tasks are to be kept balanced over zones."""
    return service.spec.availability_zone_rebalancing == "ENABLED" and service.spec.scheduling_strategy == "REPLICA"


def _zones(reader: Reader, service: Service) -> tuple[str, ...]:
    """Where tasks of the service could be started."""
    if any(constraint.type == "memberOf" for constraint in service.spec.placement_constraints):
        there: Iterable[ContainerInstance] = matching_instances(reader, service)
    else:
        there = (one for one in reader.list(CONTAINER_INSTANCES, "cluster", service.cluster_arn) if one.status == "ACTIVE")
    return tuple(sorted({one.availability_zone for one in there if one.agent_connected and one.availability_zone}))


# ── deployments ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _proven(deployment_id: str, wanted: Iterable[Task], now: float) -> list[float]:
    """When the tasks began that have run well for a while."""
    return [
        task.status.started_at
        for task in wanted
        if task.spec.deployment_id == deployment_id and task.status.started_at is not None and now - task.status.started_at >= SHORT_LIFE_S
    ]


def _task_set_rollout(reader: Reader, task_set: TaskSet, wanted: Iterable[Task], now: float) -> Rollout:
    """A task set as if it were a deployment that has long been completed."""
    proven = _proven(task_set.id, wanted, now)
    tally = tallied(task_set.tally, reader.list(TASKS, "failed_in", task_set.id), max(proven, default=0.0))
    return Rollout(id=task_set.id, primary=True, state="COMPLETED", tally=tally, recounted=tally != task_set.tally, proven=bool(proven))


def _rollout(reader: Reader, deployment: Deployment, wanted: Iterable[Task], now: float) -> Rollout:
    proven = _proven(deployment.id, wanted, now)
    tally = tallied(deployment.tally, reader.list(TASKS, "failed_in", deployment.id), max(proven, default=0.0))
    return Rollout(
        id=deployment.id,
        primary=deployment.status == "PRIMARY",
        state=deployment.rollout_state,
        tally=tally,
        recounted=tally != deployment.tally,
        proven=bool(proven),
        is_rollback=bool(deployment.rolls_back),
    )


def tallied(before: Tally, failed: Sequence[Task], proven_at: float) -> Tally:
    """`before` with the failures it does not know yet. Failed starts count since `proven_at`, when a task began to run well."""
    ends = sorted(((task.status.stopped_at or 0.0, task.arn, task) for task in failed), key=lambda end: end[:2])
    same = [end for end in ends if end[0] == before.last_at][before.at_last :]
    news = [*same, *(end for end in ends if end[0] > before.last_at)]
    starts = [at for at, _, task in ends if task.stop is None and at > proven_at]
    if proven_at > before.proven_at and (before.failed_starts or news):
        before = replace(before, failed_starts=len(starts), proven_at=proven_at)
    else:
        before = replace(before, failed_starts=before.failed_starts + sum(1 for _, _, task in news if task.stop is None))
    if not news:
        return before
    last_at = news[-1][0]
    return replace(
        before,
        failed_checks=before.failed_checks + sum(1 for _, _, task in news if task.stop is not None),
        last_at=last_at,
        at_last=sum(1 for end in news if end[0] == last_at) + (before.at_last if last_at == before.last_at else 0),
    )


def _last_completed(reader: Reader, service: Service) -> str:
    """The newest earlier deployment that once completed; "" when none did."""
    completed = [
        deployment
        for deployment in reader.list(DEPLOYMENTS, "history", service.arn)
        if deployment.rollout_state == "COMPLETED" and deployment.status != "PRIMARY"
    ]
    return max(completed, key=lambda deployment: deployment.created_at).id if completed else ""


# ── health ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _has_health_check(reader: Reader, definition_arn: str) -> bool:
    """Only the checks of essential containers make the health of a task."""
    family, _, revision = definition_arn.rsplit("/", 1)[-1].rpartition(":")
    definition = reader.get(TASK_DEFINITIONS, revision_key(definition_arn, family, int(revision)))
    containers = (definition.definition.container_definitions if definition else None) or ()
    return any(
        container.essential is not False and container.health_check is not None and container.health_check.command[0] != "NONE"
        for container in containers
    )


def phase_of(
    service: Service, task: Task, targets: list[Target], has_health_check: bool, now: float, warm_up_s: float
) -> tuple[Phase, str, float | None]:
    """(phase, complaint, when it becomes healthy by mere running)."""
    started = task.status.started_at
    if Lifecycle[task.status.last_status] < Lifecycle.RUNNING or started is None:
        return Phase.STARTING, "", None
    in_grace = bool(service.spec.load_balancers) and now < started + service.spec.health_check_grace_period_s
    complaint = _complaint(task, targets, has_health_check)
    if complaint:
        return (Phase.WARMING, "", None) if in_grace else (Phase.UNHEALTHY, complaint, None)
    if not has_health_check and not service.spec.load_balancers:
        warm_at = started + warm_up_s
        return (Phase.HEALTHY, "", None) if now >= warm_at else (Phase.WARMING, "", warm_at)
    serving = {_behind(target) for target in targets if target.health.state in ("healthy", "unavailable")}
    waiting = {target.classic for target in targets if target.health.state == "initial"} - {""}
    wanted = {lb.target_group_arn or lb.load_balancer_name or "" for lb in service.spec.load_balancers}
    healthy = wanted <= serving - waiting and (not has_health_check or task.status.health_status == "HEALTHY")
    return (Phase.HEALTHY if healthy else Phase.WARMING), "", None


def _behind(target: Target) -> str:
    """What a service names it by: a target group, or a Classic load balancer, all of whose ports of an instance count together."""
    return target.classic or target.target_group_arn


def _complaint(task: Task, targets: list[Target], has_health_check: bool) -> str:
    """Why the task is not to go on, as its stop reason says it; "" when nothing is wrong (yet)."""
    if has_health_check and task.status.health_status == "UNHEALTHY":
        return "Task failed container health checks"
    for target in targets:
        if target.health.state == "unhealthy":
            where = f"elb {target.classic}" if target.classic else f"target-group {target.target_group_arn}"
            return f"Task failed ELB health checks in ({where})"
    return ""
