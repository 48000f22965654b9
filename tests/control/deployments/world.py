"""A simulated cluster that reacts to what planners decide: tasks start, run, fail and end; instances are drained, lost and found.

`World.turn()` is one look: a snapshot, a plan, the plan carried out, every promise of the planner checked on the way.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from longshore.control.deployments.decide import decide
from longshore.control.deployments.vocabulary import SILENCE_S, Breaker, Member, Phase, Plan, Rollout, Snapshot, Station
from longshore.services.ecs.rollout.model import Tally, Told

WARM_UP_S = 40.0
DRAINING = "container instance is in DRAINING state"
LOST = "lost"


@dataclass
class Machine:
    arn: str
    zone: str
    slots: int
    draining: bool = False
    lost: bool = False


@dataclass
class Sim:
    arn: str
    deployment_id: str
    machine: Machine
    born: float
    phase: Phase = Phase.STARTING
    running_since: float = 0.0
    protected_until: float | None = None
    in_place_of: str = ""
    leaving: bool = False


@dataclass
class World:
    desired: int
    rails: tuple[int, int]
    machines: list[Machine]
    random: Random
    daemon: bool = False
    balanced: bool = False
    now: float = 1_000.0
    tasks: list[Sim] = field(default_factory=list)
    rollouts: dict[str, str] = field(default_factory=lambda: {"d1": "IN_PROGRESS"})
    primary: str = "d1"
    tallies: dict[str, Tally] = field(default_factory=dict)
    told: tuple[Told, ...] = ()
    steady: bool = False
    breaker: Breaker = field(default_factory=Breaker)
    events: list[str] = field(default_factory=list)
    born: int = 0

    # ── what a controller would see ──

    def member(self, sim: Sim) -> Member:
        gone = sim.machine.lost and not self.daemon
        outgoing = "" if self.daemon else LOST if gone else DRAINING if sim.machine.draining else ""
        warm_at = sim.running_since + WARM_UP_S if sim.phase is Phase.WARMING and not gone else None
        return Member(
            arn=sim.arn,
            deployment_id=sim.deployment_id,
            phase=Phase.UNHEALTHY if gone else sim.phase,
            zone=sim.machine.zone,
            created_at=sim.born,
            complaint="Task failed container health checks" if sim.phase is Phase.UNHEALTHY else "",
            warm_at=warm_at,
            instance_arn=sim.machine.arn,
            outgoing=outgoing,
            gone=gone,
            protected_until=sim.protected_until if sim.protected_until is not None and sim.protected_until > self.now else None,
            in_place_of=sim.in_place_of,
        )

    def snapshot(self) -> Snapshot:
        members = tuple(self.member(sim) for sim in self.tasks if not sim.leaving)
        stations = tuple(self.station(machine) for machine in self.machines) if self.daemon else None
        open_zones = tuple(sorted({machine.zone for machine in self.machines if not machine.draining and not machine.lost}))
        return Snapshot(
            now=self.now,
            service_name="web",
            desired=sum(1 for station in stations if station.wanted) if stations is not None else self.desired,
            minimum_percent=self.rails[0],
            maximum_percent=self.rails[1],
            deleted=False,
            status="ACTIVE",
            steady=self.steady,
            rollouts=tuple(
                Rollout(name, name == self.primary, state, self.tallies.get(name, Tally())) for name, state in self.rollouts.items()
            ),
            members=members,
            leaving=sum(1 for sim in self.tasks if sim.leaving and not sim.machine.lost),
            breaker=self.breaker,
            zones=open_zones if self.balanced and self.steady else (),
            told=self.told,
            stations=stations,
        )

    def station(self, machine: Machine) -> Station:
        mine = [sim for sim in self.tasks if sim.machine is machine]
        runs = any(not sim.leaving and sim.phase is not Phase.STARTING and sim.deployment_id == self.primary for sim in mine)
        wanted = not machine.draining and (not machine.lost or runs)
        leaving = sum(1 for sim in mine if sim.leaving)
        return Station(machine.arn, machine.zone, wanted, DRAINING if machine.draining else "", leaving, 0, not machine.lost)

    # ── one look ──

    def turn(self) -> Plan:
        seen = self.snapshot()
        decided = decide(seen)
        self.check(seen, decided)
        for arn in {stop.arn for stop in decided.stop}:
            next(sim for sim in self.tasks if sim.arn == arn).leaving = True
        for start in decided.start:
            for _ in range(start.count):
                self.launch(start.deployment_id, start.zone, start.instance_arn, start.in_place_of)
        for name in decided.retire:
            del self.rollouts[name]
        for name, state in ((decided.complete, "COMPLETED"), (decided.fail, "FAILED")):
            if name:
                self.rollouts[name] = state
        for one in self.told:
            again = one.sentence in decided.tell
            assert not again or self.now - one.at >= SILENCE_S, f"said twice: {one.sentence}"
        self.steady = self.steady if decided.steady is None else decided.steady
        self.told = self.told if decided.told is None else decided.told
        self.events += decided.tell
        return decided

    def launch(self, deployment_id: str, zone: str, instance_arn: str, in_place_of: str) -> None:
        load = Counter(sim.machine.arn for sim in self.tasks)
        fit = [
            machine
            for machine in self.machines
            if not machine.draining
            and not machine.lost
            and load[machine.arn] < machine.slots
            and machine.zone == (zone or machine.zone)
            and machine.arn == (instance_arn or machine.arn)
        ]
        if not fit:
            return
        per_zone = Counter(sim.machine.zone for sim in self.tasks if not sim.leaving)
        machine = min(fit, key=lambda one: (per_zone[one.zone], load[one.arn], one.arn))
        self.born += 1
        self.tasks.append(Sim(f"t{self.born:04d}", deployment_id, machine, self.now, in_place_of=in_place_of))

    def deploy(self) -> None:
        name = f"d{len(self.rollouts) + self.born + 2}"
        self.rollouts[name] = "IN_PROGRESS"
        self.primary = name

    # ── what happens by itself ──

    def progress(self, *, trouble: float = 0.0, seconds: float = 20.0) -> None:
        self.now += seconds
        for sim in list(self.tasks):
            if sim.machine.lost:
                if sim.phase is Phase.WARMING and self.now >= sim.running_since + WARM_UP_S:
                    sim.phase = Phase.HEALTHY
                continue
            if sim.leaving:
                self.tasks.remove(sim)
            elif self.random.random() < trouble:
                self.fail(sim)
            elif sim.phase is Phase.STARTING:
                sim.phase, sim.running_since = Phase.WARMING, self.now
            elif sim.phase is Phase.WARMING and self.now >= sim.running_since + WARM_UP_S:
                sim.phase = Phase.HEALTHY

    def fail(self, sim: Sim) -> None:
        if sim.phase is Phase.STARTING:
            self.tasks.remove(sim)
            before = self.tallies.get(sim.deployment_id, Tally())
            self.tallies[sim.deployment_id] = Tally(before.failed_starts + 1, before.failed_checks, self.now)
        elif sim.phase is Phase.HEALTHY and self.random.random() < 0.5:
            sim.phase = Phase.UNHEALTHY
        else:
            self.tasks.remove(sim)

    # ── promises ──

    def check(self, seen: Snapshot, decided: Plan) -> None:
        by_arn = {member.arn: member for member in seen.members}
        stopped = [by_arn[stop.arn] for stop in decided.stop]
        assert len({member.arn for member in stopped}) == len(stopped), "every task is stopped once"
        assert all(stop.reason for stop in decided.stop)
        for member in stopped:
            assert member.protected_until is None or member.phase is Phase.UNHEALTHY, "protected tasks stay"
        wanted_on = {station.arn for station in seen.stations if station.wanted} if seen.stations is not None else None
        counted = [m for m in seen.members if wanted_on is None or m.instance_arn in wanted_on]
        healthy = sum(1 for member in counted if member.phase is Phase.HEALTHY)
        ended = sum(1 for member in stopped if member in counted and member.phase is Phase.HEALTHY)
        assert not ended or healthy - ended >= seen.floor, f"never below the floor: {healthy} - {ended} < {seen.floor}"
        total = len(counted) - sum(1 for member in stopped if member in counted) + decided.starting
        assert not decided.start or total <= seen.ceiling, f"never above the ceiling: {total} > {seen.ceiling}"
        if self.rollouts[self.primary] == "FAILED":
            assert not decided.start, "a failed deployment starts nothing"
        assert all(start.deployment_id == self.primary for start in decided.start)

    def is_settled(self) -> bool:
        here = [sim for sim in self.tasks if not (sim.leaving and sim.machine.lost)]
        if any(sim.leaving or sim.deployment_id != self.primary or sim.phase is not Phase.HEALTHY for sim in here):
            return False
        if self.daemon:
            wanted = sorted(machine.arn for machine in self.machines if not machine.draining and not machine.lost)
            return sorted(sim.machine.arn for sim in here if not sim.machine.lost) == wanted
        if len(here) != self.desired or any(sim.machine.draining or sim.machine.lost for sim in here):
            return False
        zones = {machine.zone for machine in self.machines if not machine.draining and not machine.lost}
        counts = Counter(dict.fromkeys(zones, 0)) + Counter()
        counts.update(dict.fromkeys(zones, 0))
        counts.update(sim.machine.zone for sim in here)
        return not self.balanced or max(counts.values()) - min(counts.values()) <= 1
