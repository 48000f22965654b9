"""Laws over whole lives of services in a cluster that reacts, whatever befalls it."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.control.deployments.vocabulary import Breaker, lower_limit, upper_limit
from tests.control.deployments.world import Machine, Sim, World

#: looks that are enough for every simulated service to come to rest once nothing befalls it any more
CALM_TURNS = 160


@st.composite
def worlds(draw: st.DrawFn, *, daemon: bool = False, balanced: bool | None = None) -> World:
    machines = [Machine(f"m{number}", "abc"[number % draw(st.integers(1, 3))], 12) for number in range(draw(st.integers(2, 5)))]
    desired = draw(st.integers(0, 7))
    rails = (draw(st.integers(0, 100)), draw(st.sampled_from([100, 110, 150, 200, 300])))
    wants_zones = draw(st.booleans()) if balanced is None else balanced
    # a service whose rails leave no room at all is told so, and settles never
    size = len(machines) if daemon else desired
    if lower_limit(size, rails[0]) >= upper_limit(size, rails[1]) or (wants_zones and upper_limit(size, rails[1]) == size):
        rails = (draw(st.integers(0, 100)), 200)
    return World(desired, rails, machines, Random(draw(st.integers(0, 10_000))), daemon=daemon, balanced=wants_zones and not daemon)


def befall(world: World) -> None:
    """Something happens."""
    chance = world.random
    match chance.randrange(9):
        case 0:
            world.desired = chance.randrange(0, 8)
            if lower_limit(world.desired, world.rails[0]) >= upper_limit(world.desired, world.rails[1]):
                world.rails = (world.rails[0], 200)
        case 1:
            chance.choice(world.machines).draining ^= True
        case 2:
            chance.choice(world.machines).lost ^= True
        case 3:
            world.deploy()
        case 4 if world.tasks:
            chance.choice(world.tasks).protected_until = world.now + chance.choice([30, 300])
        case 5:
            world.machines.append(Machine(f"m{len(world.machines)}x", chance.choice("abc"), 12))
        case _:
            return


def calm(world: World) -> None:
    """Nothing befalls it any more, and there is room."""
    for machine in world.machines[:2]:
        machine.draining = machine.lost = False
    size = len(world.machines) if world.daemon else world.desired
    # machines that are lost may still have their daemons or not: whatever their number, there is a way
    cramped = any(lower_limit(count, world.rails[0]) >= upper_limit(count, world.rails[1]) for count in range(1, size + 1))
    if world.balanced or (world.daemon and cramped):
        world.rails = (world.rails[0], 200)
    for _ in range(CALM_TURNS):
        world.turn()
        if world.is_settled() and world.turn().is_empty and world.steady:
            return
        world.progress(seconds=60)
        world.tallies = {}
    pytest.fail(f"it does not come to rest: {[(t.arn, t.phase, t.machine, t.deployment_id, t.leaving) for t in world.tasks]}")


@settings(max_examples=120, deadline=None)
@given(worlds(), st.integers(5, 40))
def test_law_a_service_keeps_its_rails_in_every_trouble_and_comes_to_rest_after_it(world: World, turns: int) -> None:
    for _ in range(turns):
        befall(world)
        world.turn()
        world.progress(trouble=0.1)
    calm(world)
    assert len([sim for sim in world.tasks if not sim.machine.lost]) == world.desired


@settings(max_examples=80, deadline=None)
@given(worlds(daemon=True), st.integers(5, 40))
def test_law_a_daemon_service_ends_with_one_task_per_instance(world: World, turns: int) -> None:
    for _ in range(turns):
        befall(world)
        world.turn()
        world.progress(trouble=0.1)
    calm(world)
    here = Counter(sim.machine.arn for sim in world.tasks if not sim.leaving and not sim.machine.lost)
    assert set(here.values()) <= {1}


@settings(max_examples=60, deadline=None)
@given(worlds(), st.booleans())
def test_law_a_drain_ends_and_the_service_is_whole_all_the_way(world: World, deploys: bool) -> None:
    calm(world)
    if deploys:
        world.deploy()
    world.machines[0].draining = True
    if len(world.machines) < 3:
        world.machines.append(Machine("spare", world.machines[0].zone, 20))
    floor = lower_limit(world.desired, world.rails[0])
    for _ in range(CALM_TURNS):
        world.turn()
        assert sum(1 for sim in world.tasks if sim.phase.value == "healthy" and not sim.leaving) >= min(floor, world.desired)
        world.progress()
        if not any(sim.machine is world.machines[0] for sim in world.tasks):
            break
    assert not any(sim.machine is world.machines[0] for sim in world.tasks), "the drained instance is empty in the end"


@settings(max_examples=60, deadline=None)
@given(worlds(balanced=True))
def test_law_balancing_zones_ends_and_never_takes_more_than_it_brings(world: World) -> None:
    """All tasks begin in one zone; the service is balanced in the end, and at every moment it has what it wants."""
    calm(world)
    for sim in world.tasks:
        sim.machine = world.machines[0]
    moves = 0
    for _ in range(CALM_TURNS):
        decided = world.turn()
        moves += len([start for start in decided.start if start.zone])
        assert sum(1 for sim in world.tasks if not sim.leaving) >= world.desired
        world.progress(seconds=60)
    assert world.is_settled()
    assert moves <= world.desired, "no task is moved twice"
    assert sum("AZ balanced with" in line and "not" not in line for line in world.events) <= 1


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.booleans())
def test_law_a_deployment_that_cannot_start_fails_at_its_threshold_and_no_healthy_task_is_lost(desired: int, balanced: bool) -> None:
    world = World(desired, (100, 200), [Machine(f"m{n}", "ab"[n % 2], 100) for n in range(4)], Random(1), balanced=balanced)
    calm(world)
    world.breaker = Breaker(enable=True)
    world.deploy()
    failed = 0
    for _ in range(400):
        if world.rollouts[world.primary] == "FAILED":
            break
        world.turn()
        for sim in [sim for sim in world.tasks if sim.deployment_id == world.primary]:
            world.fail(sim)
            failed += 1
        world.now += 1000
    assert world.rollouts[world.primary] == "FAILED"
    assert failed <= max(3, -(-desired // 2)) + desired
    for _ in range(5):
        world.turn()  # which checks that nothing of it starts
        world.progress()
    assert len(world.tasks) == desired


def test_a_task_is_never_moved_onto_a_zone_that_is_not_there() -> None:
    world = World(4, (100, 200), [Machine("m0", "a", 10), Machine("m1", "b", 10)], Random(3), balanced=True)
    calm(world)
    world.machines[1].draining = True
    for _ in range(20):
        world.turn()
        world.progress(seconds=60)
    assert Counter(sim.machine.zone for sim in world.tasks) == {"a": 4}
    assert isinstance(world.tasks[0], Sim)
