"""Blue/green, canary and linear deployments: which stage comes next, and which tasks that takes. A pure function.

Green is scaled up in full beside blue, tried out with test traffic, given production traffic at once or in steps, watched
while both are up, and only then blue goes. Until then blue is kept whole, so that going back is nothing but rewriting a rule.
Each side is looked after like a service of its own, by the planner for rolling updates: dead tasks are replaced, sick ones
too, drained instances left.

What holds at every point: production traffic never goes to a side without a healthy task; green's share never shrinks but to
nothing, at once; and blue stops nothing but what is sick, surplus or on its way off a drained instance.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from longshore.control.deployments import plan as rolling
from longshore.control.deployments.shifting.stages import (
    BAKE,
    CLEAN_UP,
    ORDER,
    POST_PRODUCTION,
    POST_SCALE_UP,
    POST_TEST,
    PRE_PRODUCTION,
    PRE_SCALE_UP,
    PRODUCTION,
    RECONCILE,
    SCALE_UP,
    TEST,
    Shift,
    Step,
    is_before,
)
from longshore.control.deployments.vocabulary import Phase, Plan, Saying, Snapshot, earliest, spoken
from longshore.services.ecs import event_words
from longshore.services.ecs.rollout.model import Pause

#: why a deployment is taken back, as its status reason says it
BROKEN = "Service deployment rolled back because the circuit breaker threshold was exceeded."
NO_HEALTHY_TASK = "Service deployment rolled back because none of the new service revision's tasks is healthy any more."
HOOK_TIMED_OUT = "Service deployment rolled back because a lifecycle hook timed out."


#: how often it is looked whether the balancer follows what was written
FOLLOW_S = 0.25


def plan(snapshot: Snapshot, shift: Shift) -> Plan:
    """What its tasks need, and the next step if it is time for one."""
    crews = _crews(snapshot, shift)
    step, again_at = next_step(snapshot, shift)
    done = step.finish if step is not None else ""
    retire = tuple(rollout.id for rollout in snapshot.rollouts if _is_over(snapshot, shift, rollout.id, done))
    tell: list[str] = []
    if done == "SUCCESSFUL":
        tell.append(event_words.deployment_completed(snapshot.service_name, shift.green))
    if step is not None and step.roll_back:
        tell += [
            event_words.deployment_given_up(snapshot.service_name, shift.green),
            event_words.rolling_back(snapshot.service_name, shift.blue),
        ]
    speech = spoken(snapshot.told, _sayings(crews), snapshot.now, lasting=rolling.ELSEWHERE)
    given_up = shift.green if step is not None and (step.roll_back or step.give_up) else ""
    return Plan(
        start=tuple(start for _, crew in crews for start in crew.start if start.deployment_id != given_up),
        stop=tuple(stop for _, crew in crews for stop in crew.stop),
        retire=retire,
        complete=shift.green if done == "SUCCESSFUL" else "",
        step=step,
        steady=False if snapshot.steady else None,
        tell=(*speech.tell, *tell),
        told=speech.told,
        waits=(*_waits(snapshot, shift), *(wait for _, crew in crews for wait in crew.waits)),
        look_again_at=earliest([again_at, *_settling(snapshot, shift), *(crew.look_again_at for _, crew in crews)], snapshot.now),
    )


def _settling(snapshot: Snapshot, shift: Shift) -> list[float]:
    """When it may be seen that the balancer follows."""
    return [] if shift.is_settled(snapshot.now) else [snapshot.now + FOLLOW_S, shift.settled_at]


def _waits(snapshot: Snapshot, shift: Shift) -> list[str]:
    """What keeps the deployment where it is, for whoever asks why."""
    if shift.rolling_back:
        return [f"deployment {shift.green} is taken back: {shift.rolling_back}"]
    found = [
        f"deployment {shift.green} pauses at {shift.stage} for another {pause.expires_at - snapshot.now:.0f} s, or until it may go on"
        for pause in _here(shift)
        if pause.status == "AWAITING_ACTION"
    ]
    if shift.stage == PRODUCTION and shift.step + 1 < len(shift.percents):
        found.append(f"{shift.production_percent:g} % of the traffic goes to {shift.green} until {shift.step_bake_s:.0f} s are over")
    if shift.stage == BAKE and shift.blue:
        found.append(f"{shift.blue} stays beside {shift.green} until {shift.bake_s:.0f} s are over")
    return found


# ── the tasks of both sides ─────────────────────────────────────────────────────────────────────────────────────────


def _sayings(crews: list[tuple[str, Plan]]) -> list[Saying]:
    """What is to be said of one deployment or another, each once for as long as it holds."""
    return [Saying(sentence, f"{deployment_id}: {sentence}") for deployment_id, crew in crews for sentence in crew.tell]


def _crews(snapshot: Snapshot, shift: Shift) -> list[tuple[str, Plan]]:
    """What each deployment's tasks need, as if it were alone."""
    is_settled = shift.is_settled(snapshot.now)
    blue_is_whole = not shift.blue or healthy(snapshot, shift.blue) >= snapshot.desired
    plans = []
    for rollout in snapshot.rollouts:
        if rollout.id == shift.green:
            if shift.rolling_back and not is_settled:
                continue
            wanted = 0 if shift.rolling_back or is_before(shift.stage, SCALE_UP) else snapshot.desired
        elif rollout.id == shift.blue:
            if not shift.keeps_blue and not is_settled:
                continue
            wanted = snapshot.desired if shift.keeps_blue else 0
        elif blue_is_whole and is_settled and shift.stage == RECONCILE:
            wanted = 0
        else:
            continue
        plans.append((rollout.id, _crew(snapshot, rollout.id, wanted)))
    return plans


def _crew(snapshot: Snapshot, deployment_id: str, wanted: int) -> Plan:
    rollout = next(one for one in snapshot.rollouts if one.id == deployment_id)
    alone = replace(
        snapshot,
        desired=wanted,
        rollouts=(replace(rollout, primary=True, state="COMPLETED"),),
        members=tuple(member for member in snapshot.members if member.deployment_id == deployment_id),
        leaving=0,
        steady=True,
        zones=(),
        told=(),
    )
    return rolling.plan(alone)


def healthy(snapshot: Snapshot, deployment_id: str) -> int:
    return sum(1 for m in snapshot.members if m.deployment_id == deployment_id and m.phase is Phase.HEALTHY)


def _is_over(snapshot: Snapshot, shift: Shift, deployment_id: str, done: str) -> bool:
    """Nothing is left of a deployment that is not wanted any more."""
    if any(member.deployment_id == deployment_id for member in snapshot.members) or shift.leaves(deployment_id):
        return False
    if deployment_id == shift.green:
        return done == "ROLLBACK_SUCCESSFUL"
    return deployment_id != shift.blue or done == "SUCCESSFUL"


# ── stages ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def next_step(snapshot: Snapshot, shift: Shift) -> tuple[Step | None, float | None]:
    """(what comes next, if anything now; when to look again if it is only a matter of time)."""
    if shift.rolling_back:
        return _going_back(snapshot, shift), None
    back = why_back(snapshot, shift)
    if back:
        return _back(snapshot, shift, back), None
    if not shift.stage:
        return _enter(snapshot, shift, RECONCILE if _others(snapshot, shift) else PRE_SCALE_UP), None
    waiting = [pause for pause in _here(shift) if pause.status == "AWAITING_ACTION"]
    over = tuple(pause.id for pause in waiting if pause.expires_at <= snapshot.now)
    if over:
        return Step(timed_out=over), None
    if waiting:
        return None, earliest((pause.expires_at for pause in waiting), snapshot.now)
    return _AT[shift.stage](snapshot, shift)


def why_back(snapshot: Snapshot, shift: Shift) -> str:
    """The reason for which green is given up now; "" when there is none. Once blue is being stopped there is no way back."""
    if shift.stage == CLEAN_UP:
        return ""
    if shift.wish:
        return shift.wish
    if any(pause.status == "TIMED_OUT" and pause.timeout_action == "ROLLBACK" for pause in _here(shift)):
        return HOOK_TIMED_OUT
    green = next((rollout for rollout in snapshot.rollouts if rollout.id == shift.green), None)
    if green is not None and rolling.breaks(snapshot, green):
        return BROKEN
    serving = shift.production_percent > 0 or (not shift.balanced and not is_before(shift.stage, PRODUCTION))
    if serving and shift.blue and snapshot.desired and not healthy(snapshot, shift.green) and healthy(snapshot, shift.blue):
        return NO_HEALTHY_TASK
    return ""


def _back(snapshot: Snapshot, shift: Shift, why: str) -> Step | None:
    """Blue is whole, so going back costs nothing: it is done whether a rollback was asked for beforehand or not."""
    broken = why == BROKEN
    if not shift.blue:
        return Step(give_up=why, broken=broken)
    # nothing is gained by sending traffic to where nobody answers; blue is being mended meanwhile
    if shift.balanced and shift.production_percent and not healthy(snapshot, shift.blue) and snapshot.desired:
        return None
    return Step(roll_back=why, broken=broken, production=0.0 if shift.balanced and shift.stage else None)


def _going_back(snapshot: Snapshot, shift: Shift) -> Step | None:
    left = any(member.deployment_id == shift.green for member in snapshot.members) or shift.leaves(shift.green)
    return None if left else Step(finish="ROLLBACK_SUCCESSFUL")


def _here(shift: Shift) -> list[Pause]:
    return [pause for pause in shift.pauses if (pause.stage, pause.step) == (shift.stage, shift.step)]


def _others(snapshot: Snapshot, shift: Shift) -> bool:
    """Tasks of deployments that are neither blue nor green."""
    return any(rollout.id not in (shift.blue, shift.green) for rollout in snapshot.rollouts)


def _enter(snapshot: Snapshot, shift: Shift, stage: str, number: int = 0, production: float | None = None) -> Step:
    """The stage with the pauses that stand at its door."""
    pause = tuple(place for place, hook in enumerate(shift.hooks) if stage in hook.stages)
    return Step(stage=stage, step=number, production=production, test=stage == TEST and shift.tested, pause=pause)


_Next = tuple[Step | None, float | None]


def _after(stage: str) -> Callable[[Snapshot, Shift], _Next]:
    """Nothing to wait for but hooks: on to the next."""
    following = ORDER[ORDER.index(stage) + 1]

    def on(snapshot: Snapshot, shift: Shift) -> _Next:
        return _enter(snapshot, shift, following, shift.step), None

    return on


def _reconcile(snapshot: Snapshot, shift: Shift) -> _Next:
    """Until only blue and green are left."""
    return (None, None) if _others(snapshot, shift) else (_enter(snapshot, shift, PRE_SCALE_UP), None)


def _pre_scale_up(snapshot: Snapshot, shift: Shift) -> _Next:
    """Green's target groups get no traffic yet, but their targets are looked at from now on."""
    return _enter(snapshot, shift, SCALE_UP, production=0.0 if shift.balanced and shift.blue else None), None


def _scale_up(snapshot: Snapshot, shift: Shift) -> _Next:
    return (_enter(snapshot, shift, POST_SCALE_UP), None) if _green_is_whole(snapshot, shift) else (None, None)


def _pre_production(snapshot: Snapshot, shift: Shift) -> _Next:
    """More traffic only for a green that is whole."""
    if not _green_is_whole(snapshot, shift):
        return None, None
    share = shift.percents[min(shift.step, len(shift.percents) - 1)] if shift.balanced else None
    return _enter(snapshot, shift, PRODUCTION, shift.step, production=share), None


def _production(snapshot: Snapshot, shift: Shift) -> _Next:
    """After a step that was not the last some time goes by."""
    if shift.step + 1 >= len(shift.percents) or not shift.balanced:
        return _enter(snapshot, shift, POST_PRODUCTION, shift.step), None
    ready_at = shift.stage_at + shift.step_bake_s
    if snapshot.now < ready_at:
        return None, ready_at
    return _enter(snapshot, shift, PRE_PRODUCTION, shift.step + 1), None


def _bake(snapshot: Snapshot, shift: Shift) -> _Next:
    """Both are up; where nothing ran before there is nothing to keep."""
    ready_at = shift.stage_at + (shift.bake_s if shift.blue else 0.0)
    return (_enter(snapshot, shift, CLEAN_UP, shift.step), None) if snapshot.now >= ready_at else (None, ready_at)


def _clean_up(snapshot: Snapshot, shift: Shift) -> _Next:
    left = any(member.deployment_id != shift.green for member in snapshot.members) or shift.leaves(shift.blue)
    if left or not _green_is_whole(snapshot, shift):
        return None, None
    return Step(finish="SUCCESSFUL"), None


def _green_is_whole(snapshot: Snapshot, shift: Shift) -> bool:
    return healthy(snapshot, shift.green) >= snapshot.desired


_AT: dict[str, Callable[[Snapshot, Shift], _Next]] = {
    RECONCILE: _reconcile,
    PRE_SCALE_UP: _pre_scale_up,
    SCALE_UP: _scale_up,
    POST_SCALE_UP: _after(POST_SCALE_UP),
    TEST: _after(TEST),
    POST_TEST: _after(POST_TEST),
    PRE_PRODUCTION: _pre_production,
    PRODUCTION: _production,
    POST_PRODUCTION: _after(POST_PRODUCTION),
    BAKE: _bake,
    CLEAN_UP: _clean_up,
}
