"""The planner for DAEMON services: cases that read as sentences. (Its laws: test_laws.py.)"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from longshore.control.deployments.daemon import plan
from longshore.control.deployments.vocabulary import Member, Phase, Plan, Rollout, Snapshot, Station

PHASES = {"starting": Phase.STARTING, "warming": Phase.WARMING, "healthy": Phase.HEALTHY, "unhealthy": Phase.UNHEALTHY}
#: RUNNING since a moment ago, with nothing that checks its health
PHASES["young"] = Phase.WARMING


def snapshot(words: str, *, rails: tuple[int, int] = (0, 100), state: str = "IN_PROGRESS", steady: bool = False) -> Snapshot:
    """`a: new-healthy old-healthy | b: | c draining 2:` – instances with what is on them; a number counts tasks that are no daemons."""
    stations: list[Station] = []
    members: list[Member] = []
    for part in words.split("|"):
        head, _, tasks = part.strip().partition(":")
        name, *facts = head.split()
        others = next((int(fact) for fact in facts if fact.isdigit()), 0)
        leaving = tasks.split().count("leaving")
        stations.append(
            Station(name, wanted="draining" not in facts, leaving=leaving, others=others, reachable="away" not in facts, reason="drained")
        )
        for word in tasks.split():
            if word != "leaving":
                deployment, _, phase = word.partition("-")
                arn = f"{name}{len(members)}"
                members.append(
                    Member(
                        arn,
                        deployment,
                        PHASES[phase],
                        instance_arn=name,
                        created_at=float(len(members)),
                        warm_at=1_040.0 if phase == "young" else None,
                    )
                )
    return Snapshot(
        now=1_000.0,
        service_name="web",
        desired=sum(1 for station in stations if station.wanted),
        minimum_percent=rails[0],
        maximum_percent=rails[1],
        deleted=False,
        status="ACTIVE",
        steady=steady,
        rollouts=(Rollout("new", True, state), Rollout("old", False, "COMPLETED")),
        members=tuple(members),
        stations=tuple(stations),
    )


def starts(decided: Plan) -> str:
    return "".join(sorted(start.instance_arn for start in decided.start))


def stops(decided: Plan) -> str:
    return " ".join(sorted(stop.arn for stop in decided.stop))


@pytest.mark.parametrize(
    ("sentence", "given", "start", "stop"),
    [
        ("an instance without a task gets one", snapshot("a: new-healthy | b:"), "b", ""),
        ("one whose task is stopping waits for its end", snapshot("a: leaving"), "", ""),
        ("one whose agent is away gets none", snapshot("a away: | b:"), "b", ""),
        ("of two tasks the one that serves stays", snapshot("a: new-starting new-healthy"), "", "a0"),
        ("an update stops first where nothing may be beside it", snapshot("a: old-healthy | b: old-healthy"), "", "a0 b1"),
        ("as far as the floor allows", snapshot("a: old-healthy | b: old-healthy", rails=(50, 100)), "", "a0"),
        ("and starts first where something may", snapshot("a: old-healthy | b: old-healthy", rails=(100, 200)), "ab", ""),
        ("on as many as the ceiling has room for", snapshot("a: old-healthy | b: old-healthy", rails=(50, 150)), "a", "b1"),
        ("the old one goes when the new one serves", snapshot("a: old-healthy new-healthy", rails=(100, 200)), "", "a0"),
        ("and not before", snapshot("a: old-healthy new-warming", rails=(100, 200)), "", ""),
        ("nor one that runs since a moment ago", snapshot("a: old-young new-starting", rails=(100, 200)), "", ""),
        (
            "nothing starts above the ceiling, not even where there is none yet",
            snapshot("a: old-healthy new-starting | b: old-healthy new-starting | c:", rails=(100, 150)),
            "",
            "",
        ),
        ("a drained instance keeps its daemon while others are there", snapshot("a: new-healthy | b draining 2: new-healthy"), "", ""),
        ("and loses it then", snapshot("a: new-healthy | b draining: new-healthy"), "", "b1"),
        ("what only starts there goes at once", snapshot("a: new-healthy | b draining 2: new-starting"), "", "b1"),
        ("an unhealthy daemon is replaced", snapshot("a: new-unhealthy"), "", "a0"),
        ("a failed deployment leaves what runs", snapshot("a: old-healthy | b:", state="FAILED"), "", ""),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else "",
)
def test_what_starts_and_what_stops(sentence: str, given: Snapshot, start: str, stop: str) -> None:
    decided = plan(given)
    assert (starts(decided), stops(decided)) == (start, stop)


def test_it_completes_with_one_on_each() -> None:
    decided = plan(snapshot("a: new-healthy | b: new-healthy"))
    assert (decided.complete, decided.retire, decided.steady) == ("new", ("old",), True)
    assert plan(replace(snapshot("a: new-healthy", steady=True), rollouts=(Rollout("new", True, "COMPLETED"),))).is_empty


def test_it_says_what_it_waits_for() -> None:
    decided = plan(snapshot("a: new-warming leaving | b draining 3: new-healthy | c away: new-healthy"))
    assert "1 drained instances still have other tasks, which go before their daemon" in decided.waits
    assert "the agents of 1 instances are disconnected" in decided.waits


def test_rails_that_allow_nothing_are_said() -> None:
    (said,) = plan(snapshot("a: old-healthy", rails=(100, 150))).tell
    assert "Update the minimumHealthyPercent or maximumPercent value" in said
