"""Carries out rebalances, a move at a time or as many at once as are allowed, through the machinery of deployments.

A move is a new task on the instance that was chosen, in the place of one elsewhere; the deployments controller lets the old one go
once the new one is healthy, drained from its load balancers first. Everything that was decided and done is in the store: whoever
starts again goes on where it was.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from longshore.control.deployments.launch import Drawn, launch
from longshore.control.deployments.snapshot import snapshot_of
from longshore.control.deployments.vocabulary import Snapshot, StartTasks
from longshore.control.events import append_event
from longshore.control.loop import Watched
from longshore.control.rebalance.plan import Seen, Step, step
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.services.call import Site
from longshore.services.ecs import event_words
from longshore.services.ecs.model import TASKS, Task
from longshore.services.ecs.rebalance.model import REBALANCES, Move, Rebalance
from longshore.services.ecs.rollout.model import DEPLOYMENTS, SERVICES, Service
from longshore.store.base import Change, Reader, Store, Tx

log = logging.getLogger("longshore.control.rebalance")

#: room and protection may change without anything that is watched
LOOK_EVERY_S = 5.0


class Rebalances:
    name = "rebalances"

    def __init__(self, store: Store, clock: Clock, ids: Ids, site: Site) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._warm_up_s = site.warm_up_s
        #: rebalance -> its moves, and the tasks and services that these are about
        self._about: dict[str, tuple[tuple[Move, ...], frozenset[str]]] = {}
        self.watches: Sequence[Watched] = (
            Watched(REBALANCES, lambda change: (change.key,)),
            Watched(TASKS, self._concerned),
        )

    def keys(self) -> Iterable[str]:
        return [one.arn for one in self._store.list(REBALANCES) if not one.is_over]

    def _concerned(self, change: Change[Task]) -> Iterable[str]:
        task = change.value
        for one in self._store.list(REBALANCES, "open", task.cluster_arn):
            about = self._what_concerns(one)
            if task.arn in about or task.spec.service_arn in about:
                yield one.arn

    def _what_concerns(self, rebalance: Rebalance) -> frozenset[str]:
        """Worked out once for each state of its moves: tasks change far more often."""
        known = self._about.get(rebalance.arn)
        if known is None or known[0] is not rebalance.moves:
            known = rebalance.moves, _about(rebalance.moves)
            self._about[rebalance.arn] = known
        return known[1]

    async def reconcile(self, key: str) -> float | None:
        rebalance = self._store.get(REBALANCES, key)
        if rebalance is None or rebalance.is_over:
            self._about.pop(key, None)
            return None
        now = self._clock.now()
        wanted = self._wanted(self._store, rebalance, now)
        if not wanted.begin and not wanted.over and wanted.moves == rebalance.moves:
            return LOOK_EVERY_S
        drawn = Drawn.of(self._ids, len(wanted.begin))
        over = await self._store.transact(lambda tx: self._step(tx, key, now, drawn))
        return None if over else LOOK_EVERY_S

    def _wanted(self, reader: Reader, rebalance: Rebalance, now: float) -> Step:
        looks: dict[str, Snapshot] = {}
        seen = tuple(self._seen(reader, move, now, looks) for move in rebalance.moves)
        return step(rebalance.moves, seen, rebalance.max_concurrent, stopping=rebalance.status == "STOPPING")

    def _step(self, tx: Tx, key: str, now: float, drawn: Drawn) -> bool:
        rebalance = tx.get(REBALANCES, key)
        if rebalance is None or rebalance.is_over:
            return True
        wanted = self._wanted(tx, rebalance, now)
        moves = _begin(tx, wanted, now, drawn)
        after = replace(rebalance, moves=moves)
        if wanted.over:
            after = replace(after, status="STOPPED" if rebalance.status == "STOPPING" else "SUCCEEDED", finished_at=now)
        if after != rebalance:
            tx.put(REBALANCES, replace(after, updated_at=now))
            _log(rebalance, after)
        return after.is_over

    def _seen(self, reader: Reader, move: Move, now: float, looks: dict[str, Snapshot]) -> Seen:
        """`looks` remembers each service's snapshot within one look."""
        if move.status not in ("PENDING", "MOVING"):
            return Seen()
        old = reader.get(TASKS, move.task_arn)
        if move.status == "MOVING":
            new = reader.get(TASKS, move.new_task_arn)
            ended = "the new task is not known any more" if new is None else _end_of(new)
            return Seen(old_gone=old is None or old.is_stopped, new_ended=ended)
        service = reader.get(SERVICES, move.service_arn)
        why_not = _why_not(reader, service, old, move, now)
        if why_not or service is None:
            return Seen(why_not=why_not)
        if service.arn not in looks:
            looks[service.arn] = snapshot_of(reader, service, now, self._warm_up_s)
        look = looks[service.arn]
        if look.ceiling <= look.desired:
            return Seen(why_not="the service's maximumPercent leaves no room to start a task before another is stopped")
        return Seen(room=look.ceiling - len(look.members))


def _about(moves: tuple[Move, ...]) -> frozenset[str]:
    """The tasks and services that moves which are not over are about."""
    going_on = [move for move in moves if move.status in ("PENDING", "MOVING")]
    return frozenset(arn for move in going_on for arn in (move.task_arn, move.new_task_arn, move.service_arn) if arn)


def _end_of(task: Task) -> str:
    if not task.is_stopped and task.stop is None:
        return ""
    return task.stop.reason if task.stop is not None else task.status.stopped_reason or "the new task has stopped"


def _why_not(reader: Reader, service: Service | None, task: Task | None, move: Move, now: float) -> str:
    """Why a task cannot be moved as it was decided; "" where it can."""
    if service is None or service.status != "ACTIVE" or service.spec.deleted:
        return "the service is deleted"
    if task is None or task.stop is not None or task.last_status != "RUNNING":
        return "the task does not run any more"
    if task.container_instance_arn != move.from_instance_arn:
        return "the task is not where it was"
    if task.protected_until is not None and task.protected_until > now:
        return "the task is protected"
    deployments = reader.list(DEPLOYMENTS, "service", service.arn)
    if any(one.status == "PRIMARY" and one.id != task.spec.deployment_id for one in deployments):
        return "a deployment replaces the task anyway"
    return ""


def _begin(tx: Tx, wanted: Step, now: float, drawn: Drawn) -> tuple[Move, ...]:
    """What finds no place waits while another move may make some: one under way, or one that was decided before it. Else it is skipped."""
    moves = list(wanted.moves)
    for number, place in enumerate(wanted.begin):
        move = moves[place]
        service, old = tx.get(SERVICES, move.service_arn), tx.get(TASKS, move.task_arn)
        if service is None or old is None:
            continue
        start = StartTasks(old.spec.deployment_id, 1, move.reason, instance_arn=move.to_instance_arn, in_place_of=move.task_arn)
        launched = launch(tx, service, [start], drawn.but(number), now)
        if launched.task_arns:
            moves[place] = replace(move, status="MOVING", new_task_arn=launched.task_arns[0])
            append_event(tx, service, event_words.started_tasks(service.name, launched.task_arns), now)
        elif not any(one.status == "MOVING" for one in moves) and not any(one.status == "PENDING" for one in moves[:place]):
            moves[place] = replace(move, status="SKIPPED", detail=launched.refused)
    return tuple(moves)


def _log(before: Rebalance, after: Rebalance) -> None:
    for was, now in zip(before.moves, after.moves, strict=True):
        if was.status != now.status:
            log.info("%s: %s to %s: %s %s", after.arn, now.task_arn, now.to_instance_arn, now.status, now.detail)
    if after.is_over:
        log.info("%s: %s", after.arn, after.status)
