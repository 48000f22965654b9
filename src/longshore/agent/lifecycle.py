"""What to do next with the containers of one task. Pure: no clock, no engine, no loop.

`step` is handed what is asked of each container (`Part`), what is known of it (`Seen`) and what is wanted of the task; it
answers with the actions to begin now. It is called again whenever something was seen, so it never plans ahead. A container
goes NONE → PULLED → CREATED → RUNNING → STOPPED and never back, except that a restart policy may start it again.

Order comes from dependencies: a container is created only when every container it depends on has reached the condition it
asks for, and is stopped only when those depending on it have ended. The rules are ECS's for `dependsOn`, `links`,
`volumesFrom`, `essential`, `startTimeout` and `restartPolicy`
(https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum, StrEnum

import msgspec


class Phase(IntEnum):
    """How far a container has come."""

    NONE = 0
    PULLED = 1
    CREATED = 2
    RUNNING = 3
    STOPPED = 4


#: where a container may go from where it is; a failure or a stop may end it anywhere, a restart policy starts it again
TRANSITIONS: Mapping[Phase, frozenset[Phase]] = {
    Phase.NONE: frozenset({Phase.PULLED, Phase.CREATED, Phase.RUNNING, Phase.STOPPED}),
    Phase.PULLED: frozenset({Phase.CREATED, Phase.RUNNING, Phase.STOPPED}),
    Phase.CREATED: frozenset({Phase.RUNNING, Phase.STOPPED}),
    Phase.RUNNING: frozenset({Phase.STOPPED}),
    Phase.STOPPED: frozenset({Phase.RUNNING}),
}


class Condition(StrEnum):
    """What a container may wait for in another one."""

    CREATE = "CREATE"
    START = "START"
    COMPLETE = "COMPLETE"
    SUCCESS = "SUCCESS"
    HEALTHY = "HEALTHY"


class Verb(StrEnum):
    PULL = "pull"
    CREATE = "create"
    START = "start"
    STOP = "stop"
    #: give up what is under way (a pull)
    ABANDON = "abandon"


class TaskStatus(IntEnum):
    """What the agent knows a task to be; only ever goes up."""

    PENDING = 0
    RUNNING = 1
    STOPPED = 2


class Dependency(msgspec.Struct, frozen=True):
    container: str
    condition: Condition


class Restarts(msgspec.Struct, frozen=True):
    ignored_exit_codes: frozenset[int] = frozenset()
    #: seconds it must have run
    attempt_period_s: float = 60.0


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of one container."""

    name: str
    essential: bool = True
    dependencies: tuple[Dependency, ...] = ()
    #: how long others wait for this one to reach COMPLETE, SUCCESS or HEALTHY; None: for ever
    start_timeout_s: float | None = None
    stop_timeout_s: int = 30
    restarts: Restarts | None = None
    has_health_check: bool = False
    #: the agent's own, without an end of its own: a task is over without it
    internal: bool = False


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one container. Times are seconds since the epoch."""

    phase: Phase = Phase.NONE
    #: the action under way
    doing: Verb | None = None
    #: it failed for a reason that may pass; not to be tried again before this
    retry_at: float | None = None
    health: str = ""  # "" | starting | healthy | unhealthy
    exit_code: int | None = None
    #: why it did not start, or how it ended, beginning with the name of an error
    reason: str = ""
    started_at: float | None = None
    finished_at: float | None = None
    restart_count: int = 0


class Action(msgspec.Struct, frozen=True):
    verb: Verb
    container: str


class Step(msgspec.Struct, frozen=True):
    """A step that gives something up begins nothing: what follows from it is for the next one."""

    #: to begin now; at most one for each container
    actions: tuple[Action, ...] = ()
    #: containers that end without having run, with the reason
    given_up: Mapping[str, str] = {}
    #: when to look again although nothing may have happened by then
    look_again_at: float | None = None


class DependencyCycle(Exception):
    """Containers that wait for each other."""


class UnknownDependency(Exception):
    """A container waits for one that the task does not have."""


def step(parts: Sequence[Part], seen: Mapping[str, Seen], *, wanted: bool, now: float) -> Step:
    """`wanted`: the task is to run. It is stopped all the same once an essential container has ended."""
    if wanted and not must_end(parts, seen):
        return _towards_running(parts, seen, now)
    return _towards_stopped(parts, seen, now)


def must_end(parts: Sequence[Part], seen: Mapping[str, Seen]) -> bool:
    """An essential container has ended for good, or all have."""
    ended = [part for part in parts if has_ended(part, seen[part.name])]
    return any(part.essential for part in ended) or all(part.internal or part in ended for part in parts)


def task_status(parts: Sequence[Part], seen: Mapping[str, Seen], *, wanted: bool) -> TaskStatus:
    """RUNNING when every container has started, STOPPED when every one has ended and none will be started again."""
    phases = [seen[part.name].phase for part in parts]
    stopping = not wanted or must_end(parts, seen)
    if stopping:
        return TaskStatus.STOPPED if all(phase is Phase.STOPPED for phase in phases) else TaskStatus.PENDING
    return TaskStatus.RUNNING if all(phase >= Phase.RUNNING for phase in phases) else TaskStatus.PENDING


def has_ended(part: Part, seen: Seen) -> bool:
    """STOPPED, and its restart policy does not start it again."""
    return seen.phase is Phase.STOPPED and not may_restart(part, seen)


def may_restart(part: Part, seen: Seen) -> bool:
    """A restart policy starts again what ran long enough and did not end with a code that is to be ignored."""
    if part.restarts is None or seen.exit_code is None or seen.started_at is None or seen.finished_at is None:
        return False
    if seen.exit_code in part.restarts.ignored_exit_codes:
        return False
    return seen.finished_at - seen.started_at >= part.restarts.attempt_period_s


# ── towards RUNNING ──


def _towards_running(parts: Sequence[Part], seen: Mapping[str, Seen], now: float) -> Step:
    named = {part.name: part for part in parts}
    actions: list[Action] = []
    given_up: dict[str, str] = {}
    times: list[float] = []
    for part in parts:
        known = seen[part.name]
        if known.doing is not None or known.phase is Phase.RUNNING or has_ended(part, known):
            continue
        if known.retry_at is not None and known.retry_at > now:
            times.append(known.retry_at)
            continue
        if known.phase is Phase.NONE:
            actions.append(Action(Verb.PULL, part.name))
            continue
        waits = [_resolve(dependency, named[dependency.container], seen[dependency.container], now) for dependency in part.dependencies]
        refused = next((wait.never for wait in waits if wait.never), "")
        if refused and known.phase < Phase.RUNNING:
            given_up[part.name] = refused
        elif all(wait.met for wait in waits) or known.phase is Phase.STOPPED:
            actions.append(Action(Verb.CREATE if known.phase is Phase.PULLED else Verb.START, part.name))
        else:
            times.extend(wait.until for wait in waits if wait.until is not None)
    if given_up:
        return Step(given_up=given_up)
    return Step(tuple(actions), look_again_at=min(times, default=None))


class _Wait(msgspec.Struct, frozen=True):
    met: bool = False
    #: why it can never be met any more
    never: str = ""
    #: when it will be given up
    until: float | None = None


def _resolve(dependency: Dependency, part: Part, seen: Seen, now: float) -> _Wait:
    """Whether what a container waits for in `part` has come, can still come, or cannot."""
    ended = has_ended(part, seen)
    match dependency.condition:
        case Condition.CREATE:
            met = seen.phase >= Phase.CREATED and (not ended or seen.started_at is not None)
        case Condition.START:
            met = seen.phase is Phase.RUNNING or seen.started_at is not None
        case Condition.COMPLETE:
            met = ended and seen.started_at is not None
        case Condition.SUCCESS:
            met = ended and seen.exit_code == 0
        case Condition.HEALTHY:
            met = seen.phase is Phase.RUNNING and seen.health == "healthy"
    if met:
        return _Wait(met=True)
    if ended:
        code = "" if seen.exit_code is None else f" (exit code {seen.exit_code})"
        return _Wait(never=f"TaskDependencyError: container {part.name} ended{code} without reaching {dependency.condition}")
    return _wait_limit(dependency, part, seen, now)


def _wait_limit(dependency: Dependency, part: Part, seen: Seen, now: float) -> _Wait:
    timed = dependency.condition in (Condition.COMPLETE, Condition.SUCCESS, Condition.HEALTHY)
    if not timed or part.start_timeout_s is None or seen.started_at is None:
        return _Wait()
    until = seen.started_at + part.start_timeout_s
    if now >= until:
        seconds = f"{part.start_timeout_s:g} s"
        return _Wait(never=f"TaskDependencyError: container {part.name} did not reach {dependency.condition} within {seconds}")
    return _Wait(until=until)


# ── towards STOPPED ──


def _towards_stopped(parts: Sequence[Part], seen: Mapping[str, Seen], now: float) -> Step:
    actions: list[Action] = []
    given_up: dict[str, str] = {}
    times: list[float] = []
    for part in parts:
        known = seen[part.name]
        if known.phase is Phase.STOPPED:
            continue
        if known.doing is not None:
            if known.doing is Verb.PULL:
                actions.append(Action(Verb.ABANDON, part.name))
            continue
        if known.phase is not Phase.RUNNING:
            given_up[part.name] = known.reason
            continue
        if _needed(part.name, parts, seen):
            continue
        if known.retry_at is not None and known.retry_at > now:
            times.append(known.retry_at)
            continue
        actions.append(Action(Verb.STOP, part.name))
    if given_up:
        return Step(given_up=given_up)
    return Step(tuple(actions), look_again_at=min(times, default=None))


def _needed(name: str, parts: Sequence[Part], seen: Mapping[str, Seen]) -> bool:
    """A container that depends on it still runs, or is about to."""
    for part in parts:
        known = seen[part.name]
        alive = known.phase is Phase.RUNNING or (known.phase is not Phase.STOPPED and known.doing in (Verb.CREATE, Verb.START))
        if alive and any(dependency.container == name for dependency in part.dependencies):
            return True
    return False


# ── order ──


def check_order(parts: Sequence[Part]) -> None:
    """Raises UnknownDependency or DependencyCycle when the containers can never all start."""
    named = {part.name: part for part in parts}
    for part in parts:
        for dependency in part.dependencies:
            if dependency.container not in named:
                raise UnknownDependency(f"container {part.name} depends on {dependency.container}, which the task does not have")
    done: set[str] = set()
    for part in parts:
        for name in _depth_first(part.name, named, done, ()):
            done.add(name)


def _depth_first(name: str, named: Mapping[str, Part], done: set[str], path: tuple[str, ...]) -> Iterator[str]:
    if name in path:
        raise DependencyCycle(f"containers wait for each other: {' → '.join([*path[path.index(name) :], name])}")
    if name in done:
        return
    for dependency in named[name].dependencies:
        yield from _depth_first(dependency.container, named, done, (*path, name))
    yield name
