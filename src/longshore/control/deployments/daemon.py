"""DAEMON services: one task on every container instance that is ACTIVE and meets the constraints, and none anywhere else.

Placement strategies and a desired count mean nothing here: as many tasks are wanted as there are such instances. A new instance
gets its task, and one that is drained loses it last, when nothing but daemons is left there. A new deployment goes from instance
to instance within the same limits as a rolling update: where the ceiling leaves room (maximumPercent above 100) the new task is
started beside the old one, and elsewhere the old one stops first, as far as the floor allows.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from longshore.control.deployments.plan import (
    ELSEWHERE,
    PATIENCE,
    all_sound,
    break_off,
    breaks,
    diagnoses,
    dissolve,
    finished_rollouts,
    general_waits,
    has_others,
    patiently,
    serves,
)
from longshore.control.deployments.vocabulary import (
    Member,
    Phase,
    Plan,
    Rollout,
    Saying,
    Snapshot,
    StartTasks,
    Station,
    StopTask,
    earliest,
    scaling_reason,
    spoken,
)
from longshore.services.ecs import event_words

NO_LONGER = "Task stopped because its container instance does not meet the placement constraints of the service any more"


class _Rounds:
    """One look at all stations: what stops and what starts, within the floor and the ceiling."""

    def __init__(self, snapshot: Snapshot, primary: Rollout) -> None:
        self.primary = primary
        self.stop: list[StopTask] = []
        self.wanting: list[Station] = []
        self.stuck = False
        wanted = {station.arn for station in snapshot.stations or () if station.wanted}
        there = [member for member in snapshot.members if member.instance_arn in wanted]
        self._healthy = sum(1 for member in there if member.phase is Phase.HEALTHY)
        self._floor = snapshot.floor
        self._room = snapshot.ceiling - len(there)
        #: instances that may have a second task while the first is replaced; what a stopped task leaves is its own successor's
        crowded = Counter(member.instance_arn for member in there)
        self._beside = snapshot.ceiling - snapshot.desired - sum(count - 1 for count in crowded.values())

    def end(self, member: Member, reason: str, *, counted: bool = True) -> None:
        self.stop.append(StopTask(member.arn, reason))
        if counted:
            self._healthy -= member.phase is Phase.HEALTHY
            self._room += 1

    def may_end(self, member: Member) -> bool:
        if member.protected_until is not None and member.phase is not Phase.UNHEALTHY:
            return False
        return not serves(member) or self._healthy - (member.phase is Phase.HEALTHY) >= self._floor

    def tend(self, station: Station, members: list[Member]) -> None:
        """One wanted station: exactly one task of the primary deployment, and nothing else in the end."""
        fresh = [m for m in members if m.deployment_id == self.primary.id and m.phase is not Phase.UNHEALTHY]
        worn = [m for m in members if m.deployment_id != self.primary.id or m.phase is Phase.UNHEALTHY]
        keep = min(fresh, key=lambda m: (m.phase is not Phase.HEALTHY, m.created_at, m.arn), default=None)
        for member in fresh:
            if member is not keep and self.may_end(member):
                self.end(member, scaling_reason(member.deployment_id))
        has_room = self._beside > 0 and self._room > 0 and station.reachable and self.primary.state != "FAILED"
        starts_beside = keep is None and bool(worn) and has_room
        for member in worn:
            if keep is not None and keep.phase is not Phase.HEALTHY and serves(member):
                continue  # the new one is not there yet
            if starts_beside and member.phase is not Phase.STARTING:
                continue  # the new one comes first
            if self.primary.state == "FAILED" and member.deployment_id != self.primary.id:
                continue  # what still runs is better than nothing
            if self.may_end(member):
                self.end(member, _reason(member))
            elif keep is None:
                self.stuck = True
        is_empty = not members and not station.leaving
        if keep is None and (starts_beside or is_empty) and self._room > 0:
            self.wanting.append(station)
            self._beside -= starts_beside
            self._room -= 1


def plan(snapshot: Snapshot) -> Plan:
    primary = snapshot.primary
    if snapshot.deleted or primary is None:
        return dissolve(snapshot)
    if breaks(snapshot, primary):
        return break_off(snapshot, primary)
    rounds = _Rounds(snapshot, primary)
    by_station: dict[str, list[Member]] = defaultdict(list)
    for member in snapshot.members:
        by_station[member.instance_arn].append(member)
    stations = sorted(snapshot.stations or (), key=lambda s: (bool(by_station[s.arn]), s.arn))
    _leave_unwanted(stations, by_station, rounds)
    for station in stations:
        if station.wanted:
            rounds.tend(station, by_station[station.arn])
    start, again_at = _starts(snapshot, primary, rounds)
    retire = finished_rollouts(snapshot, rounds.stop)
    settled = not rounds.stop and not start and not again_at and _all_serve(snapshot, primary, by_station)
    others = has_others(snapshot, retire)
    complete = settled and primary.state == "IN_PROGRESS" and not others and all_sound(snapshot.members)
    steady = settled and not others and snapshot.leaving == 0 and (complete or primary.state != "IN_PROGRESS")
    sayings = _sayings(snapshot, primary, complete=complete, steady=steady, stuck=rounds.stuck and not rounds.stop and not start)
    speech = spoken(snapshot.told, sayings, snapshot.now, lasting=frozenset() if steady else ELSEWHERE)
    times = [again_at, *(time for m in snapshot.members for time in (m.warm_at, m.sound_at, m.grace_until, m.protected_until))]
    return Plan(
        start=tuple(start),
        stop=tuple(rounds.stop),
        retire=tuple(retire),
        complete=primary.id if complete else "",
        steady=None if steady == snapshot.steady else steady,
        tell=speech.tell,
        told=speech.told,
        waits=_waits(snapshot, primary, by_station, again_at),
        look_again_at=earliest(times, snapshot.now),
    )


def _leave_unwanted(stations: list[Station], by_station: dict[str, list[Member]], rounds: _Rounds) -> None:
    """A drained instance loses its daemon when all else is gone from it, any other that is not wanted any more at once."""
    known = {station.arn: station for station in stations}
    for arn, members in sorted(by_station.items()):
        station = known.get(arn)
        if station is not None and station.wanted:
            continue
        for member in members:
            protected = member.protected_until is not None and member.phase is not Phase.UNHEALTHY
            waits = station is not None and station.others > 0 and member.phase is not Phase.STARTING
            if not protected and not waits:
                rounds.end(member, (station.reason if station is not None else "") or NO_LONGER, counted=False)


def _waits(snapshot: Snapshot, primary: Rollout, by_station: dict[str, list[Member]], again_at: float | None) -> tuple[str, ...]:
    waits = general_waits(snapshot, primary, again_at)
    stations = snapshot.stations or ()
    held = sum(1 for station in stations if not station.wanted and station.others and by_station[station.arn])
    away = sum(1 for station in stations if station.wanted and not station.reachable)
    if held:
        waits.append(f"{held} drained instances still have other tasks, which go before their daemon")
    if away:
        waits.append(f"the agents of {away} instances are disconnected")
    return tuple(waits)


def _starts(snapshot: Snapshot, primary: Rollout, rounds: _Rounds) -> tuple[list[StartTasks], float | None]:
    wanting = [station for station in rounds.wanting if station.reachable]
    if not wanting or primary.state == "FAILED":
        return [], None
    count, ready_at = patiently(snapshot, primary, len(wanting))
    return [StartTasks(primary.id, 1, "one per instance", instance_arn=station.arn) for station in wanting[:count]], ready_at


def _reason(member: Member) -> str:
    if member.phase is Phase.UNHEALTHY:
        return member.complaint or "Task failed container health checks"
    return scaling_reason(member.deployment_id)


def _all_serve(snapshot: Snapshot, primary: Rollout, by_station: dict[str, list[Member]]) -> bool:
    wanted = {station.arn for station in snapshot.stations or () if station.wanted}
    elsewhere = any(members for arn, members in by_station.items() if arn not in wanted)
    each = (by_station[arn] for arn in wanted)
    return not elsewhere and all(len(m) == 1 and m[0].deployment_id == primary.id and serves(m[0]) for m in each)


def _sayings(snapshot: Snapshot, primary: Rollout, *, complete: bool, steady: bool, stuck: bool) -> list[Saying]:
    name = snapshot.service_name
    sayings: list[Saying] = []
    if complete:
        sayings.append(Saying(event_words.deployment_completed(name, primary.id)))
    if steady and not snapshot.steady:
        sayings.append(Saying(event_words.steady_state(name)))
    if primary.tally.failed_starts >= PATIENCE and primary.state != "FAILED":
        sayings.append(Saying(event_words.cannot_start_consistently(name), "failures"))
    waiting = snapshot.leaving or any(member.phase in (Phase.STARTING, Phase.WARMING) for member in snapshot.members)
    sayings += diagnoses(snapshot)
    held = [m for m in snapshot.members if m.protected_until is not None and m.deployment_id != primary.id]
    if held:
        sayings.append(Saying(event_words.under_protection(name, held[0].deployment_id, len(held)), f"protection:{held[0].deployment_id}"))
    elif stuck and not waiting:
        sayings.append(Saying(event_words.stuck(name), "configuration"))
    return sayings
