"""Why a task would go where it would go: every instance's verdict on each resource, constraint and strategy.

It comes out of the very filters and strategies that place tasks, asked one by one, over columns of its own in which the tasks
asked about are then placed one after the other. Pure, and the columns given to it are changed: they are to be a copy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from longshore.aws.shapes.ecs import PlacementStrategy
from longshore.services.ecs import event_words
from longshore.services.ecs.cluster_query import parse
from longshore.services.ecs.model import ContainerInstance
from longshore.services.ecs.placement import shapes
from longshore.services.ecs.placement.columns import Columns, Held, Mask
from longshore.services.ecs.placement.masks import Masks
from longshore.services.ecs.placement.planner import Search, failures, is_instance, judge, least, missing_attributes, strategies_of
from longshore.services.ecs.placement.request import REASONS, Placement, PlacementRequest
from longshore.services.ecs.placement.tally import Ints

OTHER_PROVIDER = "CAPACITY_PROVIDER"


class Explained:
    def __init__(self, columns: Columns, request: PlacementRequest, count: int) -> None:
        self._columns = columns
        self._request = request
        self._masks = Masks(columns)
        search = Search(columns, self._masks, request)
        self._concerned = search.concerned().copy()
        self._fitting = search.fitting().copy()
        self._failures = [(number, failing.copy()) for number, failing in failures(columns, self._masks, request)]
        self._constraints = [(one, self._satisfying(one.type, one.expression)) for one in request.constraints]
        self._left = {name: getattr(columns, name).copy() for name in ("cpu", "memory", "gpus", "enis", "tasks")}
        self._free_ports = {
            (port.port, port.protocol): columns.dense(columns.ports[port]) == 0
            for port in request.reservation.ports
            if port in columns.ports
        }
        self._of_group = columns.dense(columns.groups.get(request.group)).copy()
        first = search.next()
        self._strategies = self._judged(search.row if first.instance_arn is not None else None)
        self._ranks = self._ranked()
        #: where the tasks asked about would go, in turn, and why there are no more of them
        self.placements: list[str] = []
        self.refused: Placement | None = None
        self._place(search, first, count)
        self._taken = Counter(self.placements)

    def _place(self, search: Search, first: Placement, count: int) -> None:
        placement = first
        for number in range(count):
            if number:
                placement = search.next()
            if placement.instance_arn is None:
                self.refused = placement
                return
            self.placements.append(placement.instance_arn)
            wants = self._request.reservation
            self._columns.task_moved(None, Held(placement.instance_arn, wants, self._request.group, wants.ports, False))

    def _satisfying(self, type_: str | None, expression: str | None) -> Mask:
        if type_ == "distinctInstance":
            alone: Mask = self._columns.dense(self._columns.groups.get(self._request.group)) == 0
            return alone
        return self._masks.query(parse(expression or "")).copy()

    # ── strategies ──

    def _judged(self, chosen: int | None) -> list[tuple[PlacementStrategy, Ints, int, Mask]]:
        """Each strategy with what it thinks of every row, the best of those it had to choose from, and those it kept."""
        found = []
        pool = self._fitting
        for strategy in strategies_of(self._request):
            if not pool.any():
                break
            if strategy.type == "random":
                score = np.ones(self._columns.size, np.int32)
                score[chosen] = 0
            else:
                score = judge(self._columns, self._request.group, strategy).copy()
            pool, best = least(pool, score)
            found.append((strategy, score, best, pool))
        return found

    def _ranked(self) -> dict[int, int]:
        """Row -> 1 for the best, and so on, of those that fit."""
        rows = np.flatnonzero(self._fitting)
        if not len(rows):
            return {}
        scores = [score[rows] for _, score, _, _ in reversed(self._strategies)]
        order = np.lexsort(np.stack([self._columns.ranks()[1][rows], self._columns.tasks[rows], *scores]))
        return {row: rank for rank, row in enumerate(rows[order].tolist(), start=1)}

    # ── instances ──

    def instances(self, most: int) -> tuple[list[shapes.ExplainedInstance], int]:
        """The best first, then those that were closest to fitting; and how many are left out."""
        columns = self._columns
        rows = [row for row in columns.row_of.values() if columns.instances[row] is not None]
        closeness = np.full(columns.size, len(REASONS), np.int64)
        for number, failing in reversed(self._failures):
            closeness[failing] = number

        def order(row: int) -> tuple[int, bool, int, int, int, str]:
            rank = self._ranks.get(row, len(rows) + 1)
            left = (-int(self._left["cpu"][row]), -int(self._left["memory"][row]))
            return (rank, not self._concerned[row], -int(closeness[row]), *left, columns.arns[row])

        rows.sort(key=order)
        return [self._instance(row) for row in rows[:most]], max(0, len(rows) - most)

    def _instance(self, row: int) -> shapes.ExplainedInstance:
        instance = self._columns.instances[row]
        assert instance is not None
        taken = self._taken[instance.arn]
        fits = bool(self._fitting[row])
        return shapes.ExplainedInstance(
            container_instance_arn=instance.arn,
            ec2_instance_id=instance.ec2_instance_id,
            availability_zone=instance.availability_zone,
            status=instance.status,
            agent_connected=instance.agent_connected,
            capacity_provider=instance.capacity_provider,
            verdict="CHOSEN" if taken else "FITS" if fits else "REFUSED",
            reasons=() if fits else self._reasons(row, instance),
            resources=tuple(self._resources(row, instance)),
            ports=tuple(self._port(row, port, protocol) for port, protocol in _ports(self._request)),
            missing_attributes=missing_attributes(self._request, instance),
            constraints=tuple(
                shapes.ConstraintVerdict(type=one.type or "", expression=one.expression, satisfied=bool(mask[row]))
                for one, mask in self._constraints
            ),
            scores=tuple(self._scores(row)) if fits else (),
            rank=self._ranks.get(row),
            tasks_placed=taken,
            tasks_of_group=int(self._of_group[row]),
            tasks=int(self._left["tasks"][row]),
        )

    def _reasons(self, row: int, instance: ContainerInstance) -> tuple[str, ...]:
        found = [REASONS[number] for number, failing in self._failures if failing[row]]
        if self._request.capacity_provider not in ("", instance.capacity_provider):
            found.insert(0, OTHER_PROVIDER)
        if instance.status != "ACTIVE":
            found.insert(0, instance.status)
        return tuple(dict.fromkeys(found))

    def _resources(self, row: int, instance: ContainerInstance) -> Sequence[shapes.ResourceVerdict]:
        wants, capacity = self._request.reservation, instance.capacity
        all_of_them = (
            ("CPU", wants.cpu, "cpu", capacity.cpu),
            ("MEMORY", wants.memory_mib, "memory", capacity.memory_mib),
            ("GPU", wants.gpus, "gpus", len(capacity.gpus)),
            ("ENI", wants.enis, "enis", capacity.enis),
        )
        return [
            shapes.ResourceVerdict(
                name=name,
                asked=asked,
                free=int(self._left[column][row]),
                registered=registered,
                fits=bool(asked <= self._left[column][row]),
            )
            for name, asked, column, registered in all_of_them
            if asked or name in ("CPU", "MEMORY")
        ]

    def _port(self, row: int, port: int, protocol: str) -> shapes.Port:
        free = self._free_ports.get((port, protocol))
        return shapes.Port(port=port, protocol=protocol, free=free is None or bool(free[row]))

    def _scores(self, row: int) -> list[shapes.Score]:
        """Up to the strategy that left the instance out."""
        found: list[shapes.Score] = []
        for strategy, score, best, kept in self._strategies:
            value = None
            if strategy.type == "spread" and not is_instance(strategy.field or ""):
                values = self._columns.attribute((strategy.field or "").removeprefix("attribute:"))
                value = values.texts[values.codes[row]]
            one = shapes.Score(
                type=strategy.type or "", field=strategy.field, value=value, score=int(score[row]), best=best, kept=bool(kept[row])
            )
            found.append(one)
            if not one.kept:
                break
        return found


def _ports(request: PlacementRequest) -> list[tuple[int, str]]:
    return [(port.port, port.protocol) for port in request.reservation.ports]


def sentence(refused: Placement) -> str:
    """As a service's event says it."""
    if refused.closest is None:
        return refused.reason
    return event_words.closest_instance(refused.closest, refused.reason)
