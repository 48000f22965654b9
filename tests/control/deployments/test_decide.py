"""What holds whichever planner a service is for."""

from __future__ import annotations

from msgspec.structs import replace

from longshore.control.deployments.decide import decide
from longshore.control.deployments.shifting.stages import SCALE_UP, Shift
from longshore.control.deployments.vocabulary import SILENCE_S, Member, Phase, Rollout, Snapshot
from longshore.services.ecs.rollout.model import Tally

SHIFTED = Snapshot(
    now=1_000.0,
    service_name="web",
    desired=1,
    minimum_percent=100,
    maximum_percent=200,
    deleted=False,
    status="ACTIVE",
    steady=False,
    rollouts=(Rollout("green", True, "IN_PROGRESS", Tally(5, 0, 999.0)), Rollout("blue", False, "COMPLETED")),
    members=(Member("t1", "blue", Phase.HEALTHY),),
    shift=Shift("sd", "blue", "green", stage=SCALE_UP, stage_at=990.0),
)


def test_a_shifting_deployment_says_what_lasts_once() -> None:
    first = decide(SHIFTED)
    assert len(first.tell) == 1
    assert "unable to consistently start tasks" in first.tell[0]
    assert first.told is not None
    assert decide(replace(SHIFTED, told=first.told)).tell == ()
    later = replace(SHIFTED, told=first.told, now=SHIFTED.now + SILENCE_S)
    later = replace(later, rollouts=(replace(SHIFTED.rollouts[0], tally=Tally(20, 0, later.now)), SHIFTED.rollouts[1]))
    assert decide(later).tell == first.tell


def test_failures_that_are_known_by_now_are_kept_whatever_is_decided() -> None:
    counted = replace(SHIFTED.rollouts[0], recounted=True)
    for snapshot in (SHIFTED, replace(SHIFTED, shift=None), replace(SHIFTED, shift=None, deleted=True)):
        decided = decide(replace(snapshot, rollouts=(counted, SHIFTED.rollouts[1])))
        assert decided.tallies == (("green", Tally(5, 0, 999.0)),)
