"""The planner of deployments that shift traffic: laws over whole deployments in a world that reacts, fails and forgets nothing."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.control.deployments.shifting.gather import steps_of
from longshore.control.deployments.shifting.plan import plan
from longshore.control.deployments.shifting.stages import BAKE, CLEAN_UP, ORDER, SETTLE_S, Hook, Shift
from longshore.control.deployments.vocabulary import Breaker, Member, Phase, Plan, Rollout, Snapshot
from longshore.services.ecs.rollout.model import Pause, ServiceSpec
from longshore.services.ecs.rollout.traffic import weights_for

DESIRED = 3


class World:
    """Blue and green tasks that start, turn healthy, fall ill and die; whatever a plan says is carried out whole or not at all."""

    def __init__(self, percents: tuple[float, ...], hooks: tuple[Hook, ...] = (), *, blue: bool = True, balanced: bool = True) -> None:
        self.now = 1000.0
        self.numbers = itertools.count()
        self.members: dict[str, Member] = {}
        self.leaving: Counter[str] = Counter()
        self.shift = Shift(
            service_deployment_arn="sd",
            blue="blue" if blue else "",
            green="green",
            percents=percents,
            step_bake_s=60.0,
            bake_s=120.0,
            balanced=balanced,
            tested=balanced,
            hooks=hooks,
        )
        self.rollouts = {"green": "IN_PROGRESS", **({"blue": "COMPLETED"} if blue else {})}
        self.finished = ""
        self.shares = [0.0]
        if blue:
            for _ in range(DESIRED):
                self.add("blue", Phase.HEALTHY)

    def add(self, deployment: str, phase: Phase) -> None:
        arn = f"{deployment}-{next(self.numbers):04d}"
        self.members[arn] = Member(arn, deployment, phase, created_at=self.now)

    def healthy(self, deployment: str) -> int:
        return sum(1 for m in self.members.values() if m.deployment_id == deployment and m.phase is Phase.HEALTHY)

    def snapshot(self) -> Snapshot:
        return Snapshot(
            now=self.now,
            service_name="web",
            desired=DESIRED,
            minimum_percent=100,
            maximum_percent=200,
            deleted=False,
            status="ACTIVE",
            steady=False,
            rollouts=tuple(Rollout(name, name == "green", state) for name, state in self.rollouts.items()),
            members=tuple(self.members.values()),
            leaving=sum(self.leaving.values()),
            breaker=Breaker(),
            deployment_strategy="BLUE_GREEN",
            shift=self.shift,
        )

    def look(self) -> Plan:
        """One look of the controller, checked against the laws."""
        shift = replace(self.shift, leaving=tuple(self.leaving.items()))
        before = self.snapshot()
        todo = plan(before, shift)
        assert plan(before, shift) == todo, "who looks again after a crash decides the same"
        self._check(todo, before)
        for start in todo.start:
            for _ in range(start.count):
                self.add(start.deployment_id, Phase.STARTING)
        for stop in todo.stop:
            self.leaving[self.members.pop(stop.arn).deployment_id] += 1
        for name in todo.retire:
            self.rollouts.pop(name)
        if todo.step is not None:
            self._step(todo)
        return todo

    def _check(self, todo: Plan, before: Snapshot) -> None:
        step, shift = todo.step, self.shift
        if step is not None and step.production is not None:
            if step.production:
                assert self.healthy("green") >= DESIRED, "more production traffic goes only to a green that is whole"
                assert step.production >= shift.production_percent, "green's share grows"
            elif shift.production_percent:
                assert self.healthy("blue"), "nor back to such"
        if step is not None and step.stage and shift.stage:
            assert ORDER.index(step.stage) >= ORDER.index(shift.stage) or step.step == shift.step + 1, "stages go forward"
        if step is not None and step.stage and shift.stage:
            expected = [place for place, hook in enumerate(shift.hooks) if shift.stage in hook.stages]
            here = [pause for pause in shift.pauses if (pause.stage, pause.step) == (shift.stage, shift.step)]
            assert [pause.hook for pause in here] == expected and all(p.status != "AWAITING_ACTION" for p in here), "no hook is passed by"
        if shift.blue and (shift.stage != CLEAN_UP or shift.rolling_back):
            stopped = {stop.arn for stop in todo.stop}
            kept = [m for m in before.members if m.deployment_id == "blue" and m.phase is Phase.HEALTHY and m.arn not in stopped]
            there = [m for m in before.members if m.deployment_id == "blue" and m.phase is Phase.HEALTHY]
            assert len(kept) >= min(DESIRED, len(there)), "blue stays whole until the end"
        left = "green" if shift.rolling_back else "blue" if shift.stage == CLEAN_UP else ""
        if any(before_.deployment_id == left and before_.arn in {s.arn for s in todo.stop} for before_ in before.members):
            assert shift.followed or self.now >= shift.shifted_at + SETTLE_S, "who was sent to them a moment ago is served"

    def _step(self, todo: Plan) -> None:
        step = todo.step
        assert step is not None
        if step.roll_back or step.give_up:
            at = self.now if self.shift.production_percent else 0.0
            self.shift = replace(self.shift, rolling_back=step.roll_back, production_percent=0.0, shifted_at=at, followed=False)
            self.rollouts["green"] = "FAILED"
            self.finished = "STOPPED" if step.give_up else ""
        elif step.stage:
            pauses = tuple(
                Pause(f"{step.stage}{step.step}{n}", n, step.stage, step.step, self.now + self.shift.hooks[n].timeout_s) for n in step.pause
            )
            share = self.shift.production_percent if step.production is None else step.production
            self.shift = replace(
                self.shift,
                stage=step.stage,
                stage_at=self.now,
                step=step.step,
                production_percent=share,
                shifted_at=self.shift.shifted_at if step.production is None else self.now,
                followed=self.shift.followed and step.production is None,
                pauses=(*self.shift.pauses, *pauses),
            )
        if step.timed_out:
            pauses = tuple(replace(p, status="TIMED_OUT") if p.id in step.timed_out else p for p in self.shift.pauses)
            self.shift = replace(self.shift, pauses=pauses)
        self.shares.append(self.shift.production_percent)
        self.finished = self.finished or step.finish

    # ── what happens ──

    def happen(self, what: str, which: int) -> None:
        members = list(self.members.values())
        match what:
            case "time":
                self.now += 45.0
            case "stop":
                self.leaving.clear()
            case "follow":
                self.shift = replace(self.shift, followed=True)
            case "a moment":
                self.now += 1.0
            case "answer":
                pauses = tuple(replace(p, status="SUCCEEDED") if p.status == "AWAITING_ACTION" else p for p in self.shift.pauses)
                self.shift = replace(self.shift, pauses=pauses)
            case "wish" if self.shift.blue and self.shift.stage != CLEAN_UP:
                self.shift = replace(self.shift, wish="a user wants it")
            case "die" if members:
                del self.members[members[which % len(members)].arn]
            case "disaster":
                self.members = {arn: m for arn, m in self.members.items() if m.deployment_id == ("blue", "green")[which % 2]}
            case "fall ill" if members:
                self._turn(members[which % len(members)], Phase.UNHEALTHY)
            case "get well" | "start":
                for member in members:
                    self._turn(member, Phase.HEALTHY)

    def _turn(self, member: Member, phase: Phase) -> None:
        complaint = "Task failed container health checks" if phase is Phase.UNHEALTHY else ""
        self.members[member.arn] = replace(member, phase=phase, complaint=complaint)

    def calm_down(self) -> None:
        for _ in range(200):
            self.look()
            if self.finished:
                return
            self.happen("start", 0)
            self.happen("stop", 0)
            self.happen("answer", 0)
            self.happen("time", 0)
        raise AssertionError(f"it never ends: {self.shift}")


PERCENTS = st.sampled_from([(100.0,), (0.5, 100.0), (10.0, 100.0), (30.0, 60.0, 90.0, 100.0)])
HOOKS = st.lists(
    st.builds(
        Hook,
        st.sets(st.sampled_from([s for s in ORDER if s not in (BAKE, CLEAN_UP)]), min_size=1).map(frozenset),
        st.sampled_from([30.0, 3600.0]),
        st.sampled_from(["ROLLBACK", "CONTINUE"]),
    ),
    max_size=2,
).map(tuple)
WORDS = (
    "nothing",
    "time",
    "time",
    "a moment",
    "follow",
    "follow",
    "stop",
    *["start"] * 3,
    "answer",
    "answer",
    "die",
    "fall ill",
    "disaster",
    "disaster",
    "wish",
)
HAPPENINGS = st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 9)), min_size=8, max_size=50)


@settings(max_examples=150, deadline=None)
@given(PERCENTS, HOOKS, HAPPENINGS, st.booleans(), st.booleans())
def test_whatever_happens_the_laws_hold_and_it_ends(
    percents: tuple[float, ...], hooks: tuple[Hook, ...], happenings: list[tuple[str, int]], blue: bool, balanced: bool
) -> None:
    world = World(percents, hooks, blue=blue, balanced=balanced)
    for what, which in happenings:
        if world.finished:
            break
        world.look()
        world.happen(what, which)
    if not world.finished:
        world.calm_down()
    assert world.finished in ("SUCCESSFUL", "ROLLBACK_SUCCESSFUL", "STOPPED")
    if world.finished == "SUCCESSFUL":
        assert set(world.rollouts) == {"green"}
        assert not balanced or world.shares[-1] == 100.0
    if world.finished == "ROLLBACK_SUCCESSFUL":
        assert set(world.rollouts) == {"blue"}
        assert world.shares[-1] == 0.0


def test_undisturbed_it_takes_every_step_once() -> None:
    world = World((20.0, 50.0, 100.0))
    world.calm_down()
    assert list(dict.fromkeys(world.shares)) == [0.0, 20.0, 50.0, 100.0]
    assert world.finished == "SUCCESSFUL"


def test_without_anything_before_there_is_no_bake_time_and_no_way_back() -> None:
    world = World((100.0,), blue=False)
    world.shift = replace(world.shift, wish="a user wants it")
    world.look()
    assert world.finished == "STOPPED"


@pytest.mark.parametrize(
    ("percent", "weights"), [(0.0, (100, 0)), (5.0, (95, 5)), (0.1, (999, 1)), (99.9, (1, 999)), (33.3, (667, 333)), (100.0, (0, 100))]
)
def test_weights_stand_for_the_very_percent(percent: float, weights: tuple[int, int]) -> None:
    assert weights_for(percent) == weights


@given(st.integers(0, 1000))
def test_weights_sum_to_a_whole_and_are_what_a_rule_takes(tenths: int) -> None:
    rest, part = weights_for(tenths / 10)
    assert rest + part in (100, 1000)
    assert 0 <= rest <= 999 and 0 <= part <= 999
    assert part * 1000 == tenths * (rest + part)


@given(st.integers(30, 1000))
def test_a_stair_rises_by_its_step_and_ends_at_a_hundred(tenths: int) -> None:
    spec = ServiceSpec("", 1, strategy="LINEAR", linear=shapes.LinearConfiguration(step_percent=tenths / 10))
    percents, bake_min = steps_of(spec)
    assert bake_min == 6
    assert percents[-1] == 100.0 and list(percents) == sorted(set(percents))
    assert all(0 < after - before <= tenths / 10 + 1e-9 for before, after in itertools.pairwise((0.0, *percents)))


def test_what_the_balancer_follows_at_once_ends_at_once() -> None:
    world = World((100.0,))
    for _ in range(20):
        world.look()
        for what in ("start", "answer", "follow", "a moment"):
            world.happen(what, 0)
        if world.shift.stage == BAKE:
            world.now += world.shift.bake_s
        if world.shift.stage == CLEAN_UP:
            break
    shifted_at = world.now
    world.look()
    assert world.leaving["blue"] == DESIRED and world.now - shifted_at < SETTLE_S
