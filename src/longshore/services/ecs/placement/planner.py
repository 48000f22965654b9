"""Where a task goes: filters, then strategies, over the columns of a cluster.

First the filters, all instances at once: ACTIVE and of the capacity provider asked for (others are none of the request's
business), agent connected, attributes, zone, CPU, memory, GPUs, ports, network interfaces, placement constraints. Who fails one
is refused with that reason. Then the strategies in the order they were given, each narrowing what is left to those it likes
best: `spread` to where the fewest tasks of the group are, `binpack` to where the least remains, `random` to one of them. What
ties is settled by the fewest tasks altogether and then by ARN, so the same question always has the same answer, in whatever
order instances and tasks came.

A `Search` serves tasks alike, one after the other: the filters are asked once, and after that only of the instance that was
chosen last, which the caller has placed the task on meanwhile. Nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.cluster_query import parse
from longshore.services.ecs.model import ContainerInstance
from longshore.services.ecs.placement.columns import Columns, Mask
from longshore.services.ecs.placement.masks import Masks, by_name, is_lasting
from longshore.services.ecs.placement.request import (
    AGENT,
    ATTRIBUTE,
    CPU,
    DEFAULT_STRATEGY,
    DISTINCT,
    EMPTY_CAPACITY_PROVIDER,
    ENI,
    GPU,
    LOCATION,
    MEMBER_OF,
    MEMORY,
    NO_INSTANCES,
    PORTS,
    PORTS_UDP,
    REASONS,
    TASKS_THERE,
    Placement,
    PlacementRequest,
    Refusal,
    of_group,
)
from longshore.services.ecs.placement.tally import Indexes, Ints

#: refusals told one by one; of all others only how many there are
MOST_REFUSALS = 100
#: consecutive choices at random are this far apart
_STRIDE = 0.618033988749895
_MOST = np.int32(np.iinfo(np.int32).max)


class Search:
    def __init__(self, columns: Columns, masks: Masks, request: PlacementRequest) -> None:
        self.columns = columns
        self._masks = masks
        self.request = request
        self._fitting = self._who_fits()
        #: neither instances nor their capacity providers change while tasks are placed
        self._asked = int(np.count_nonzero(self.concerned()))
        self._last: int | None = None
        self._count = 0
        #: what each strategy found of the instance chosen last
        self.scores: tuple[int, ...] = ()

    def next(self) -> Placement:
        """The place of the next task, which its caller takes before it asks again."""
        if self._last is not None:
            self._fitting[self._last] = self._still_fits(self._last)
        fitting = int(np.count_nonzero(self._fitting))
        if not fitting:
            self._last, self.scores = None, ()
            return self._refused()
        row = self._last = self._choose()
        self._count += 1
        return Placement(self.columns.arns[row], self._asked, fitting)

    @property
    def row(self) -> int:
        """Of the instance chosen last."""
        assert self._last is not None
        return self._last

    def fitting(self) -> Mask:
        return self._fitting

    # ── filters ──

    def concerned(self) -> Mask:
        """Whom the request is about at all."""
        return concerned(self.columns, self._masks, self.request)

    def _who_fits(self) -> Mask:
        """A mask of its own. What instances are by themselves is asked in one, kept question."""
        columns, asks, request = self.columns, self.request.reservation, self.request
        fitting = lasting(self._masks, request) & (columns.cpu >= asks.cpu)
        fitting &= columns.memory >= asks.memory_mib
        if asks.gpus:
            fitting &= columns.gpus >= asks.gpus
        if asks.enis:
            fitting &= columns.enis >= asks.enis
        for port in asks.ports:
            if port in columns.ports:
                fitting &= columns.dense(columns.ports[port]) == 0
        for constraint in request.constraints:
            if constraint.type == "distinctInstance":
                if request.group in columns.groups:
                    fitting &= columns.dense(columns.groups[request.group]) == 0
            elif not is_lasting(query := parse(constraint.expression or "")):
                fitting &= self._masks.query(query)
        return fitting

    def _still_fits(self, row: int) -> bool:
        """Asked again of one instance, of which only its tasks have changed."""
        columns, asks, request = self.columns, self.request.reservation, self.request
        if columns.cpu[row] < asks.cpu or columns.memory[row] < asks.memory_mib:
            return False
        if (asks.gpus and columns.gpus[row] < asks.gpus) or (asks.enis and columns.enis[row] < asks.enis):
            return False
        if any(port in columns.ports and row in columns.ports[port].rows for port in asks.ports):
            return False
        for constraint in request.constraints:
            if constraint.type == "distinctInstance":
                if request.group in columns.groups and row in columns.groups[request.group].rows:
                    return False
            elif not is_lasting(query := parse(constraint.expression or "")) and not self._masks.query(query)[row]:
                return False
        return bool(self._fitting[row])

    # ── strategies ──

    def _choose(self) -> int:
        """Of those that fit, of which there are some, the one left when every strategy has chosen."""
        pool = self._fitting
        scores: list[int] = []
        for strategy in self.request.strategy or DEFAULT_STRATEGY:
            if strategy.type == "random":
                rows = self._in_order(pool)
                row = int(rows[int(self._chance() * len(rows))])
                self.scores = (*scores, 0)
                return row
            judged = judge(self.columns, self.request.group, strategy)
            pool, best = least(pool, judged)
            scores.append(best)
        self.scores = tuple(scores)
        if np.count_nonzero(pool) == 1:
            return int(pool.argmax())
        pool, _ = least(pool, self.columns.tasks)
        return int(_but_for_others(pool, self.columns.ranks()[1]).argmin())

    def _chance(self) -> float:
        return (self.request.chance + self._count * _STRIDE) % 1.0

    def _in_order(self, pool: Mask) -> Indexes:
        in_order = self.columns.ranks()[0]
        return in_order[pool[in_order]]

    # ── refusals ──

    def _refused(self) -> Placement:
        """Why each says no; the closest is who failed last, and then who has the most left."""
        columns = self.columns
        rows = np.flatnonzero(self.concerned())
        if not len(rows):
            empty = self.request.capacity_provider
            return Placement(None, nobody=EMPTY_CAPACITY_PROVIDER if empty else NO_INSTANCES)
        reasons = np.full(columns.size, len(REASONS), np.int64)
        for number, failing in reversed(list(failures(columns, self._masks, self.request))):
            reasons[failing] = number
        found = reasons[rows]
        order = np.lexsort((columns.ranks()[1][rows], -columns.memory[rows], -columns.cpu[rows], -found))
        counts = np.bincount(found, minlength=len(REASONS))
        return Placement(
            None,
            asked=len(rows),
            refusals=tuple(Refusal(columns.arns[rows[at]], REASONS[found[at]]) for at in order[:MOST_REFUSALS].tolist()),
            counts={reason: int(count) for reason, count in zip(REASONS, counts, strict=False) if count},
            details=self._details(),
        )

    def _details(self) -> frozenset[str]:
        found = set()
        for one in self.request.constraints:
            if one.type == "distinctInstance":
                found.add(of_group(self.request.group))
            elif not is_lasting(parse(one.expression or "")):
                found.add(TASKS_THERE)
        return frozenset(found)


# ── filters ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def concerned(columns: Columns, masks: Masks, request: PlacementRequest) -> Mask:
    provider = request.capacity_provider
    if not provider:
        return columns.active
    return columns.active & masks.own(("provider", provider), lambda instance: instance.capacity_provider == provider)


def lasting(masks: Masks, request: PlacementRequest) -> Mask:
    """Who passes all that depends on instances' own facts; not to be written to."""
    queries = tuple(query for one in request.constraints if one.type == "memberOf" and is_lasting(query := parse(one.expression or "")))

    def passes(instance: ContainerInstance) -> bool:
        return (
            instance.status == "ACTIVE"
            and request.capacity_provider in ("", instance.capacity_provider)
            and instance.agent_connected
            and has_attributes(request, instance)
            and in_zone(request, instance)
            and all(masks.asked_of(query, instance) for query in queries)
        )

    return masks.own(("lasting", request.capacity_provider, request.required_attributes, request.zones, queries), passes)


def has_attributes(request: PlacementRequest, instance: ContainerInstance) -> bool:
    return not missing_attributes(request, instance)


def missing_attributes(request: PlacementRequest, instance: ContainerInstance) -> tuple[str, ...]:
    """`name` or, where its value is asked for, `name=value`."""
    has = by_name(instance)
    return tuple(
        f"{name}={value}" if value else name
        for name, value in request.required_attributes
        if name not in has or (value and has[name] != value)
    )


def in_zone(request: PlacementRequest, instance: ContainerInstance) -> bool:
    return not request.zones or instance.availability_zone in request.zones


def failures(columns: Columns, masks: Masks, request: PlacementRequest) -> Iterator[tuple[int, Mask]]:
    """Each filter, by its number in REASONS, with the rows that fail it; in the order in which they are asked."""
    asks = request.reservation
    yield REASONS.index(AGENT), ~columns.connected
    if request.required_attributes:
        has = masks.own(("attributes", request.required_attributes), lambda instance: has_attributes(request, instance))
        yield REASONS.index(ATTRIBUTE), ~has
    if request.zones:
        yield REASONS.index(LOCATION), ~masks.own(("zones", request.zones), lambda instance: in_zone(request, instance))
    yield REASONS.index(CPU), columns.cpu < asks.cpu
    yield REASONS.index(MEMORY), columns.memory < asks.memory_mib
    if asks.gpus:
        yield REASONS.index(GPU), columns.gpus < asks.gpus
    for reason, protocol in ((PORTS, "tcp"), (PORTS_UDP, "udp")):
        taken = [columns.ports[port] for port in asks.ports if port.protocol == protocol and port in columns.ports]
        for tally in taken:
            yield REASONS.index(reason), columns.dense(tally) > 0
    if asks.enis:
        yield REASONS.index(ENI), columns.enis < asks.enis
    if any(one.type == "distinctInstance" for one in request.constraints):
        yield REASONS.index(DISTINCT), columns.dense(columns.groups.get(request.group)) > 0
    for one in request.constraints:
        if one.type == "memberOf":
            yield REASONS.index(MEMBER_OF), ~masks.query(parse(one.expression or ""))


# ── strategies ──────────────────────────────────────────────────────────────────────────────────────────────────────


def judge(columns: Columns, group: str, strategy: shapes.PlacementStrategy) -> Ints:
    """What a strategy other than random thinks of each row; the least is best."""
    field = strategy.field or ""
    if strategy.type == "binpack":
        return columns.cpu if field.lower() == "cpu" else columns.memory
    tally = columns.groups.get(group)
    if is_instance(field):
        return columns.dense(tally)
    name = field.removeprefix("attribute:")
    sums = columns.sums(tally, name)
    return sums[columns.attribute(name).codes]


def is_instance(field: str) -> bool:
    return field.lower() in ("instanceid", "host")


def least(pool: Mask, judged: Ints) -> tuple[Mask, int]:
    """Those of a pool that are judged best, and how. The pool is not empty, and nobody in it is judged less than 0."""
    among = _but_for_others(pool, judged)
    best = np.minimum.reduce(among)
    return among == best, int(best)


def _but_for_others(pool: Mask, judged: Ints) -> Ints:
    """`judged`, with the most there is for those outside of the pool. A product costs a third of what choosing one by one does."""
    return np.maximum(judged, np.multiply(~pool, _MOST))


def strategies_of(request: PlacementRequest) -> Sequence[shapes.PlacementStrategy]:
    return request.strategy or DEFAULT_STRATEGY
