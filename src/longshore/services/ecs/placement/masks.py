"""The cluster query language asked of all instances at once: which rows an expression means.

What an instance is by itself (its attributes, id, versions, registration) is asked of it once per comparison, and again only
when the instance has changed. What changes with every task (task:group, runningTasksCount) is read off the columns each time.
The answers are those of `cluster_query.matches`, row by row.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from longshore.services.ecs.cluster_query import Comparison, Every, Facts, Query, Some, compare, group_matches, matches
from longshore.services.ecs.model import ContainerInstance
from longshore.services.ecs.placement.columns import Columns, Mask

#: answers kept per cluster; whoever may run tasks may ask anything
MOST_KEPT = 256


class Kept:
    """Which rows satisfy something that is the instances' own, as of an epoch."""

    __slots__ = ("epoch", "mask")

    def __init__(self, size: int) -> None:
        self.mask: Mask = np.zeros(size, np.bool_)
        self.epoch = -1


class Masks:
    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._kept: dict[object, Kept] = {}

    def query(self, query: Query) -> Mask:
        """Rows that no instance has any more may say anything."""
        match query:
            case Some(operands):
                return reduce(np.logical_or, map(self.query, operands))
            case Every(operands):
                return reduce(np.logical_and, map(self.query, operands))
            case Comparison(subject):
                if subject == "task:group":
                    return self._of_groups(query)
                if subject == "runningTasksCount":
                    return self._of_running(query)
                return self.own(query, lambda instance: self.asked_of(query, instance))
            case _:
                return np.logical_not(self.query(query.operand))

    def asked_of(self, query: Query, instance: ContainerInstance) -> bool:
        """A lasting question (see below), of one instance."""
        return matches(query, own_facts(instance))

    def own(self, key: object, asks: Callable[[ContainerInstance], bool]) -> Mask:
        """The answers to a question about an instance's own facts; `key` stands for the question."""
        columns = self._columns
        kept = self._kept.pop(key, None)
        if kept is None or len(kept.mask) != columns.size:
            kept = Kept(columns.size)
        self._kept[key] = kept
        if len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        if kept.epoch != columns.epoch:
            for row in np.flatnonzero(columns.changed_at > kept.epoch).tolist():
                instance = columns.instances[row]
                kept.mask[row] = instance is not None and asks(instance)
            kept.epoch = columns.epoch
        return kept.mask

    def _of_groups(self, query: Comparison) -> Mask:
        columns = self._columns
        if query.operator in ("exists", "!exists"):
            some: Mask = columns.tasks > 0
            return some if query.operator == "exists" else ~some
        found: Mask = np.zeros(columns.size, np.bool_)
        positive = not query.operator.startswith("!")
        if query.operator in ("==", "in", "!=", "!in"):
            groups = [group for group in dict.fromkeys(query.arguments) if group in columns.groups]
        else:
            groups = [group for group in columns.groups if group_matches(query, group)]
        for group in groups:
            found[list(columns.groups[group].rows)] = True
        return found if positive else ~found

    def _of_running(self, query: Comparison) -> Mask:
        """Each distinct count is asked once."""
        counts, which = np.unique(self._columns.running, return_inverse=True)
        answers = np.fromiter((compare(str(count), query) for count in counts.tolist()), np.bool_, len(counts))
        return answers[which]


def is_lasting(query: Query) -> bool:
    """The answer changes with an instance's own facts only, not with tasks."""
    match query:
        case Some(operands) | Every(operands):
            return all(is_lasting(operand) for operand in operands)
        case Comparison(subject):
            return subject not in ("task:group", "runningTasksCount")
        case _:
            return is_lasting(query.operand)


def own_facts(instance: ContainerInstance) -> Facts:
    """Without what tasks make of it."""
    return Facts(
        agent_connected=instance.agent_connected,
        agent_version=instance.agent_version,
        ec2_instance_id=instance.ec2_instance_id,
        registered_at=instance.registered_at,
        running_tasks_count=0,
        attributes=by_name(instance),
        groups=frozenset,
    )


#: instance ARN -> its attributes as they are kept, and the same by name: an agent names some fifty, and seldom changes them
_named: dict[str, tuple[object, dict[str, str]]] = {}
_MOST_NAMED = 20_000


def by_name(instance: ContainerInstance) -> dict[str, str]:
    """Worked out once for as long as the instance's attributes are the very same tuple."""
    known = _named.get(instance.arn)
    if known is not None and known[0] is instance.attributes:
        return known[1]
    if len(_named) >= _MOST_NAMED:
        _named.clear()
    named = {attribute.name: attribute.value for attribute in instance.attributes}
    _named[instance.arn] = (instance.attributes, named)
    return named
