"""The order in which containers start and stop: cases that read as sentences, and laws over any task."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from longshore.agent.lifecycle import (
    TRANSITIONS,
    Condition,
    Dependency,
    DependencyCycle,
    Part,
    Phase,
    Restarts,
    Seen,
    Step,
    TaskStatus,
    UnknownDependency,
    Verb,
    check_order,
    has_ended,
    must_end,
    step,
    task_status,
)

NOW = 1000.0


def task(text: str) -> tuple[tuple[Part, ...], dict[str, Seen]]:
    """`web:pulled<db.START db:running init?:stopped=3 cache:running/healthy` — ? is not essential, ~ is under way."""
    parts, seen = [], {}
    for word in text.split():
        matched = re.fullmatch(r"(\w+)(\??):(\w+)(~\w+)?(?:=(\d+))?(?:/(\w+))?((?:<\w+\.\w+)*)", word)
        assert matched is not None, word
        name, optional, phase, doing, code, health, waits = matched.groups()
        dependencies = tuple(Dependency(wait.split(".")[0], Condition(wait.split(".")[1])) for wait in (waits or "").split("<") if wait)
        started = NOW - 100 if phase in ("running", "stopped") and (phase == "running" or code is not None) else None
        parts.append(Part(name=name, essential=not optional, dependencies=dependencies, has_health_check=bool(health)))
        seen[name] = Seen(
            phase=Phase[phase.upper()],
            doing=Verb(doing[1:]) if doing else None,
            health=health or "",
            exit_code=int(code) if code is not None else None,
            started_at=started,
            finished_at=NOW - 1 if phase == "stopped" else None,
        )
    return tuple(parts), seen


def decided(text: str, *, wanted: bool = True, now: float = NOW) -> str:
    """`create web, gives up db` in the order of the containers."""
    parts, seen = task(text)
    return words(step(parts, seen, wanted=wanted, now=now))


def words(made: Step) -> str:
    return ", ".join([*(f"{action.verb} {action.container}" for action in made.actions), *(f"gives up {name}" for name in made.given_up)])


@pytest.mark.parametrize(
    ("situation", "decision"),
    [
        ("web:none db:none", "pull web, pull db"),
        ("web:none~pull db:pulled", "create db"),
        ("web:created", "start web"),
        ("web:running", ""),
        # dependencies hold creation back, but not pulling
        ("web:none<db.START db:none", "pull web, pull db"),
        ("web:pulled<db.START db:pulled", "create db"),
        ("web:pulled<db.START db:created", "start db"),
        ("web:pulled<db.START db:running", "create web"),
        ("web:pulled<db.CREATE db:created~start", "create web"),
        ("web:pulled<init.COMPLETE init?:running", ""),
        ("web:pulled<init.COMPLETE init?:stopped=3", "create web"),
        ("web:pulled<init.SUCCESS init?:stopped=0", "create web"),
        ("web:pulled<init.SUCCESS init?:stopped=3", "gives up web"),
        ("web:pulled<db.HEALTHY db:running/starting", ""),
        ("web:pulled<db.HEALTHY db:running/unhealthy", ""),
        ("web:pulled<db.HEALTHY db:running/healthy", "create web"),
        ("web:pulled<db.START<init.SUCCESS db:running init?:stopped=0", "create web"),
        ("web:pulled<db.START<init.SUCCESS db:running init?:running", ""),
        # one that started and ended has started
        ("web:pulled<init.START init?:stopped=0", "create web"),
        # one that never started cannot be waited for any more
        ("web:pulled<init.START init?:stopped", "gives up web"),
        ("web:pulled<init.COMPLETE init?:stopped", "gives up web"),
        # an essential container that has ended takes the others with it
        ("web:stopped=1 log?:running", "stop log"),
        ("web:running log?:stopped=1", ""),
        ("web:stopped=1 log?:pulled", "gives up log"),
        ("web:stopped=1 log?:none~pull", "abandon log"),
        ("web:stopped=1 log?:created~start", ""),
    ],
)
def test_towards_running(situation: str, decision: str) -> None:
    assert decided(situation) == decision


@pytest.mark.parametrize(
    ("situation", "decision"),
    [
        ("web:running db:running", "stop web, stop db"),
        ("web:running<db.START db:running", "stop web"),
        ("web:running~stop<db.START db:running", ""),
        ("web:stopped=0<db.START db:running", "stop db"),
        ("web:pulled~create<db.START db:running", ""),
        ("web:none<db.START db:running", "gives up web"),
        ("web:none~pull db:none", "gives up db"),
        ("web:created", "gives up web"),
        ("web:stopped=0", ""),
    ],
)
def test_towards_stopped(situation: str, decision: str) -> None:
    assert decided(situation, wanted=False) == decision


@pytest.mark.parametrize(
    ("situation", "wanted", "status"),
    [
        ("web:none", True, TaskStatus.PENDING),
        ("web:running db:created", True, TaskStatus.PENDING),
        ("web:running db:running", True, TaskStatus.RUNNING),
        ("web:running init?:stopped=0", True, TaskStatus.RUNNING),
        ("web:stopped=0 log?:running", True, TaskStatus.PENDING),
        ("web:stopped=0 log?:stopped=0", True, TaskStatus.STOPPED),
        ("web:running", False, TaskStatus.PENDING),
        ("web:stopped", False, TaskStatus.STOPPED),
    ],
)
def test_the_status_follows_from_the_containers(situation: str, wanted: bool, status: TaskStatus) -> None:
    parts, seen = task(situation)
    assert task_status(parts, seen, wanted=wanted) is status


def test_waiting_has_a_limit_when_the_container_sets_one() -> None:
    parts, seen = task("web:pulled<db.HEALTHY db:running/starting")
    parts = (parts[0], replace(parts[1], start_timeout_s=120.0))
    waiting = step(parts, seen, wanted=True, now=NOW)
    assert words(waiting) == "" and waiting.look_again_at == NOW + 20
    late = step(parts, seen, wanted=True, now=NOW + 20)
    assert late.given_up == {"web": "TaskDependencyError: container db did not reach HEALTHY within 120 s"}


def test_what_failed_for_now_is_tried_again_later() -> None:
    parts, seen = task("web:none")
    seen["web"] = replace(seen["web"], retry_at=NOW + 3)
    assert step(parts, seen, wanted=True, now=NOW) == Step(look_again_at=NOW + 3)
    assert words(step(parts, seen, wanted=True, now=NOW + 3)) == "pull web"


@pytest.mark.parametrize(
    ("ran_s", "code", "decision"),
    [(99.0, 1, "start web"), (59.0, 1, "gives up log"), (99.0, 42, "gives up log")],
)
def test_a_restart_policy_starts_again_what_ran_long_enough(ran_s: float, code: int, decision: str) -> None:
    parts, seen = task("web:stopped=1 log?:pulled<web.START")
    parts = (replace(parts[0], restarts=Restarts(frozenset({42}), 60.0)), parts[1])
    seen["web"] = replace(seen["web"], exit_code=code, finished_at=seen["web"].started_at + ran_s)
    assert words(step(parts, seen, wanted=True, now=NOW)).startswith(decision)


def test_nothing_is_started_again_in_a_task_that_is_to_stop() -> None:
    parts, seen = task("web:stopped=1 db:running")
    parts = (replace(parts[0], restarts=Restarts(attempt_period_s=1.0)), parts[1])
    assert words(step(parts, seen, wanted=False, now=NOW)) == "stop db"
    assert task_status(parts, {**seen, "db": seen["web"]}, wanted=False) is TaskStatus.STOPPED


def test_containers_that_wait_for_each_other_are_refused_by_name() -> None:
    parts, _ = task("a:none<b.START b:none<c.HEALTHY c:none<a.START")
    with pytest.raises(DependencyCycle, match="a → b → c → a"):
        check_order(parts)
    with pytest.raises(UnknownDependency, match="depends on nobody"):
        check_order(task("a:none<nobody.START")[0])


# ── laws ──


@st.composite
def _tasks(draw: st.DrawFn) -> tuple[Part, ...]:
    """Any task whose containers depend only on ones before them, so that there is no cycle."""
    count = draw(st.integers(1, 5))
    conditions = st.sampled_from([Condition.CREATE, Condition.START, Condition.COMPLETE, Condition.SUCCESS, Condition.HEALTHY])
    parts = []
    for number in range(count):
        waits = draw(st.lists(st.tuples(st.integers(0, number - 1), conditions), max_size=2)) if number else []
        dependencies = tuple(Dependency(f"c{wait}", condition) for wait, condition in waits)
        restarts = Restarts(attempt_period_s=0.5) if draw(st.integers(0, 5)) == 0 else None
        parts.append(
            Part(name=f"c{number}", essential=draw(st.booleans()), dependencies=dependencies, restarts=restarts, start_timeout_s=50.0)
        )
    return tuple(draw(st.permutations(parts)))


class World:
    """An engine that does everything it is asked, in whatever order and with whatever luck is drawn."""

    def __init__(self, parts: tuple[Part, ...], draw: st.DrawFn) -> None:
        self.parts = parts
        self.named = {part.name: part for part in parts}
        self.seen = {part.name: Seen() for part in parts}
        self.draw = draw
        self.now = 0.0
        self.restarts_left = 3
        self.log: list[str] = []

    def carry_out(self, made: Step) -> None:
        for name, reason in made.given_up.items():
            self._move(name, Phase.STOPPED, reason=reason)
        for action in made.actions:
            known = self.seen[action.container]
            assert known.doing is None or action.verb is Verb.ABANDON
            doing = None if action.verb is Verb.ABANDON else action.verb
            self.seen[action.container] = replace(known, doing=doing, retry_at=None)

    def something_happens(self) -> None:
        self.now += self.draw(st.sampled_from([0.1, 1.0, 30.0]))
        busy = [name for name, known in self.seen.items() if known.doing is not None]
        running = [name for name, known in self.seen.items() if known.phase is Phase.RUNNING and known.doing is None]
        name = self.draw(st.sampled_from(sorted(busy + running) or [self.parts[0].name]))
        known = self.seen[name]
        if known.doing is not None:
            self._finish(name, known)
        elif known.phase is Phase.RUNNING:
            if self.draw(st.booleans()):
                self._move(name, Phase.STOPPED, exit_code=self.draw(st.sampled_from([0, 1])), finished_at=self.now)
            else:
                self.seen[name] = replace(known, health=self.draw(st.sampled_from(["healthy", "unhealthy"])))

    def _finish(self, name: str, known: Seen) -> None:
        self.seen[name] = known = replace(known, doing=None)
        fails = self.draw(st.integers(0, 9)) == 0
        if known.phase is Phase.STOPPED and self.restarts_left == 0:
            fails = True
        match {Verb.PULL: Phase.PULLED, Verb.CREATE: Phase.CREATED, Verb.START: Phase.RUNNING, Verb.STOP: Phase.STOPPED}.get(
            self._verb(name)
        ):
            case Phase.RUNNING if not fails:
                self.restarts_left -= int(known.phase is Phase.STOPPED)
                self._check_conditions(name, known)
                self._move(name, Phase.RUNNING, started_at=self.now, exit_code=None, finished_at=None)
            case Phase.STOPPED:
                self._move(name, Phase.STOPPED, exit_code=0, finished_at=self.now)
            case Phase() as phase if not fails:
                self._move(name, phase)
            case _:
                self.seen[name] = replace(known, phase=Phase.STOPPED, reason="failed", exit_code=None)

    def _verb(self, name: str) -> Verb:
        return {
            Phase.NONE: Verb.PULL,
            Phase.PULLED: Verb.CREATE,
            Phase.CREATED: Verb.START,
            Phase.RUNNING: Verb.STOP,
            Phase.STOPPED: Verb.START,
        }[self.seen[name].phase]

    def _check_conditions(self, name: str, known: Seen) -> None:
        """Law: what starts for the first time has everything it waits for behind it."""
        for dependency in self.named[name].dependencies:
            other = self.seen[dependency.container]
            assert known.phase is Phase.STOPPED or other.phase >= Phase.CREATED, f"{name} started before {dependency.container}"

    def _move(self, name: str, phase: Phase, **changes: object) -> None:
        known = self.seen[name]
        assert phase in TRANSITIONS[known.phase], f"{name} went from {known.phase.name} to {phase.name}"
        self.seen[name] = replace(known, phase=phase, **changes)
        self.log.append(f"{name} {phase.name}")


@settings(deadline=None)
@given(st.data())
def test_every_task_gets_somewhere_and_every_stop_comes_to_an_end(data: st.DataObject) -> None:
    world = World(data.draw(_tasks()), data.draw)
    wanted = True
    status = TaskStatus.PENDING
    for _ in range(data.draw(st.integers(0, 40))):
        made = step(world.parts, world.seen, wanted=wanted, now=world.now)
        world.carry_out(made)
        _check_step(world, made, wanted=wanted)
        status = max(status, task_status(world.parts, world.seen, wanted=wanted))
        if status is TaskStatus.STOPPED:
            break
        world.something_happens()
    _stop(world)


def _check_step(world: World, made: Step, *, wanted: bool) -> None:
    for action in made.actions:
        part, known = world.named[action.container], world.seen[action.container]
        if action.verb is Verb.STOP:
            needing = [other.name for other in world.parts if any(wait.container == part.name for wait in other.dependencies)]
            assert all(world.seen[name].phase is not Phase.RUNNING for name in needing), f"{part.name} stopped while it is needed"
        if action.verb in (Verb.PULL, Verb.CREATE, Verb.START):
            assert wanted and not any(other.essential and has_ended(other, world.seen[other.name]) for other in world.parts)
        assert known.phase is not Phase.STOPPED or part.restarts is not None
    idle = all(known.doing is None for known in world.seen.values())
    if wanted and idle and not made.actions and not made.given_up and made.look_again_at is None and not must_end(world.parts, world.seen):
        waiting = [name for name, known in world.seen.items() if known.phase < Phase.RUNNING]
        assert all(_waits_for_something_alive(world, name) for name in waiting), f"{waiting} wait for nothing"


def _waits_for_something_alive(world: World, name: str) -> bool:
    return any(world.seen[wait.container].phase is not Phase.STOPPED for wait in world.named[name].dependencies)


def _stop(world: World) -> None:
    """Law: once it is to stop, a task is STOPPED after as many steps as there are things to do."""
    for _ in range(6 * len(world.parts) + 6):
        made = step(world.parts, world.seen, wanted=False, now=world.now)
        world.carry_out(made)
        if task_status(world.parts, world.seen, wanted=False) is TaskStatus.STOPPED:
            return
        for name, known in list(world.seen.items()):
            if known.doing is not None:
                world._finish(name, known)
    raise AssertionError(f"still not stopped: {_phases(world.seen)}")


def _phases(seen: Mapping[str, Seen]) -> str:
    return " ".join(f"{name}:{known.phase.name}" for name, known in seen.items())
