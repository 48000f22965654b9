"""Which tasks to move where, so that services lie as their strategies say and instances are used alike. Pure.

What is wrong with a cluster is a tuple of whole numbers, compared from the left: for each strategy of a service, in its order, how
unevenly its tasks are spread (sums of squares), or for binpack how little they are packed; and at the end how unevenly instances
are used. A move is made only if that tuple gets smaller by it, so no plan makes anything worse and every plan comes to an end.

A move starts before it stops: its new instance must have room while the old task still runs. Only tasks that serve, are not
protected and can stay where they are may be moved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

#: strategies of a service that count, as ECS allows
LEVELS = 5
#: candidates looked at for each service and move: the worst places to be and the best to go to
_WORST, _BEST = 24, 48
#: a move that only evens out use must be worth this much (percent points squared)
_WORTHWHILE = 400


class Host(msgspec.Struct, frozen=True):
    """A container instance that takes tasks."""

    arn: str
    zone: str
    #: CPU units, MiB, GPUs, network interfaces
    free: tuple[int, int, int, int]
    capacity: tuple[int, int, int, int]
    attributes: dict[str, str] = {}


class Group(msgspec.Struct, frozen=True):
    """A service whose tasks may be moved, and where they are."""

    service_arn: str
    name: str
    ask: tuple[int, int, int, int]
    #: (type, field) of its strategies: spread or binpack; the default of services where it has none
    strategy: tuple[tuple[str, str], ...]
    #: host ARN -> tasks there that count, movable or not
    counts: dict[str, int]
    #: host ARN -> those that may be moved, in the order in which they would be
    movable: dict[str, tuple[str, ...]]
    #: hosts that constraints, attributes and ports allow
    allowed: frozenset[str]
    #: at most one on each host
    distinct: bool = False


class World(msgspec.Struct, frozen=True):
    hosts: tuple[Host, ...]
    groups: tuple[Group, ...]


class Wanted(msgspec.Struct, frozen=True):
    """A move, decided and not made."""

    task_arn: str
    service_arn: str
    from_arn: str
    to_arn: str
    reason: str


class Decided(msgspec.Struct, frozen=True):
    moves: tuple[Wanted, ...]
    #: service ARN -> host ARN -> tasks, when all are made
    counts: dict[str, dict[str, int]]
    #: host ARN -> what is free then
    free: dict[str, tuple[int, int, int, int]]


Delta = tuple[int, ...]


class _State:
    def __init__(self, world: World) -> None:
        self.hosts = {host.arn: host for host in world.hosts}
        self.free = {host.arn: list(host.free) for host in world.hosts}
        self.counts = {group.service_arn: Counter(group.counts) for group in world.groups}
        self.movable = {group.service_arn: {arn: list(tasks) for arn, tasks in group.movable.items()} for group in world.groups}
        self.values: dict[tuple[str, str], Counter[str]] = {}
        for group in world.groups:
            for kind, field in group.strategy:
                if kind == "spread":
                    tally = self.values.setdefault((group.service_arn, field), Counter())
                    for arn, count in group.counts.items():
                        tally[self.value(arn, field)] += count

    def value(self, arn: str, field: str) -> str:
        """What a host has of something that is spread over; hosts that are gone count as one."""
        host = self.hosts.get(arn)
        if field.lower() in ("instanceid", "host"):
            return arn
        name = field.removeprefix("attribute:")
        if host is None:
            return ""
        return host.zone if name == "ecs.availability-zone" else host.attributes.get(name, "")

    def used(self, arn: str, more: tuple[int, ...] = (0, 0), times: int = 1) -> int:
        """Percent of CPU or memory, whichever is more."""
        capacity, free = self.hosts[arn].capacity, self.free[arn]
        return max((100 * (capacity[n] - free[n] + times * more[n])) // capacity[n] if capacity[n] else 0 for n in (0, 1))

    def move(self, group: Group, task_arn: str, start: str, end: str) -> None:
        self.counts[group.service_arn][start] -= 1
        self.counts[group.service_arn][end] += 1
        self.movable[group.service_arn][start].remove(task_arn)
        for kind, field in group.strategy:
            if kind == "spread":
                tally = self.values[group.service_arn, field]
                tally[self.value(start, field)] -= 1
                tally[self.value(end, field)] += 1
        for number, amount in enumerate(group.ask):
            self.free[end][number] -= amount
            if start in self.free:
                self.free[start][number] += amount


def plan(world: World, most_moves: int) -> Decided:
    state = _State(world)
    moves: list[Wanted] = []
    moved: set[str] = set()
    while len(moves) < most_moves:
        best: tuple[Delta, str, str, str, str] | None = None
        chosen: Group | None = None
        for group in world.groups:
            for delta, task_arn, start, end in _candidates(state, group, moved):
                key = (delta, group.service_arn, task_arn, start, end)
                if best is None or key < best:
                    best, chosen = key, group
        if best is None or chosen is None:
            break
        delta, _, task_arn, start, end = best
        reason = _reason(state, chosen, delta, start, end)
        state.move(chosen, task_arn, start, end)
        moved.add(task_arn)
        moves.append(Wanted(task_arn, chosen.service_arn, start, end, reason))
    return Decided(
        tuple(moves),
        {arn: {host: count for host, count in sorted(counts.items()) if count} for arn, counts in state.counts.items()},
        {arn: (free[0], free[1], free[2], free[3]) for arn, free in state.free.items()},
    )


def _candidates(state: _State, group: Group, moved: set[str]) -> Iterator[tuple[Delta, str, str, str]]:
    """(what changes, task, from, to) of moves that make something better; a task is moved once."""
    counts = state.counts[group.service_arn]
    starts = [
        (arn, next(task for task in tasks if task not in moved))
        for arn, tasks in state.movable[group.service_arn].items()
        if any(task not in moved for task in tasks)
    ]
    ends = [arn for arn in group.allowed if _fits(state, group, arn) and not (group.distinct and counts[arn])]
    packs = any(kind == "binpack" for kind, _ in group.strategy)
    sign = -1 if packs else 1
    starts.sort(key=lambda one: (*(-sign * rank for rank in _ranks(state, group, one[0])), one[0]))
    ends.sort(key=lambda arn: (*(sign * rank for rank in _ranks(state, group, arn)), arn))
    for start, task_arn in starts[:_WORST]:
        for end in ends[:_BEST]:
            if start == end:
                continue
            delta = delta_of(state, group, start, end)
            if delta < (0,) * (LEVELS + 1) and (any(delta[:LEVELS]) or delta[LEVELS] <= -_WORTHWHILE):
                yield delta, task_arn, start, end


def _ranks(state: _State, group: Group, arn: str) -> tuple[int, ...]:
    """How full a place is, by each strategy in turn and then by use."""
    ranks = [
        state.values[group.service_arn, field][state.value(arn, field)] if kind == "spread" else state.counts[group.service_arn][arn]
        for kind, field in group.strategy
    ]
    return (*ranks, state.used(arn) if arn in state.hosts else 100)


def _fits(state: _State, group: Group, arn: str) -> bool:
    free = state.free.get(arn)
    return free is not None and all(amount <= left for amount, left in zip(group.ask, free, strict=True))


def delta_of(state: _State, group: Group, start: str, end: str) -> Delta:
    """What a move does to the tuple: less is better."""
    delta = [0] * (LEVELS + 1)
    for level, (kind, field) in enumerate(group.strategy[:LEVELS]):
        if kind == "spread":
            tally = state.values[group.service_arn, field]
            before, after = state.value(start, field), state.value(end, field)
            # of n² and m², with one less and one more
            delta[level] = 0 if before == after else 2 * (tally[after] - tally[before] + 1)
        elif kind == "binpack":
            counts = state.counts[group.service_arn]
            delta[level] = -2 * (counts[end] - counts[start] + 1)
    if not any(kind == "binpack" for kind, _ in group.strategy):
        delta[LEVELS] = state.used(end, group.ask) ** 2 - state.used(end) ** 2
        if start in state.hosts:
            delta[LEVELS] += state.used(start, group.ask, -1) ** 2 - state.used(start) ** 2
    return tuple(delta)


def cost(world: World, counts: dict[str, dict[str, int]], free: dict[str, tuple[int, int, int, int]]) -> Delta:
    """The whole tuple, worked out anew: what every move makes smaller."""
    total = [0] * (LEVELS + 1)
    state = _State(world)
    for group in world.groups:
        there = counts.get(group.service_arn, {})
        for level, (kind, field) in enumerate(group.strategy[:LEVELS]):
            if kind == "spread":
                tally: Counter[str] = Counter()
                for arn, count in there.items():
                    tally[state.value(arn, field)] += count
                total[level] += sum(count * count for count in tally.values())
            elif kind == "binpack":
                total[level] -= sum(count * count for count in there.values())
    for host in world.hosts:
        left = free[host.arn]
        total[LEVELS] += max((100 * (host.capacity[n] - left[n])) // host.capacity[n] if host.capacity[n] else 0 for n in (0, 1)) ** 2
    return tuple(total)


def _reason(state: _State, group: Group, delta: Delta, start: str, end: str) -> str:
    """In words: by which strategy it is better."""
    for level, (kind, field) in enumerate(group.strategy[:LEVELS]):
        if not delta[level]:
            continue
        if kind == "binpack":
            return f"packs {group.name} onto fewer instances"
        tally = state.values[group.service_arn, field]
        before, after = state.value(start, field), state.value(end, field)
        if field.lower() in ("instanceid", "host"):
            return f"{tally[before]} of {group.name} on one instance, {tally[after]} on the other"
        return f"{tally[before]} of {group.name} in {before or 'no zone'}, {tally[after]} in {after}"
    used = state.used(start) if start in state.hosts else 100
    return f"{used} % used there, {state.used(end)} % here"
