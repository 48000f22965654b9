"""The deployment planner: cases that read as sentences, and laws over whole simulated rollouts."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.control.deployments.plan import breaker_threshold, plan, serves, wait_s
from longshore.control.deployments.vocabulary import Breaker, Member, Phase, Plan, Rollout, Snapshot, lower_limit, upper_limit
from longshore.services.ecs.rollout.model import Tally

NOW = 1_000.0
PHASES = {
    "starting": Phase.STARTING,
    "warming": Phase.WARMING,
    "waiting": Phase.WARMING,
    "healthy": Phase.HEALTHY,
    "unhealthy": Phase.UNHEALTHY,
}


def fleet_of(words: str) -> tuple[Member, ...]:
    """`new:healthy*2 old:starting` – deployment:phase*count, each in the next zone."""
    members: list[Member] = []
    for word in words.split():
        deployment, _, rest = word.partition(":")
        phase, _, count = rest.partition("*")
        for _ in range(int(count or 1)):
            number = len(members)
            members.append(
                Member(
                    arn=f"task-{number:03d}",
                    deployment_id=deployment,
                    phase=PHASES[phase],
                    zone="abc"[number % 3],
                    created_at=float(number),
                    complaint="Task failed container health checks" if phase == "unhealthy" else "",
                    warm_at=NOW + 40 if phase == "warming" else None,
                )
            )
    return tuple(members)


def snapshot(
    fleet: str = "",
    *,
    desired: int = 3,
    rails: tuple[int, int] = (100, 200),
    state: str = "IN_PROGRESS",
    failures: int = 0,
    last_failure_at: float = 0.0,
    old: bool | None = None,
    deleted: bool = False,
    status: str = "ACTIVE",
    leaving: int = 0,
    breaker: Breaker | None = None,
    last_completed: str = "",
    steady: bool = False,
) -> Snapshot:
    members = fleet_of(fleet)
    rollouts = [Rollout("new", True, state, Tally(failures, 0, last_failure_at))]
    if old or (old is None and any(member.deployment_id == "old" for member in members)):
        rollouts.append(Rollout("old", False, "COMPLETED"))
    return Snapshot(
        now=NOW,
        service_name="web",
        desired=desired,
        minimum_percent=rails[0],
        maximum_percent=rails[1],
        deleted=deleted,
        status=status,
        steady=steady,
        rollouts=tuple(rollouts),
        members=members,
        leaving=leaving,
        breaker=breaker or Breaker(),
        last_completed=last_completed,
    )


def stopped(decided: Plan, given_: Snapshot) -> list[str]:
    phase = {member.arn: f"{member.deployment_id}:{member.phase.value}" for member in given_.members}
    return sorted(phase[stop.arn] for stop in decided.stop)


@pytest.mark.parametrize(
    ("sentence", "given_", "start", "stop"),
    [
        ("a new service starts all it wants", snapshot(""), 3, []),
        ("what is starting counts already", snapshot("new:starting*2"), 1, []),
        ("a full service is left alone", snapshot("new:healthy*3"), 0, []),
        ("a rollout starts as many as the ceiling allows", snapshot("old:healthy*3"), 3, []),
        ("old tasks stay while new ones are not healthy", snapshot("new:starting*3 old:healthy*3"), 0, []),
        ("one healthy new task lets one old task go", snapshot("new:healthy new:starting*2 old:healthy*3"), 0, ["old:healthy"]),
        ("all healthy: every old one goes", snapshot("new:healthy*3 old:healthy*3"), 0, ["old:healthy"] * 3),
        ("a ceiling of 100% stops first", snapshot("old:healthy*4", desired=4, rails=(50, 100)), 2, ["old:healthy"] * 2),
        (
            "a floor of 0% and no room stops everything at once",
            snapshot("old:healthy*2", desired=2, rails=(0, 100)),
            2,
            ["old:healthy"] * 2,
        ),
        ("a floor and ceiling of 100% can do nothing", snapshot("old:healthy*3", rails=(100, 100)), 0, []),
        ("scaling in stops the surplus", snapshot("new:healthy*5"), 0, ["new:healthy"] * 2),
        ("scaling in takes what does not serve first", snapshot("new:healthy*3 new:starting*2"), 0, ["new:starting"] * 2),
        ("an unhealthy task is replaced before it is stopped", snapshot("new:healthy*2 new:unhealthy"), 1, []),
        ("and stopped once its replacement serves", snapshot("new:healthy*3 new:unhealthy"), 0, ["new:unhealthy"]),
        ("without room it is stopped first", snapshot("new:healthy*2 new:unhealthy", rails=(50, 100)), 1, ["new:unhealthy"]),
        (
            "an old task that never served goes when the new ones are all there",
            snapshot("new:starting*3 old:starting"),
            0,
            ["old:starting"],
        ),
        ("what runs since a moment ago serves, too, though it does not count", snapshot("new:starting*3 old:warming*3"), 0, []),
        ("and goes with the others when there are enough", snapshot("new:healthy*3 old:warming*2"), 0, ["old:warming"] * 2),
        ("a wish for none stops all", snapshot("new:healthy*2 old:healthy", desired=0), 0, ["new:healthy"] * 2 + ["old:healthy"]),
        ("a deleted service stops all", snapshot("new:healthy*2", deleted=True), 0, ["new:healthy"] * 2),
        ("a failed deployment starts nothing", snapshot("new:healthy", state="FAILED"), 0, []),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else "",
)
def test_what_starts_and_what_stops(sentence: str, given_: Snapshot, start: int, stop: list[str]) -> None:
    decided = plan(given_)
    assert (decided.starting, stopped(decided, given_)) == (start, stop)


def test_stopping_takes_from_the_fullest_zone() -> None:
    members = tuple(Member(f"t{i}", "new", Phase.HEALTHY, zone, float(i)) for i, zone in enumerate("aaab"))
    decided = plan(snapshot("", desired=2).__class__(**{**_fields(snapshot("", desired=2)), "members": members}))
    zones = {member.arn: member.zone for member in members}
    assert [zones[stop.arn] for stop in decided.stop] == ["a", "a"]


def _fields(of: Snapshot) -> dict[str, object]:
    return {name: getattr(of, name) for name in of.__struct_fields__}


@pytest.mark.parametrize(
    ("desired", "percent", "floor", "ceiling"), [(3, 50, 2, 1), (3, 150, 5, 4), (1, 10, 1, 0), (4, 100, 4, 4), (0, 200, 0, 0)]
)
def test_the_floor_is_rounded_up_and_the_ceiling_down(desired: int, percent: int, floor: int, ceiling: int) -> None:
    assert (lower_limit(desired, percent), upper_limit(desired, percent)) == (floor, ceiling)


def test_a_deployment_completes_when_all_serve_and_nothing_old_is_left() -> None:
    decided = plan(snapshot("new:healthy*3", old=True))
    assert (decided.complete, decided.retire, decided.steady) == ("new", ("old",), True)
    assert decided.tell == ("(service web) (deployment new) deployment completed.", "(service web) has reached a steady state.")


def test_running_is_enough_for_a_steady_state_where_nothing_checks_health() -> None:
    assert plan(snapshot("new:warming*3")).steady is True
    assert plan(snapshot("new:waiting*3")).steady is None


def test_running_without_a_check_lets_old_tasks_go_only_after_a_while() -> None:
    decided = plan(snapshot("new:warming*3 old:healthy*3"))
    assert decided.stop == ()
    assert decided.look_again_at == NOW + 40


@given(st.integers(1, 6), st.integers(0, 100), st.lists(st.sampled_from(sorted(PHASES)), max_size=8), st.data())
def test_law_an_update_leaves_as_much_as_the_floor_asks_for_of_what_serves(
    desired: int, floor: int, old: list[str], data: st.DataObject
) -> None:
    """Whatever runs is counted here, though the floor's own count begins later: what served before an update goes on serving."""
    new = data.draw(st.lists(st.sampled_from(sorted(PHASES)), max_size=desired))
    fleet = " ".join([*(f"new:{phase}" for phase in new), *(f"old:{phase}" for phase in old)])
    given_ = snapshot(fleet, desired=desired, rails=(floor, 200), state=data.draw(st.sampled_from(["IN_PROGRESS", "FAILED"])))
    going = {stop.arn for stop in plan(given_).stop}
    before = [member for member in given_.members if serves(member)]
    after = [member for member in before if member.arn not in going]
    assert len(after) >= min(len(before), given_.floor)


def test_a_steady_state_is_told_once() -> None:
    decided = plan(snapshot("new:healthy*3", state="COMPLETED", steady=True))
    assert decided.is_empty


def test_a_lost_task_ends_the_steady_state() -> None:
    decided = plan(snapshot("new:healthy*2", state="COMPLETED", steady=True))
    assert (decided.steady, decided.starting, decided.tell) == (False, 1, ())


def test_rails_that_allow_nothing_are_said() -> None:
    (said,) = plan(snapshot("old:healthy*3", rails=(100, 100))).tell
    assert "was unable to stop or start tasks during a deployment" in said


def test_failures_are_answered_at_once_at_first_and_then_ever_more_slowly() -> None:
    waits = [wait_s(failures) for failures in range(16)]
    assert waits[:6] == [0, 0, 0, 1, 2, 4]
    assert waits == sorted(waits)
    assert waits[-1] == 900


def test_a_failing_service_waits_and_says_until_when() -> None:
    decided = plan(snapshot("", failures=5, last_failure_at=NOW - 1))
    assert (decided.starting, decided.look_again_at) == (0, NOW + 3)


def test_after_waiting_it_tries_one_task_only() -> None:
    assert plan(snapshot("", failures=5, last_failure_at=NOW - 4)).starting == 1


def test_the_breaker_fails_the_deployment_and_goes_back() -> None:
    broken = snapshot("old:healthy*3", failures=breaker_threshold(3), breaker=Breaker(True, True), last_completed="old")
    decided = plan(broken)
    assert (decided.fail, decided.roll_back_to, decided.starting) == ("new", "old", 0)


def test_the_breaker_without_rollback_only_fails_it() -> None:
    decided = plan(snapshot("", failures=99, breaker=Breaker(True, False), last_completed="old"))
    assert (decided.fail, decided.roll_back_to) == ("new", "")


def test_a_deleted_service_is_draining_until_its_last_task_has_stopped() -> None:
    assert plan(snapshot("new:healthy", deleted=True)).status == "DRAINING"
    assert plan(snapshot("", deleted=True, status="DRAINING", leaving=1)).status == ""
    assert plan(snapshot("", deleted=True, status="DRAINING")).status == "INACTIVE"


# ── laws ────────────────────────────────────────────────────────────────────────────────────────────────────────────

members = st.lists(
    st.builds(
        Member,
        arn=st.uuids().map(str),
        deployment_id=st.sampled_from(["new", "old", "older"]),
        phase=st.sampled_from(list(Phase)),
        zone=st.sampled_from(["a", "b", "c"]),
        created_at=st.integers(0, 50).map(float),
        complaint=st.just("Task failed container health checks"),
    ),
    max_size=12,
    unique_by=lambda member: member.arn,
).map(tuple)
rails = st.tuples(st.integers(0, 100), st.integers(100, 200))
snapshots = st.builds(
    lambda members, desired, rails, failures, deleted: Snapshot(
        now=NOW,
        service_name="web",
        desired=desired,
        minimum_percent=rails[0],
        maximum_percent=rails[1],
        deleted=deleted,
        status="ACTIVE",
        steady=False,
        rollouts=(
            Rollout("new", True, "IN_PROGRESS", Tally(failures, 0, NOW - 5)),
            *(Rollout(name, False, "COMPLETED") for name in sorted({m.deployment_id for m in members} - {"new"})),
        ),
        members=members,
    ),
    members,
    st.integers(0, 8),
    rails,
    st.integers(0, 6),
    st.booleans(),
)


@given(snapshots)
def test_law_it_never_starts_above_the_ceiling(given_: Snapshot) -> None:
    decided = plan(given_)
    after = len(given_.members) - len(decided.stop) + decided.starting
    if decided.starting:
        assert after <= upper_limit(given_.desired, given_.maximum_percent)


@given(snapshots)
def test_law_it_never_stops_a_healthy_old_task_below_the_floor(given_: Snapshot) -> None:
    if given_.deleted:
        return
    decided = plan(given_)
    going = {stop.arn for stop in decided.stop}
    healthy_old_going = [m for m in given_.members if m.arn in going and m.phase is Phase.HEALTHY and m.deployment_id != "new"]
    left = sum(1 for m in given_.members if m.phase is Phase.HEALTHY and m.arn not in going)
    if healthy_old_going:
        assert left >= lower_limit(given_.desired, given_.minimum_percent)


@given(snapshots)
def test_law_it_never_scales_the_primary_below_what_is_wanted(given_: Snapshot) -> None:
    if given_.deleted:
        return
    decided = plan(given_)
    going = {stop.arn for stop in decided.stop}
    mine = [m for m in given_.members if m.deployment_id == "new"]
    serving_going = [m for m in mine if m.arn in going and m.phase is not Phase.UNHEALTHY]
    if serving_going:
        assert len([m for m in mine if m.arn not in going]) >= min(given_.desired, len(mine) - len(serving_going))
        assert len(mine) > given_.desired


@given(snapshots)
def test_law_every_stop_has_a_reason_and_happens_once(given_: Snapshot) -> None:
    decided = plan(given_)
    assert all(stop.reason for stop in decided.stop)
    assert len({stop.arn for stop in decided.stop}) == len(decided.stop)


@given(snapshots, st.randoms())
def test_law_the_order_of_tasks_does_not_matter(given_: Snapshot, random: object) -> None:
    shuffled = list(given_.members)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = Snapshot(**{**_fields(given_), "members": tuple(shuffled)})  # type: ignore[arg-type]
    first, second = plan(given_), plan(again)
    assert (first.starting, {s.arn for s in first.stop}, first.complete) == (second.starting, {s.arn for s in second.stop}, second.complete)


@settings(max_examples=60, deadline=None)
@given(desired=st.integers(0, 6), rails=st.tuples(st.integers(0, 100), st.integers(100, 200)), before=st.integers(0, 6), seed=st.randoms())
def test_law_every_rollout_settles_within_its_rails(desired: int, rails: tuple[int, int], before: int, seed: object) -> None:
    """Tasks of every start become healthy in some order; the service always ends with exactly what was wanted, and the
    healthy never fall below the floor once they had reached it."""
    floor, ceiling = lower_limit(desired, rails[0]), upper_limit(desired, rails[1])
    if floor >= ceiling and before and desired:
        return  # rails that allow nothing: told as "stuck", settles never
    fleet = list(fleet_of(f"old:healthy*{before}") if before else ())
    numbers = itertools.count(100)
    rollouts = (Rollout("new", True, "IN_PROGRESS"), *((Rollout("old", False, "COMPLETED"),) if before else ()))
    reached = False
    for _ in range(80):
        now_healthy = sum(1 for m in fleet if m.phase is Phase.HEALTHY)
        reached = reached or now_healthy >= floor
        if reached:
            assert now_healthy >= floor
        decided = plan(
            Snapshot(
                now=NOW,
                service_name="web",
                desired=desired,
                minimum_percent=rails[0],
                maximum_percent=rails[1],
                deleted=False,
                status="ACTIVE",
                steady=False,
                rollouts=rollouts,
                members=tuple(fleet),
            )
        )
        rollouts = tuple(rollout for rollout in rollouts if rollout.id not in decided.retire)
        if decided.steady:
            break
        going = {stop.arn for stop in decided.stop}
        fleet = [m for m in fleet if m.arn not in going]
        fleet += [Member(f"task-{next(numbers)}", "new", Phase.STARTING, "a", NOW) for _ in range(decided.starting)]
        starting = [m for m in fleet if m.phase is Phase.STARTING]
        if starting:
            lucky = seed.choice(starting)  # type: ignore[attr-defined]
            fleet = [Member(m.arn, m.deployment_id, Phase.HEALTHY, m.zone, m.created_at) if m is lucky else m for m in fleet]
    assert [m.deployment_id for m in fleet] == ["new"] * desired
