"""What to do about a service next: a pure function of what is wanted and what was seen.

Called by controller.py for one service at a time, after every change that touches it. The answer is a Plan of named
buckets, each entry with its reason; an empty plan means that there is nothing to do, or that something is being waited
for (then `look_again_at` may say until when).

The rules are ECS's rolling update: total tasks stay at or below floor(desired * maximum%), healthy tasks at or above
ceil(desired * minimum%); new tasks start as far as the ceiling allows, old ones stop as far as the floor allows. A task
counts as healthy by its target group, by its container health check, or, having neither, a while after RUNNING.
Tasks that keep failing are started again more and more slowly, and a circuit breaker may end the deployment.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from enum import Enum

import msgspec

#: how many failures in a row are answered at once, before waiting begins
PATIENCE = 3
#: the longest wait between tries, as ECS has it
LONGEST_WAIT_S = 15 * 60.0

STOPPED_BY_SCHEDULER = "ServiceSchedulerInitiated"


class Phase(Enum):
    STARTING = "starting"  # not RUNNING yet
    WARMING = "warming"  # RUNNING, not yet known to be healthy
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"  # failed its health checks, and no grace period protects it


class Member(msgspec.Struct, frozen=True, gc=False):
    """A task of the service that nobody asked to stop."""

    arn: str
    deployment_id: str
    phase: Phase
    zone: str = ""
    created_at: float = 0.0
    #: why it is UNHEALTHY, as its stop reason will say it
    complaint: str = ""
    #: when a WARMING task becomes healthy by mere running
    warm_at: float | None = None


class Rollout(msgspec.Struct, frozen=True, gc=False):
    """A deployment of the service that is not INACTIVE."""

    id: str
    primary: bool
    state: str  # IN_PROGRESS | COMPLETED | FAILED
    #: tasks that ended by themselves without having run for long, since one last ran well
    failures: int = 0
    last_failure_at: float = 0.0


class Breaker(msgspec.Struct, frozen=True, gc=False):
    enable: bool = False
    rollback: bool = False


class Snapshot(msgspec.Struct, frozen=True):
    now: float
    service_name: str
    desired: int
    minimum_percent: int
    maximum_percent: int
    deleted: bool
    status: str
    steady: bool
    rollouts: tuple[Rollout, ...]
    members: tuple[Member, ...]
    #: tasks asked to stop that have not stopped
    leaving: int = 0
    breaker: Breaker = Breaker()
    #: a deployment that once completed, to go back to
    last_completed: str = ""


class StopTask(msgspec.Struct, frozen=True):
    arn: str
    reason: str
    code: str = STOPPED_BY_SCHEDULER


class Plan(msgspec.Struct, frozen=True):
    #: how many tasks of the primary deployment to start, as far as there is place for them
    start: int = 0
    start_reason: str = ""
    stop: tuple[StopTask, ...] = ()
    #: deployments that are over
    retire: tuple[str, ...] = ()
    #: the primary has done what it was for
    complete: bool = False
    #: the circuit breaker ended the primary deployment; goes back to `roll_back_to` when that is not empty
    fail: str = ""
    roll_back_to: str = ""
    #: the service's status from now on; "" leaves it
    status: str = ""
    steady: bool | None = None
    #: facts worth an event, told in AWS's words by the controller: steady, completed, stuck, struggling
    tell: tuple[str, ...] = ()
    look_again_at: float | None = None

    @property
    def is_empty(self) -> bool:
        return self == Plan(look_again_at=self.look_again_at)


def lower_limit(desired: int, minimum_percent: int) -> int:
    """Healthy tasks a deployment may not go below: rounded up."""
    return math.ceil(desired * minimum_percent / 100)


def upper_limit(desired: int, maximum_percent: int) -> int:
    """Tasks a deployment may not go above: rounded down."""
    return math.floor(desired * maximum_percent / 100)


def wait_s(failures: int) -> float:
    """How long after the last failure to try again: not at all at first, then 1 s, 2 s, 4 s … up to a quarter of an hour."""
    if failures < PATIENCE:
        return 0.0
    return float(min(LONGEST_WAIT_S, 2.0 ** (failures - PATIENCE)))


def breaker_threshold(desired: int) -> int:
    return max(3, min(200, math.ceil(desired * 0.5)))


def plan(snapshot: Snapshot) -> Plan:
    primary = next((rollout for rollout in snapshot.rollouts if rollout.primary), None)
    if snapshot.deleted or primary is None:
        return _dissolve(snapshot)
    if _breaks(snapshot, primary):
        return _break(snapshot, primary)
    stop = _stops(snapshot, primary)
    start, again_at = _starts(snapshot, primary, stopping=len(stop))
    retire = _finished_rollouts(snapshot, stop)
    settled = _is_settled(snapshot, primary, stop, start)
    complete = settled and primary.state == "IN_PROGRESS" and not _others(snapshot, retire)
    steady = settled and not _others(snapshot, retire) and snapshot.leaving == 0
    tell: list[str] = []
    if complete:
        tell.append("completed")
    if steady and not snapshot.steady:
        tell.append("steady")
    if _is_stuck(snapshot, primary, stop, start):
        tell.append("stuck")
    if start == 0 and again_at is not None and primary.failures == PATIENCE and snapshot.now - primary.last_failure_at < 0.5:
        tell.append("struggling")
    return Plan(
        start=start,
        start_reason=f"{snapshot.desired} wanted" if start else "",
        stop=tuple(stop),
        retire=tuple(retire),
        complete=complete,
        steady=None if steady == snapshot.steady else steady,
        tell=tuple(tell),
        look_again_at=_earliest([again_at, *(member.warm_at for member in snapshot.members)], snapshot.now),
    )


# ── the end of a service ────────────────────────────────────────────────────────────────────────────────────────────


def _dissolve(snapshot: Snapshot) -> Plan:
    """Everything goes; the service is INACTIVE when nothing of it is left."""
    stop = tuple(StopTask(member.arn, _scaling_reason(member)) for member in snapshot.members)
    if stop or snapshot.leaving:
        return Plan(stop=stop, status="" if snapshot.status == "DRAINING" else "DRAINING")
    return Plan(status="INACTIVE", retire=tuple(rollout.id for rollout in snapshot.rollouts))


# ── starting ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _starts(snapshot: Snapshot, primary: Rollout, *, stopping: int) -> tuple[int, float | None]:
    """How many to start now, and when to look again if failures make it wait."""
    mine = [member for member in snapshot.members if member.deployment_id == primary.id]
    usable = sum(1 for member in mine if member.phase is not Phase.UNHEALTHY)
    room = upper_limit(snapshot.desired, snapshot.maximum_percent) - (len(snapshot.members) - stopping)
    wanted = min(snapshot.desired - usable, room)
    if wanted <= 0 or primary.state == "FAILED":
        return 0, None
    ready_at = primary.last_failure_at + wait_s(primary.failures)
    if ready_at > snapshot.now:
        return 0, ready_at
    # while tasks keep failing one at a time is enough to find out whether it works now
    return (min(wanted, 1) if primary.failures >= PATIENCE else wanted), None


# ── stopping ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _stops(snapshot: Snapshot, primary: Rollout) -> list[StopTask]:
    mine = [member for member in snapshot.members if member.deployment_id == primary.id]
    old = [member for member in snapshot.members if member.deployment_id != primary.id]
    floor = lower_limit(snapshot.desired, snapshot.minimum_percent)
    healthy = sum(1 for member in snapshot.members if member.phase is Phase.HEALTHY)
    stops: list[StopTask] = []
    # 1. more of the primary than wanted; the unhealthy are no surplus: their replacement may be on its way
    counted = [member for member in mine if member.phase is not Phase.UNHEALTHY]
    surplus = len(counted) - snapshot.desired
    if surplus > 0:
        for member in _victims(counted)[:surplus]:
            stops.append(StopTask(member.arn, _scaling_reason(member)))
            healthy -= member.phase is Phase.HEALTHY
    stopped = {stop.arn for stop in stops}
    # 2. unhealthy ones, once their replacement is there or where there is no room to start it first
    usable = sum(1 for member in mine if member.phase in (Phase.HEALTHY, Phase.WARMING) and member.arn not in stopped)
    has_room = upper_limit(snapshot.desired, snapshot.maximum_percent) > len(snapshot.members) - len(stops)
    for member in _oldest_first(member for member in mine if member.phase is Phase.UNHEALTHY and member.arn not in stopped):
        if usable >= snapshot.desired or not has_room:
            stops.append(StopTask(member.arn, member.complaint or "Task failed container health checks"))
            has_room = True
    # 3. old deployments: what does not serve first, then as many as the floor leaves
    for member in sorted(old, key=lambda m: (m.phase is Phase.HEALTHY, m.created_at, m.arn)):
        if member.phase is not Phase.HEALTHY:
            if member.phase is Phase.UNHEALTHY or snapshot.desired == 0 or _covered(snapshot, mine):
                stops.append(StopTask(member.arn, _scaling_reason(member)))
        elif healthy - 1 >= floor:
            stops.append(StopTask(member.arn, _scaling_reason(member)))
            healthy -= 1
    return stops


def _covered(snapshot: Snapshot, mine: list[Member]) -> bool:
    """The primary's tasks are all there or the ceiling keeps them away: an old task that does not serve is in the way either way."""
    upper = upper_limit(snapshot.desired, snapshot.maximum_percent)
    return len(mine) >= snapshot.desired or len(snapshot.members) >= upper


def _victims(members: list[Member]) -> list[Member]:
    """The order in which surplus tasks go: not serving before serving, then from the fullest zone, then the youngest."""
    remaining = sorted(members, key=lambda m: (-m.created_at, m.arn))
    per_zone = Counter(member.zone for member in remaining)
    rank = {Phase.STARTING: 0, Phase.UNHEALTHY: 1, Phase.WARMING: 1, Phase.HEALTHY: 2}
    order: list[Member] = []
    while remaining:
        lowest = min(rank[member.phase] for member in remaining)
        victim = max((m for m in remaining if rank[m.phase] == lowest), key=lambda m: (per_zone[m.zone], m.created_at, m.arn))
        per_zone[victim.zone] -= 1
        remaining.remove(victim)
        order.append(victim)
    return order


def _oldest_first(members: Iterable[Member]) -> list[Member]:
    return sorted(members, key=lambda m: (m.created_at, m.arn))


def _scaling_reason(member: Member) -> str:
    return f"Scaling activity initiated by (deployment {member.deployment_id})"


# ── deployments that end ────────────────────────────────────────────────────────────────────────────────────────────


def _finished_rollouts(snapshot: Snapshot, stop: list[StopTask]) -> list[str]:
    """Old deployments none of whose tasks is left, or will be after this plan."""
    going = {task.arn for task in stop}
    alive = {member.deployment_id for member in snapshot.members if member.arn not in going}
    return [rollout.id for rollout in snapshot.rollouts if not rollout.primary and rollout.id not in alive]


def _others(snapshot: Snapshot, retire: list[str]) -> bool:
    return any(not rollout.primary and rollout.id not in retire for rollout in snapshot.rollouts)


def _is_settled(snapshot: Snapshot, primary: Rollout, stop: list[StopTask], start: int) -> bool:
    mine = [member for member in snapshot.members if member.deployment_id == primary.id]
    return not stop and start == 0 and len(mine) == snapshot.desired and all(_serves(member) for member in mine)


def _serves(member: Member) -> bool:
    """Healthy, or RUNNING with nothing that could ever say more than that."""
    return member.phase is Phase.HEALTHY or (member.phase is Phase.WARMING and member.warm_at is not None)


def _is_stuck(snapshot: Snapshot, primary: Rollout, stop: list[StopTask], start: int) -> bool:
    """Ceiling and floor together leave nothing to do, though old tasks are still to be replaced."""
    if stop or start or snapshot.leaving or primary.state == "FAILED":
        return False
    mine = [member for member in snapshot.members if member.deployment_id == primary.id]
    old = len(snapshot.members) - len(mine)
    waiting = any(member.phase in (Phase.STARTING, Phase.WARMING) for member in snapshot.members)
    return (
        old > 0
        and len(mine) < snapshot.desired
        and not waiting
        and upper_limit(snapshot.desired, snapshot.maximum_percent) <= len(snapshot.members)
    )


# ── the circuit breaker ─────────────────────────────────────────────────────────────────────────────────────────────


def _breaks(snapshot: Snapshot, primary: Rollout) -> bool:
    if not snapshot.breaker.enable or primary.state != "IN_PROGRESS":
        return False
    return primary.failures >= breaker_threshold(snapshot.desired)


def _break(snapshot: Snapshot, primary: Rollout) -> Plan:
    back = snapshot.last_completed if snapshot.breaker.rollback and snapshot.last_completed != primary.id else ""
    return Plan(fail=primary.id, roll_back_to=back, tell=("rolling back",) if back else ("failed",))


def _earliest(times: Iterable[float | None], now: float) -> float | None:
    return min((time for time in times if time is not None and time > now), default=None)
