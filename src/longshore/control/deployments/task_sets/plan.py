"""What to do about the task sets of a service that somebody else deploys: each is kept at its share, and nothing more is decided.

A pure function. Every task set is looked after like a service of its own, by the planner for rolling updates: dead tasks are
replaced, sick ones too, drained instances left. Which of them serves is not asked here.
"""

from __future__ import annotations

from msgspec.structs import replace

from longshore.control.deployments import plan as rolling
from longshore.control.deployments.vocabulary import Phase, Plan, Saying, Share, Snapshot, earliest, spoken
from longshore.services.ecs import event_words

STEADY, STABILIZING = "STEADY_STATE", "STABILIZING"


def plan(snapshot: Snapshot, shares: tuple[Share, ...]) -> Plan:
    crews = [(share, _crew(snapshot, share)) for share in shares]
    stability = [(share, _stability(snapshot, share, crew)) for share, crew in crews]
    news = [(share, now) for share, now in stability if now != share.stability]
    tell = [event_words.task_set_steady(snapshot.service_name, share.id) for share, now in news if now == STEADY]
    sayings = [Saying(sentence, f"{share.id}: {sentence}") for share, crew in crews for sentence in crew.tell]
    speech = spoken(snapshot.told, sayings, snapshot.now, lasting=rolling.ELSEWHERE)
    steady = all(now == STEADY for _, now in stability) and not snapshot.leaving
    return Plan(
        start=tuple(start for _, crew in crews for start in crew.start),
        stop=tuple(stop for _, crew in crews for stop in crew.stop),
        steady=None if steady == snapshot.steady else steady,
        tell=(*speech.tell, *tell),
        told=speech.told,
        stability=tuple((share.arn, now) for share, now in news),
        drop=tuple(share.arn for share in shares if share.draining and not _left(snapshot, share)),
        waits=tuple(wait for _, crew in crews for wait in crew.waits),
        look_again_at=earliest((crew.look_again_at for _, crew in crews), snapshot.now),
    )


def _crew(snapshot: Snapshot, share: Share) -> Plan:
    rollout = next(one for one in snapshot.rollouts if one.id == share.id)
    return rolling.plan(
        replace(
            snapshot,
            desired=share.desired,
            rollouts=(replace(rollout, primary=True, state="COMPLETED"),),
            members=tuple(member for member in snapshot.members if member.deployment_id == share.id),
            leaving=0,
            steady=True,
            zones=(),
            told=(),
        )
    )


def _left(snapshot: Snapshot, share: Share) -> bool:
    return bool(share.leaving) or any(member.deployment_id == share.id for member in snapshot.members)


def _stability(snapshot: Snapshot, share: Share, crew: Plan) -> str:
    """Steady when as many run as are wanted, all of them healthy, and none comes, goes or has to."""
    members = [member for member in snapshot.members if member.deployment_id == share.id]
    calm = not crew.start and not crew.stop and not share.leaving and not share.draining and len(members) == share.desired
    return STEADY if calm and all(m.phase is Phase.HEALTHY and not m.outgoing for m in members) else STABILIZING
