"""What to do about a service next: a pure function of what is wanted and what was seen. Here: ECS's rolling update.

Called by controller.py for one service at a time, after every change that touches it. An empty plan means that there is nothing
to do, or that something is being waited for (then `look_again_at` may say until when, and `waits` for what).

Tasks stay at or below floor(desired * maximum%), healthy tasks at or above ceil(desired * minimum%); new tasks start as far as the
ceiling allows, and those that are to go stop as far as the floor allows. Those are the tasks of older deployments and those on
instances that are drained. What only starts there goes at once, and so does what was lost with its instance. A task counts as
healthy by its target group, by its container health check, or, having neither, a while after RUNNING. Protected tasks stay until
their protection ends, unless they fail their health checks. Tasks that keep failing are started again more and more slowly, and
a circuit breaker may end the deployment.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from longshore.control.deployments.victims import victims
from longshore.control.deployments.vocabulary import (
    Member,
    Phase,
    Plan,
    Rollout,
    Saying,
    Snapshot,
    StartTasks,
    StopTask,
    Wish,
    earliest,
    scaling_reason,
    spoken,
)
from longshore.control.deployments.zones import CAUSE, NO_PLACE, moves_wanted, said
from longshore.services.ecs import event_words

#: how many failures in a row are answered at once, before waiting begins
PATIENCE = 3
#: the longest wait between tries, as ECS has it
LONGEST_WAIT_S = 15 * 60.0
#: causes that the controller speaks of itself, when it looks for places
ELSEWHERE = frozenset({"placement", NO_PLACE})


def wait_s(failures: int) -> float:
    """How long after the last failure to try again: not at all at first, then 1 s, 2 s, 4 s … up to a quarter of an hour."""
    if failures < PATIENCE:
        return 0.0
    return float(min(LONGEST_WAIT_S, 2.0 ** min(failures - PATIENCE, 30)))


def breaker_threshold(desired: int) -> int:
    return max(3, min(200, math.ceil(desired * 0.5)))


class Crew(msgspec.Struct, frozen=True):
    """The service's tasks by what is to become of them."""

    #: of the primary deployment, where they can stay
    fresh: tuple[Member, ...]
    #: everything else
    outgoing: tuple[Member, ...]
    #: moves under way: the task that is to go, by its ARN, and the one that takes its place
    moves: dict[str, Member]

    @property
    def usable(self) -> list[Member]:
        return [member for member in self.fresh if member.phase is not Phase.UNHEALTHY]

    @property
    def counted(self) -> int:
        """How many of the wanted tasks there are; the two tasks of a move are one."""
        return len(self.usable) - len(self.moves)


def crew_of(snapshot: Snapshot, primary: Rollout) -> Crew:
    fresh = tuple(m for m in snapshot.members if m.deployment_id == primary.id and not m.outgoing)
    outgoing = tuple(m for m in snapshot.members if m.deployment_id != primary.id or m.outgoing)
    usable = {member.arn for member in fresh if member.phase is not Phase.UNHEALTHY}
    moves = {m.in_place_of: m for m in sorted(fresh, key=_age) if m.arn in usable and m.in_place_of in usable}
    return Crew(fresh, outgoing, moves)


def plan(snapshot: Snapshot) -> Plan:
    primary = snapshot.primary
    if snapshot.deleted or primary is None:
        return dissolve(snapshot)
    if breaks(snapshot, primary):
        return break_off(snapshot, primary)
    crew = crew_of(snapshot, primary)
    stop = _stops(snapshot, crew)
    start, again_at = _starts(snapshot, primary, crew, stopping=len(stop))
    retire = finished_rollouts(snapshot, stop)
    others = has_others(snapshot, retire)
    settled = not stop and not start and not crew.outgoing and _all_serve(snapshot, crew)
    complete = settled and not crew.moves and primary.state == "IN_PROGRESS" and not others and all_sound(crew.fresh)
    steady = settled and not others and snapshot.leaving == 0 and (complete or primary.state != "IN_PROGRESS")
    sayings = _sayings(snapshot, primary, crew, complete=complete, steady=steady, busy=bool(stop or start))
    moves: list[StartTasks] = []
    lasting = frozenset() if steady and snapshot.steady and not snapshot.zones else frozenset({CAUSE})
    if steady and snapshot.zones and again_at is None and primary.tally.failed_starts < PATIENCE:
        moves = moves_wanted(snapshot, crew.fresh, crew.moves, snapshot.ceiling - len(snapshot.members)) if snapshot.steady else []
        sentences, lasting = said(snapshot, crew.fresh, bool(moves), bool(crew.moves))
        sayings += sentences
    speech = spoken(snapshot.told, sayings, snapshot.now, lasting=lasting if steady else lasting | ELSEWHERE)
    return Plan(
        start=(*start, *moves),
        stop=tuple(stop),
        retire=tuple(retire),
        complete=primary.id if complete else "",
        steady=None if steady == snapshot.steady else steady,
        tell=speech.tell,
        told=speech.told,
        waits=_waits(snapshot, primary, crew, again_at),
        look_again_at=_look_again(snapshot, again_at),
    )


def _age(member: Member) -> tuple[float, str]:
    return member.created_at, member.arn


# ── the end of a service ────────────────────────────────────────────────────────────────────────────────────────────


def dissolve(snapshot: Snapshot) -> Plan:
    """Everything goes, protected or not; the service is INACTIVE when nothing of it is left."""
    stop = tuple(StopTask(member.arn, scaling_reason(member.deployment_id)) for member in snapshot.members)
    if stop or snapshot.leaving:
        return Plan(stop=stop, status="" if snapshot.status == "DRAINING" else "DRAINING")
    return Plan(status="INACTIVE", retire=tuple(rollout.id for rollout in snapshot.rollouts))


# ── starting ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _starts(snapshot: Snapshot, primary: Rollout, crew: Crew, *, stopping: int) -> tuple[list[StartTasks], float | None]:
    """What to start now, and when to look again if failures make it wait."""
    room = snapshot.ceiling - (len(snapshot.members) - stopping)
    wanted = min(snapshot.desired - crew.counted, room)
    if wanted <= 0 or primary.state == "FAILED":
        return [], None
    wanted, ready_at = patiently(snapshot, primary, wanted)
    if wanted <= 0:
        return [], ready_at
    sick = sum(1 for member in crew.fresh if member.phase is Phase.UNHEALTHY)
    return [StartTasks(primary.id, wanted, f"{snapshot.desired} wanted", replaces=min(sick, wanted))], None


def patiently(snapshot: Snapshot, rollout: Rollout, wanted: int) -> tuple[int, float | None]:
    """How many of the wanted tasks may start now that some have failed, and when the next may if none may now."""
    ready_at = rollout.tally.last_at + wait_s(rollout.tally.failed_starts)
    if ready_at > snapshot.now:
        return 0, ready_at
    # while tasks keep failing one at a time is enough to find out whether it works now
    return (min(wanted, 1) if rollout.tally.failed_starts >= PATIENCE else wanted), None


# ── stopping ────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Stopping:
    """Stops decided on so far, and how many healthy tasks they leave."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.stops: list[StopTask] = []
        self.arns: set[str] = set()
        self._healthy = sum(1 for member in snapshot.members if member.phase is Phase.HEALTHY)
        self._floor = snapshot.floor

    def add(self, member: Member, reason: str, rebalanced_zone: str = "") -> None:
        self.stops.append(StopTask(member.arn, reason, rebalanced_zone=rebalanced_zone))
        self.arns.add(member.arn)
        self._healthy -= member.phase is Phase.HEALTHY

    def leaves_enough(self, member: Member) -> bool:
        """Whether the floor holds without it. One that does not count as healthy yet takes nothing away, but may be what serves."""
        return self._healthy - (member.phase is Phase.HEALTHY) >= self._floor


def _stops(snapshot: Snapshot, crew: Crew) -> list[StopTask]:
    stopping = _Stopping(snapshot)
    for member in snapshot.members:
        if member.gone:
            stopping.add(member, member.outgoing)
    _end_moves(snapshot, crew, stopping)
    _stop_surplus(snapshot, crew, stopping)
    _stop_unhealthy(snapshot, crew, stopping)
    _stop_outgoing(snapshot, crew, stopping)
    return stopping.stops


def _end_moves(snapshot: Snapshot, crew: Crew, stopping: _Stopping) -> None:
    """The old task of a move goes once the new one is healthy."""
    by_arn = {member.arn: member for member in crew.fresh}
    for arn, successor in sorted(crew.moves.items()):
        old = by_arn[arn]
        if successor.phase is Phase.HEALTHY and old.protected_until is None and stopping.leaves_enough(old):
            stopping.add(old, scaling_reason(old.deployment_id), old.zone if old.zone != successor.zone else "")


def _stop_surplus(snapshot: Snapshot, crew: Crew, stopping: _Stopping) -> None:
    """More of the primary than wanted; the unhealthy are no surplus: their replacement may be on its way."""
    surplus = crew.counted - snapshot.desired
    if surplus <= 0:
        return
    unfinished = [m for arn, m in sorted(crew.moves.items()) if arn not in stopping.arns]
    for member in unfinished:
        stopping.add(member, scaling_reason(member.deployment_id))
    pool = [member for member in crew.usable if member.arn not in stopping.arns]
    for member in victims(pool, snapshot.strategy, surplus):
        # where protected tasks that do not serve yet are to stay, one that serves may have to stay with them
        if stopping.leaves_enough(member) or member.phase is not Phase.HEALTHY:
            stopping.add(member, scaling_reason(member.deployment_id))


def _stop_unhealthy(snapshot: Snapshot, crew: Crew, stopping: _Stopping) -> None:
    """Once their replacement is there, or where there is no room to start it first."""
    ready = sum(1 for m in crew.fresh if m.phase in (Phase.HEALTHY, Phase.WARMING) and m.arn not in stopping.arns)
    has_room = snapshot.ceiling > len(snapshot.members) - len(stopping.stops)
    for member in sorted((m for m in crew.fresh if m.phase is Phase.UNHEALTHY), key=_age):
        if ready >= snapshot.desired or not has_room:
            stopping.add(member, member.complaint or "Task failed container health checks")
            has_room = True


def _stop_outgoing(snapshot: Snapshot, crew: Crew, stopping: _Stopping) -> None:
    """What does not serve first, then as many as the floor leaves: those on drained instances, whose time may be short, before others.

    What has come to run a moment ago serves, too, though it does not count yet: an update that comes so soon does not take it away."""
    covered = len(crew.fresh) >= snapshot.desired or len(snapshot.members) >= snapshot.ceiling
    for member in sorted(crew.outgoing, key=lambda m: (m.phase is Phase.HEALTHY, not m.outgoing, m.created_at, m.arn)):
        if member.gone or (member.protected_until is not None and member.phase is not Phase.UNHEALTHY):
            continue
        reason = member.outgoing or scaling_reason(member.deployment_id)
        if serves(member):
            if stopping.leaves_enough(member):
                stopping.add(member, reason)
        elif member.phase is Phase.UNHEALTHY or snapshot.desired == 0 or covered or (member.outgoing and member.phase is Phase.STARTING):
            stopping.add(member, reason)


# ── deployments that end ────────────────────────────────────────────────────────────────────────────────────────────


def finished_rollouts(snapshot: Snapshot, stop: list[StopTask]) -> list[str]:
    """Old deployments none of whose tasks is left, or will be after this plan."""
    going = {task.arn for task in stop}
    alive = {member.deployment_id for member in snapshot.members if member.arn not in going}
    return [rollout.id for rollout in snapshot.rollouts if not rollout.primary and rollout.id not in alive]


def has_others(snapshot: Snapshot, retire: list[str]) -> bool:
    return any(not rollout.primary and rollout.id not in retire for rollout in snapshot.rollouts)


def _all_serve(snapshot: Snapshot, crew: Crew) -> bool:
    """All that are wanted are there and serve; what only comes to take another's place need not yet."""
    coming = {member.arn for member in crew.moves.values()}
    return crew.counted == snapshot.desired and all(serves(member) for member in crew.fresh if member.arn not in coming)


def all_sound(members: Iterable[Member]) -> bool:
    """None of them could still turn out to be a failed start: a deployment whose tasks end a moment after RUNNING is not completed."""
    return all(member.sound_at is None for member in members)


def serves(member: Member) -> bool:
    """Healthy, or RUNNING with nothing that could ever say more than that."""
    return member.phase is Phase.HEALTHY or (member.phase is Phase.WARMING and member.warm_at is not None)


# ── the circuit breaker ─────────────────────────────────────────────────────────────────────────────────────────────


def breaks(snapshot: Snapshot, rollout: Rollout) -> bool:
    """Tasks that never came to run count while none of the deployment's does; those that failed their health checks always."""
    if not snapshot.breaker.enable or rollout.state != "IN_PROGRESS":
        return False
    starts = 0 if rollout.proven else rollout.tally.failed_starts
    return max(starts, rollout.tally.failed_checks) >= breaker_threshold(snapshot.desired)


def break_off(snapshot: Snapshot, rollout: Rollout) -> Plan:
    may_go_back = snapshot.breaker.rollback and not rollout.is_rollback and snapshot.last_completed != rollout.id
    back = snapshot.last_completed if may_go_back else ""
    tell = [event_words.deployment_failed(snapshot.service_name, rollout.id)]
    if back:
        tell.append(event_words.rolling_back(snapshot.service_name, back))
    return Plan(fail=rollout.id, roll_back_to=back, tell=tuple(tell))


def end_as_wished(snapshot: Snapshot, wish: Wish) -> Plan:
    """Whoever deploys has had enough of it."""
    tell = [event_words.deployment_ended(snapshot.service_name, wish.deployment_id)]
    if wish.back_to:
        tell.append(event_words.rolling_back(snapshot.service_name, wish.back_to))
    return Plan(fail=wish.deployment_id, fail_reason=wish.reason, roll_back_to=wish.back_to, tell=tuple(tell))


# ── what is said, and what is waited for ────────────────────────────────────────────────────────────────────────────


def _sayings(snapshot: Snapshot, primary: Rollout, crew: Crew, *, complete: bool, steady: bool, busy: bool) -> list[Saying]:
    name = snapshot.service_name
    sayings: list[Saying] = []
    if complete:
        sayings.append(Saying(event_words.deployment_completed(name, primary.id)))
    if steady and not snapshot.steady:
        sayings.append(Saying(event_words.steady_state(name)))
    if primary.tally.failed_starts >= PATIENCE and primary.state != "FAILED":
        sayings.append(Saying(event_words.cannot_start_consistently(name), "failures"))
    sayings += diagnoses(snapshot)
    if busy or snapshot.leaving or any(m.phase in (Phase.STARTING, Phase.WARMING) for m in snapshot.members):
        return sayings + _said_before(snapshot, "configuration", "protection:")
    protected = protected_in_the_way(snapshot, crew)
    for deployment_id, count in sorted(protected.items()):
        sayings.append(Saying(event_words.under_protection(name, deployment_id, count), f"protection:{deployment_id}"))
    if not protected and primary.state != "FAILED" and _is_stuck(snapshot, crew):
        sayings.append(Saying(event_words.stuck(name), "configuration"))
    return sayings


def diagnoses(snapshot: Snapshot) -> list[Saying]:
    """What is wrong with tasks that failed their health checks, once for each."""
    return [Saying(m.diagnosis, f"unhealthy:{m.arn}") for m in snapshot.members if m.phase is Phase.UNHEALTHY and m.diagnosis]


def _said_before(snapshot: Snapshot, *causes: str) -> list[Saying]:
    """While something moves it cannot be told whether a cause is over: it is kept, and nothing new is said of it."""
    return [Saying(one.sentence, one.cause) for one in snapshot.told if one.cause.startswith(causes)]


def protected_in_the_way(snapshot: Snapshot, crew: Crew) -> Counter[str]:
    """Protected tasks that would go if they were not, by deployment."""
    held = Counter(m.deployment_id for m in crew.outgoing if m.protected_until is not None)
    surplus = crew.counted - snapshot.desired
    if surplus > 0:
        ours = Counter(m.deployment_id for m in crew.usable if m.protected_until is not None)
        held += Counter({deployment_id: min(count, surplus) for deployment_id, count in ours.items()})
    return held


def _is_stuck(snapshot: Snapshot, crew: Crew) -> bool:
    """Ceiling and floor together leave nothing to do, though tasks are still to be replaced."""
    return bool(crew.outgoing) and crew.counted < snapshot.desired and snapshot.ceiling <= len(snapshot.members)


def _waits(snapshot: Snapshot, primary: Rollout, crew: Crew, again_at: float | None) -> tuple[str, ...]:
    waits = general_waits(snapshot, primary, again_at)
    waits += [f"{count} tasks of {one} are under protection" for one, count in sorted(protected_in_the_way(snapshot, crew).items())]
    if primary.state == "FAILED" and crew.counted < snapshot.desired:
        waits.append(f"deployment {primary.id} has failed and starts no more tasks")
    if _is_stuck(snapshot, crew):
        waits.append(
            f"of {len(snapshot.members)} tasks none may be stopped (at least {snapshot.floor} healthy) "
            f"and none be started (at most {snapshot.ceiling} in all)"
        )
    return tuple(waits)


def general_waits(snapshot: Snapshot, primary: Rollout, again_at: float | None) -> list[str]:
    """What services of any kind wait for."""
    waits: list[str] = []
    if again_at is not None:
        waits.append(
            f"{primary.tally.failed_starts} tasks failed one after the other: the next is tried in {again_at - snapshot.now:.0f} s"
        )
    for phase, words in ((Phase.STARTING, "are starting"), (Phase.WARMING, "run and are not known to be healthy yet")):
        count = sum(1 for member in snapshot.members if member.phase is phase)
        if count:
            waits.append(f"{count} tasks {words}")
    if snapshot.leaving:
        waits.append(f"{snapshot.leaving} tasks are stopping")
    return waits


def _look_again(snapshot: Snapshot, again_at: float | None) -> float | None:
    times = [again_at]
    for member in snapshot.members:
        times += (member.warm_at, member.sound_at, member.grace_until, member.protected_until)
    return earliest(times, snapshot.now)


def with_tallies(decided: Plan, snapshot: Snapshot) -> Plan:
    """Whatever was decided, what is known of failures by now is kept."""
    tallies = tuple((rollout.id, rollout.tally) for rollout in snapshot.rollouts if rollout.recounted)
    return replace(decided, tallies=tallies) if tallies else decided
