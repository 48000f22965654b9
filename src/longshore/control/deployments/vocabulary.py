"""The words in which services are seen and decided about: what every planner is given, and what every planner answers.

A Snapshot says what is wanted of one service and what was seen of its tasks; a Plan says what to do next. Planners (plan.py for
rolling updates, daemon.py for DAEMON services, others beside them) are functions from the one to the other, and controller.py
carries out whatever they answer without asking which of them it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import Enum

import msgspec

from longshore.control.deployments.shifting.stages import Shift, Step
from longshore.services.ecs.rollout.model import Tally, Told

STOPPED_BY_SCHEDULER = "ServiceSchedulerInitiated"
#: the same sentence about the same cause is not said again for so long, as in ECS
SILENCE_S = 6 * 3600.0


class Phase(Enum):
    STARTING = "starting"  # not RUNNING yet
    WARMING = "warming"  # RUNNING, not yet known to be healthy
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"  # failed its health checks, and no grace period protects it


# ── what is seen ────────────────────────────────────────────────────────────────────────────────────────────────────


class Member(msgspec.Struct, frozen=True, gc=False):
    """A task of the service that nobody asked to stop."""

    arn: str
    deployment_id: str
    phase: Phase
    zone: str = ""
    created_at: float = 0.0
    #: why it is UNHEALTHY, as its stop reason will say it
    complaint: str = ""
    #: the same as an event tells it
    diagnosis: str = ""
    #: when a WARMING task becomes healthy by mere running
    warm_at: float | None = None
    #: when a task that nothing checks will have run for long enough not to count as a failed start; None once it has
    sound_at: float | None = None
    #: until then failed health checks do not count
    grace_until: float | None = None
    instance_arn: str = ""
    #: why it cannot stay on its instance, as its stop reason will say it; "" when it can
    outgoing: str = ""
    #: its instance is lost, and nothing else says that it still serves
    gone: bool = False
    #: until then neither scale-in, deployments nor draining stop it; None when it is not protected (any more)
    protected_until: float | None = None
    #: for each placement strategy of the service, the value that tasks are spread over (instance, zone …)
    spread: tuple[str, ...] = ()
    #: CPU units and MiB left on its instance
    left: tuple[int, int] = (0, 0)
    #: it was started to take the place of this task, which goes once this one is healthy
    in_place_of: str = ""


class Rollout(msgspec.Struct, frozen=True, gc=False):
    """A deployment of the service that is not INACTIVE."""

    id: str
    primary: bool
    state: str  # IN_PROGRESS | COMPLETED | FAILED
    #: its tasks' failures so far
    tally: Tally = Tally()
    #: `tally` knows of failures that the deployment itself does not say yet
    recounted: bool = False
    #: one of its tasks has run well for a while, and still does
    proven: bool = False
    #: it takes a service back to what ran before: if it fails, too, there is nothing to go back to
    is_rollback: bool = False


class Breaker(msgspec.Struct, frozen=True, gc=False):
    enable: bool = False
    rollback: bool = False


class Station(msgspec.Struct, frozen=True, gc=False):
    """An instance that a DAEMON service is to have, or still has, a task on."""

    arn: str
    zone: str = ""
    #: ACTIVE, and what the service's constraints ask for: one task is wanted there
    wanted: bool = True
    #: what its task is told when it is not
    reason: str = ""
    #: tasks of the service there that were asked to stop and have not stopped
    leaving: int = 0
    #: tasks there that are no daemons and go before them when the instance is drained
    others: int = 0
    #: its agent is there to start something
    reachable: bool = True


class Wish(msgspec.Struct, frozen=True):
    """Somebody wants a rolling update ended: to go back to another deployment, or (when that is empty) to be left where it is."""

    deployment_id: str
    reason: str
    back_to: str = ""


class Share(msgspec.Struct, frozen=True):
    """A task set of a service that somebody else deploys."""

    id: str
    arn: str
    desired: int
    stability: str
    draining: bool = False
    #: its tasks that are stopping
    leaving: int = 0


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
    #: tasks asked to stop that have not stopped, as far as somebody is there to stop them
    leaving: int = 0
    breaker: Breaker = Breaker()
    #: a deployment that once completed, to go back to
    last_completed: str = ""
    #: how new tasks are placed (type, field), which is how surplus ones are chosen; empty: spread over zones, then instances
    strategy: tuple[tuple[str, str], ...] = ()
    #: zones to keep tasks balanced over; empty where that is not wanted
    zones: tuple[str, ...] = ()
    #: what was said about causes that lasted
    told: tuple[Told, ...] = ()
    #: ROLLING, or the name of another strategy of deployment
    deployment_strategy: str = "ROLLING"
    #: of a DAEMON service; None for every other
    stations: tuple[Station, ...] | None = None
    #: a deployment that shifts traffic is under way
    shift: Shift | None = None
    wish: Wish | None = None
    #: of a service with an external deployment controller; None for every other
    shares: tuple[Share, ...] | None = None

    @property
    def primary(self) -> Rollout | None:
        return next((rollout for rollout in self.rollouts if rollout.primary), None)

    @property
    def floor(self) -> int:
        return lower_limit(self.desired, self.minimum_percent)

    @property
    def ceiling(self) -> int:
        return upper_limit(self.desired, self.maximum_percent)


# ── what is decided ─────────────────────────────────────────────────────────────────────────────────────────────────


class StartTasks(msgspec.Struct, frozen=True):
    """Tasks alike to start, as far as there is place for them."""

    deployment_id: str
    count: int
    reason: str = ""
    #: only on container instances in this zone
    zone: str = ""
    #: only on this one
    instance_arn: str = ""
    #: how many of them stand in for tasks that failed their health checks
    replaces: int = 0
    #: the task that goes once this one (count is 1 then) is healthy
    in_place_of: str = ""


class StopTask(msgspec.Struct, frozen=True):
    arn: str
    reason: str
    code: str = STOPPED_BY_SCHEDULER
    #: the zone that has too many, where that is why
    rebalanced_zone: str = ""


class Saying(msgspec.Struct, frozen=True):
    """A sentence for the service's event log. With a cause it is said again only when it changes or after a long while."""

    sentence: str
    cause: str = ""


class Plan(msgspec.Struct, frozen=True):
    start: tuple[StartTasks, ...] = ()
    stop: tuple[StopTask, ...] = ()
    #: deployments that are over
    retire: tuple[str, ...] = ()
    #: the deployment that has done what it was for
    complete: str = ""
    #: the deployment that the circuit breaker ended; goes back to `roll_back_to` when that is not empty
    fail: str = ""
    roll_back_to: str = ""
    #: why it is ended, where it was not the circuit breaker
    fail_reason: str = ""
    #: the next step of a deployment that shifts traffic
    step: Step | None = None
    #: (ARN of a task set, its stability from now on), and those of which nothing is left
    stability: tuple[tuple[str, str], ...] = ()
    drop: tuple[str, ...] = ()
    #: the service's status from now on; "" leaves it
    status: str = ""
    steady: bool | None = None
    #: sentences for the event log, in AWS's words
    tell: tuple[str, ...] = ()
    #: what has been said about causes that last, from now on; None leaves it
    told: tuple[Told, ...] | None = None
    #: failures of deployments as they are to be kept
    tallies: tuple[tuple[str, Tally], ...] = ()
    #: what the service wants but cannot have yet, for whoever asks why; in no order
    waits: tuple[str, ...] = ()
    look_again_at: float | None = None

    @property
    def is_empty(self) -> bool:
        return self == Plan(look_again_at=self.look_again_at, waits=self.waits)

    @property
    def starting(self) -> int:
        return sum(start.count for start in self.start)


# ── rules that every planner shares ─────────────────────────────────────────────────────────────────────────────────


def lower_limit(desired: int, minimum_percent: int) -> int:
    """Healthy tasks a deployment may not go below: rounded up."""
    return math.ceil(desired * minimum_percent / 100)


def upper_limit(desired: int, maximum_percent: int) -> int:
    """Tasks a deployment may not go above: rounded down."""
    return math.floor(desired * maximum_percent / 100)


def scaling_reason(deployment_id: str) -> str:
    return f"Scaling activity initiated by (deployment {deployment_id})"


def earliest(times: Iterable[float | None], now: float) -> float | None:
    return min((time for time in times if time is not None and time > now), default=None)


class Spoken(msgspec.Struct, frozen=True):
    tell: tuple[str, ...]
    #: None: as before
    told: tuple[Told, ...] | None


def spoken(told: tuple[Told, ...], sayings: Iterable[Saying], now: float, *, lasting: frozenset[str] = frozenset()) -> Spoken:
    """Which of `sayings` are news. A cause that is not spoken of is over and forgotten, except `lasting` ones."""
    before = {one.cause: one for one in told}
    kept = {cause: one for cause, one in before.items() if cause in lasting}
    say: list[str] = []
    for saying in sayings:
        last = before.get(saying.cause) if saying.cause else None
        if last is not None and last.sentence == saying.sentence and now - last.at < SILENCE_S:
            kept[saying.cause] = last
            continue
        say.append(saying.sentence)
        if saying.cause:
            kept[saying.cause] = Told(saying.cause, saying.sentence, now)
    after = tuple(kept[cause] for cause in sorted(kept))
    return Spoken(tuple(say), None if after == tuple(sorted(told, key=lambda one: one.cause)) else after)
