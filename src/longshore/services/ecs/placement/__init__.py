"""Where a task goes: a pure function of what it asks for and what every instance has left.

First the filters, in this order: ACTIVE, agent connected, attributes, CPU, memory, ports, placement constraints. An
instance that fails one is refused with that reason. Then the strategies, in the order they were given, each narrowing what
is left: `spread` to where the fewest tasks of the group are, `binpack` to where the least remains, `random` to one of them.
What ties is settled by the fewest tasks altogether and then by ARN, so the same question always has the same answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.cluster_query import Facts, matches, parse
from longshore.services.ecs.model import HostPort, Reservation

NO_INSTANCES = "No Container Instances were found in your cluster."
AGENT = "AGENT"
ATTRIBUTE = "ATTRIBUTE"
CPU = "RESOURCE:CPU"
MEMORY = "RESOURCE:MEMORY"
PORTS = "RESOURCE:PORTS"
PORTS_UDP = "RESOURCE:PORTS_UDP"
DISTINCT = "DistinctInstance placement constraint unsatisfied."
MEMBER_OF = "MemberOf placement constraint unsatisfied."
#: in the order in which they are found: who fails later was closer
_ORDER = (AGENT, ATTRIBUTE, CPU, MEMORY, PORTS, PORTS_UDP, DISTINCT, MEMBER_OF)

ZONE = "attribute:ecs.availability-zone"
DEFAULT_STRATEGY = (
    shapes.PlacementStrategy(type="spread", field=ZONE),
    shapes.PlacementStrategy(type="spread", field="instanceId"),
)
#: consecutive choices at random are this far apart
_STRIDE = 0.618033988749895


class PlacementRequest(msgspec.Struct, frozen=True):
    group: str
    reservation: Reservation
    #: names of attributes the instance must have
    required_attributes: tuple[str, ...] = ()
    constraints: tuple[shapes.PlacementConstraint, ...] = ()
    #: empty: spread over zones, then over instances
    strategy: tuple[shapes.PlacementStrategy, ...] = ()
    #: a random number in [0, 1), for the strategy `random`
    chance: float = 0.0


class Candidate(msgspec.Struct, frozen=True):
    """A container instance as placement sees it."""

    arn: str
    active: bool
    facts: Facts
    cpu_left: int
    memory_left: int
    #: of the ports that are asked for, those that are taken there
    busy: frozenset[HostPort] = frozenset()
    #: tasks of the same group on it
    of_group: int = 0
    #: all tasks on it
    tasks: int = 0


Fleet = tuple[Candidate, ...]


class Refusal(msgspec.Struct, frozen=True):
    instance_arn: str
    reason: str


class Placement(msgspec.Struct, frozen=True):
    """The instance chosen, or why there is none: one refusal for each ACTIVE instance, closest first."""

    instance_arn: str | None
    refusals: tuple[Refusal, ...] = ()

    @property
    def reason(self) -> str:
        """Why nothing was found, as the closest instance says it; empty when one was."""
        if self.instance_arn is not None:
            return ""
        return self.refusals[0].reason if self.refusals else NO_INSTANCES

    @property
    def closest(self) -> str | None:
        return self.refusals[0].instance_arn if self.refusals else None


def place(request: PlacementRequest, fleet: Fleet) -> Placement:
    return place_all(request, fleet, 1)[0]


def place_all(request: PlacementRequest, fleet: Fleet, count: int) -> tuple[Placement, ...]:
    """Places for `count` tasks alike, one after the other, each in the fleet that the ones before it left. Stops at the first refusal."""
    found: list[Placement] = []
    for number in range(count):
        turn = replace(request, chance=(request.chance + number * _STRIDE) % 1.0) if number else request
        placement = _place(turn, fleet)
        found.append(placement)
        if placement.instance_arn is None:
            break
        if number + 1 < count:
            fleet = tuple(_with_task(one, request) if one.arn == placement.instance_arn else one for one in fleet)
    return tuple(found)


def _place(request: PlacementRequest, fleet: Fleet) -> Placement:
    eligible: list[Candidate] = []
    refused: list[tuple[Candidate, str]] = []
    for candidate in fleet:
        if not candidate.active:
            continue
        reason = refusal(request, candidate)
        if reason is None:
            eligible.append(candidate)
        else:
            refused.append((candidate, reason))
    if eligible:
        return Placement(_choose(request, eligible, fleet).arn)
    refused.sort(key=lambda pair: (-_ORDER.index(pair[1]), -pair[0].cpu_left, -pair[0].memory_left, pair[0].arn))
    return Placement(None, tuple(Refusal(candidate.arn, reason) for candidate, reason in refused))


def _with_task(candidate: Candidate, request: PlacementRequest) -> Candidate:
    return replace(
        candidate,
        cpu_left=candidate.cpu_left - request.reservation.cpu,
        memory_left=candidate.memory_left - request.reservation.memory_mib,
        busy=candidate.busy.union(request.reservation.ports),
        of_group=candidate.of_group + 1,
        tasks=candidate.tasks + 1,
        facts=replace(candidate.facts, groups=lambda: candidate.facts.groups() | {request.group}),
    )


# ── filters ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def refusal(request: PlacementRequest, candidate: Candidate) -> str | None:
    """Why the task cannot go there; None when it can."""
    if not candidate.facts.agent_connected:
        return AGENT
    if any(name not in candidate.facts.attributes for name in request.required_attributes):
        return ATTRIBUTE
    if request.reservation.cpu > candidate.cpu_left:
        return CPU
    if request.reservation.memory_mib > candidate.memory_left:
        return MEMORY
    taken = candidate.busy.intersection(request.reservation.ports) if candidate.busy else ()
    if taken:
        return PORTS if any(port.protocol == "tcp" for port in taken) else PORTS_UDP
    for constraint in request.constraints:
        if constraint.type == "distinctInstance":
            if candidate.of_group:
                return DISTINCT
        elif not matches(parse(constraint.expression or ""), candidate.facts):
            return MEMBER_OF
    return None


# ── strategies ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _choose(request: PlacementRequest, eligible: list[Candidate], fleet: Fleet) -> Candidate:
    pool = eligible
    for strategy in request.strategy or DEFAULT_STRATEGY:
        if len(pool) == 1:
            break
        match strategy.type:
            case "spread":
                pool = _spread(pool, strategy.field or "", fleet)
            case "binpack":
                pool = _fullest(pool, strategy.field or "")
            case _:
                pool = [sorted(pool, key=lambda one: one.arn)[int(request.chance * len(pool))]]
    return min(pool, key=lambda one: (one.tasks, one.arn))


def _spread(pool: list[Candidate], field: str, fleet: Fleet) -> list[Candidate]:
    if field.lower() in ("instanceid", "host"):
        least = min(one.of_group for one in pool)
        return [one for one in pool if one.of_group == least]
    name = field.removeprefix("attribute:")
    per_value = _per_value(fleet, name)
    least = min(per_value[one.facts.attributes.get(name, "")] for one in pool)
    return [one for one in pool if per_value[one.facts.attributes.get(name, "")] == least]


def _per_value(fleet: Iterable[Candidate], name: str) -> Counter[str]:
    """Tasks of the group by the value that their instances have of an attribute; also on instances that take no more tasks."""
    counts: Counter[str] = Counter()
    for one in fleet:
        counts[one.facts.attributes.get(name, "")] += one.of_group
    return counts


def _fullest(pool: list[Candidate], field: str) -> list[Candidate]:
    if field.lower() == "cpu":
        least = min(one.cpu_left for one in pool)
        return [one for one in pool if one.cpu_left == least]
    least = min(one.memory_left for one in pool)
    return [one for one in pool if one.memory_left == least]


def required_names(attributes: Sequence[shapes.Attribute], launch_type: str = "EC2") -> tuple[str, ...]:
    """Of a definition's requiresAttributes: what a request asks for. EXTERNAL tasks go to instances that registered as external."""
    names = tuple(attribute.name for attribute in attributes)
    return (*names, "ecs.capability.external") if launch_type == "EXTERNAL" else names
