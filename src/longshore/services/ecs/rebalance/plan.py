"""Which tasks to move where, so that services lie as their strategies say and instances are used alike. Pure.

What is wrong with a cluster is a tuple of whole numbers, compared from the left: for each strategy of a service, in its order, how
unevenly its tasks are spread (sums of squares), or for binpack how little they are packed; and at the end how unevenly instances
are used. A move is made only if that tuple gets smaller by it, so no plan makes anything worse and every plan comes to an end.

A move starts before it stops: its new instance must have room while the old task still runs. Only tasks that serve, are not
protected and can stay where they are may be moved.
"""

from __future__ import annotations

from collections import Counter

import msgspec

#: strategies of a service that count, as ECS allows
LEVELS = 5
#: candidates looked at for each service and move: places in each of so many values of its first strategy (zones, say)
_VALUES, _PLACES = 12, 4
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
#: what changes, service, task, from, to
Choice = tuple[Delta, str, str, str, str]
_NOTHING: Delta = (0,) * (LEVELS + 1)


class _State:
    def __init__(self, world: World) -> None:
        self.hosts = {host.arn: host for host in world.hosts}
        self.free = {host.arn: list(host.free) for host in world.hosts}
        self.counts = {group.service_arn: Counter(group.counts) for group in world.groups}
        self.movable = {group.service_arn: {arn: list(tasks) for arn, tasks in group.movable.items()} for group in world.groups}
        self.values: dict[tuple[str, str], Counter[str]] = {}
        self._percent: dict[str, int] = {}
        #: field -> host ARN -> value; worked out once, since hosts do not change
        self._values: dict[str, dict[str, str]] = {}
        for group in world.groups:
            for kind, field in group.strategy:
                if kind == "spread":
                    tally = self.values.setdefault((group.service_arn, field), Counter())
                    for arn, count in group.counts.items():
                        tally[self.value(arn, field)] += count

    def value(self, arn: str, field: str) -> str:
        """What a host has of something that is spread over; hosts that are gone count as one."""
        known = self._values.get(field)
        if known is None:
            name = field.removeprefix("attribute:")
            by_instance, by_zone = field.lower() in ("instanceid", "host"), name == "ecs.availability-zone"
            known = {
                arn: arn if by_instance else host.zone if by_zone else host.attributes.get(name, "") for arn, host in self.hosts.items()
            }
            self._values[field] = known
        found = known.get(arn)
        if found is None:
            found = arn if field.lower() in ("instanceid", "host") else ""
        return found

    def used(self, arn: str, more: tuple[int, ...] = (0, 0), times: int = 1) -> int:
        """Percent of CPU or memory, whichever is more."""
        if not any(more):
            return self._used(arn)
        capacity, free = self.hosts[arn].capacity, self.free[arn]
        return max((100 * (capacity[n] - free[n] + times * more[n])) // capacity[n] if capacity[n] else 0 for n in (0, 1))

    def _used(self, arn: str) -> int:
        """Asked for every instance again and again, and worked out when something has changed there."""
        known = self._percent.get(arn)
        if known is None:
            capacity, free = self.hosts[arn].capacity, self.free[arn]
            known = max((100 * (capacity[n] - free[n])) // capacity[n] if capacity[n] else 0 for n in (0, 1))
            self._percent[arn] = known
        return known

    def move(self, group: Group, task_arn: str, start: str, end: str) -> None:
        self.counts[group.service_arn][start] -= 1
        self.counts[group.service_arn][end] += 1
        self.movable[group.service_arn][start].remove(task_arn)
        for kind, field in group.strategy:
            if kind == "spread":
                tally = self.values[group.service_arn, field]
                tally[self.value(start, field)] -= 1
                tally[self.value(end, field)] += 1
        self._percent.pop(start, None)
        self._percent.pop(end, None)
        for number, amount in enumerate(group.ask):
            self.free[end][number] -= amount
            if start in self.free:
                self.free[start][number] += amount


def plan(world: World, most_moves: int) -> Decided:
    """Each move is the best of its service, of the service that gains most as far as is known: a service is looked at again when
    its turn comes, and all of them before it is said that nothing is left."""
    state = _State(world)
    groups = {group.service_arn: group for group in sorted(world.groups, key=lambda one: one.service_arn)}
    moves: list[Wanted] = []
    known: dict[str, Choice] = {}
    fresh = False
    while len(moves) < most_moves:
        if not known:
            if fresh:
                break
            known = {arn: found for arn, group in groups.items() if (found := _best(state, group)) is not None}
            fresh = True
            continue
        supposed = min(known.values())
        group = groups[supposed[1]]
        found = _best(state, group)
        if found != supposed:
            # instances have changed since it was looked at
            known.pop(group.service_arn)
            if found is not None:
                known[group.service_arn] = found
            continue
        delta, _, task_arn, start, end = found
        moves.append(Wanted(task_arn, group.service_arn, start, end, _reason(state, group, delta, start, end)))
        state.move(group, task_arn, start, end)
        fresh = False
        known.pop(group.service_arn)
        if (after := _best(state, group)) is not None:
            known[group.service_arn] = after
    return Decided(
        tuple(moves),
        {arn: {host: count for host, count in sorted(counts.items()) if count} for arn, counts in state.counts.items()},
        {arn: (free[0], free[1], free[2], free[3]) for arn, free in state.free.items()},
    )


def _best(state: _State, group: Group) -> Choice | None:
    """The move of one of its tasks that makes most better; None where none does. A task that was moved stays where it is then."""
    counts = state.counts[group.service_arn]
    starts = [arn for arn, tasks in state.movable[group.service_arn].items() if tasks]
    if not starts:
        return None
    ends = [arn for arn in group.allowed if _fits(state, group, arn) and not (group.distinct and counts[arn])]
    sign = -1 if any(kind == "binpack" for kind, _ in group.strategy) else 1
    best: Choice | None = None
    for start in _picked(state, group, starts, -sign):
        for end in _picked(state, group, ends, sign):
            if start == end:
                continue
            delta = delta_of(state, group, start, end)
            if delta >= _NOTHING or not (any(delta[:LEVELS]) or delta[LEVELS] <= -_WORTHWHILE):
                continue
            choice = (delta, group.service_arn, state.movable[group.service_arn][start][0], start, end)
            if best is None or choice < best:
                best = choice
    return best


def _picked(state: _State, group: Group, arns: list[str], sign: int) -> list[str]:
    """Those worth a look: the emptiest places (`sign` 1) or the fullest (-1) in each of the emptiest or fullest zones, say."""
    ranked = sorted(([sign * rank for rank in ranks], arn) for ranks, arn in zip(_ranks(state, group, arns), arns, strict=True))
    kind, field = group.strategy[0] if group.strategy else ("", "")
    buckets: dict[str, list[str]] = {}
    for _, arn in ranked:
        bucket = buckets.setdefault(state.value(arn, field) if kind == "spread" else "", [])
        if len(bucket) < _PLACES or kind != "spread":
            bucket.append(arn)
    return [arn for bucket in list(buckets.values())[:_VALUES] for arn in bucket[: _PLACES if kind == "spread" else _VALUES * _PLACES]]


def _ranks(state: _State, group: Group, arns: list[str]) -> list[list[int]]:
    """How full each place is, by each strategy in turn and then by use."""
    counts = state.counts[group.service_arn]
    columns: list[list[int]] = []
    for kind, field in group.strategy:
        if kind == "spread":
            tally = state.values[group.service_arn, field]
            columns.append([tally[state.value(arn, field)] for arn in arns])
        else:
            columns.append([counts[arn] for arn in arns])
    columns.append([state.used(arn) if arn in state.hosts else 100 for arn in arns])
    return [list(ranks) for ranks in zip(*columns, strict=True)]


def _fits(state: _State, group: Group, arn: str) -> bool:
    free, ask = state.free.get(arn), group.ask
    return free is not None and ask[0] <= free[0] and ask[1] <= free[1] and ask[2] <= free[2] and ask[3] <= free[3]


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
