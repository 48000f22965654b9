"""Placement as slowly and obviously as can be: one instance after the other, one rule after the other. The planner is to agree with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.cluster_query import Facts, matches, parse
from longshore.services.ecs.model import ContainerInstance, HostPort, Task
from longshore.services.ecs.placement.ports import held_ports
from longshore.services.ecs.placement.request import DEFAULT_STRATEGY, REASONS, PlacementRequest

STRIDE = 0.618033988749895


@dataclass
class Site:
    """An instance and the tasks on it that have not stopped."""

    instance: ContainerInstance
    tasks: list[Task] = field(default_factory=list)

    @property
    def attributes(self) -> dict[str, str]:
        return {attribute.name: attribute.value for attribute in self.instance.attributes}

    def left(self, what: str) -> int:
        capacity = self.instance.capacity
        offered = {"cpu": capacity.cpu, "memory_mib": capacity.memory_mib, "gpus": len(capacity.gpus), "enis": capacity.enis}[what]
        return offered - sum(getattr(task.spec.reservation, what) for task in self.tasks)

    @property
    def busy(self) -> set[HostPort]:
        capacity = self.instance.capacity
        taken = {HostPort(port) for port in capacity.reserved_ports} | {HostPort(port, "udp") for port in capacity.reserved_ports_udp}
        return taken.union(*(held_ports(task) for task in self.tasks))

    def of_group(self, group: str) -> int:
        return sum(task.spec.group == group for task in self.tasks)

    def satisfies(self, expression: str) -> bool:
        one = self.instance
        running = sum(task.last_status == "RUNNING" for task in self.tasks)
        groups = frozenset(task.spec.group for task in self.tasks)
        return matches(
            parse(expression),
            Facts(one.agent_connected, one.agent_version, one.ec2_instance_id, one.registered_at, running, self.attributes, lambda: groups),
        )


def sites_of(instances: Iterable[ContainerInstance], tasks: Iterable[Task]) -> list[Site]:
    there = list(tasks)
    return [
        Site(one, [task for task in there if task.container_instance_arn == one.arn and not task.is_stopped])
        for one in instances
        if one.status != "INACTIVE"
    ]


def asked(request: PlacementRequest, sites: list[Site]) -> list[Site]:
    return [
        site for site in sites if site.instance.status == "ACTIVE" and request.capacity_provider in ("", site.instance.capacity_provider)
    ]


def refusals(request: PlacementRequest, site: Site) -> list[str]:
    """Everything that keeps the task away, in the order in which placement asks."""
    wants, found = request.reservation, []
    if not site.instance.agent_connected:
        found.append("AGENT")
    if any(site.attributes.get(name) is None or (value and site.attributes[name] != value) for name, value in request.required_attributes):
        found.append("ATTRIBUTE")
    if request.zones and site.instance.availability_zone not in request.zones:
        found.append("LOCATION")
    for what, reason in (("cpu", "RESOURCE:CPU"), ("memory_mib", "RESOURCE:MEMORY"), ("gpus", "RESOURCE:GPU")):
        # what nobody asks for, nobody lacks, even where an instance has come to have less of it than its tasks hold
        if getattr(wants, what) > site.left(what) and (wants.gpus or what != "gpus"):
            found.append(reason)
    for protocol, reason in (("tcp", "RESOURCE:PORTS"), ("udp", "RESOURCE:PORTS_UDP")):
        if any(port.protocol == protocol for port in site.busy.intersection(wants.ports)):
            found.append(reason)
    if wants.enis > max(site.left("enis"), 0):
        found.append("RESOURCE:ENI")
    if any(one.type == "distinctInstance" for one in request.constraints) and site.of_group(request.group):
        found.append("DistinctInstance placement constraint unsatisfied.")
    if not all(site.satisfies(one.expression or "") for one in request.constraints if one.type == "memberOf"):
        found.append("MemberOf placement constraint unsatisfied.")
    assert found == sorted(found, key=REASONS.index)
    return found


def choose(request: PlacementRequest, sites: list[Site], number: int) -> Site | None:
    """The place of the `number`th (from 0) of some tasks alike, those before it being there already."""
    pool = [site for site in asked(request, sites) if not refusals(request, site)]
    for strategy in request.strategy or DEFAULT_STRATEGY:
        if not pool:
            return None
        if strategy.type == "random":
            chance = (request.chance + number * STRIDE) % 1.0
            return sorted(pool, key=lambda site: site.instance.arn)[int(chance * len(pool))]
        best = min(score(request, strategy, site, sites) for site in pool)
        pool = [site for site in pool if score(request, strategy, site, sites) == best]
    return min(pool, key=lambda site: (len(site.tasks), site.instance.arn), default=None)


def score(request: PlacementRequest, strategy: shapes.PlacementStrategy, site: Site, sites: list[Site]) -> int:
    chosen = (strategy.field or "").lower()
    if strategy.type == "binpack":
        return site.left("cpu" if chosen == "cpu" else "memory_mib")
    if chosen in ("instanceid", "host"):
        return site.of_group(request.group)
    name = (strategy.field or "").removeprefix("attribute:")
    per_value: Counter[str | None] = Counter()
    for one in sites:
        per_value[one.attributes.get(name)] += one.of_group(request.group)
    return per_value[site.attributes.get(name)]
