"""What is asked of placement, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.model import Reservation

NO_INSTANCES = "No Container Instances were found in your cluster."
EMPTY_CAPACITY_PROVIDER = "EMPTY CAPACITY PROVIDER"
AGENT = "AGENT"
ATTRIBUTE = "ATTRIBUTE"
LOCATION = "LOCATION"
CPU = "RESOURCE:CPU"
MEMORY = "RESOURCE:MEMORY"
GPU = "RESOURCE:GPU"
PORTS = "RESOURCE:PORTS"
PORTS_UDP = "RESOURCE:PORTS_UDP"
ENI = "RESOURCE:ENI"
DISTINCT = "DistinctInstance placement constraint unsatisfied."
MEMBER_OF = "MemberOf placement constraint unsatisfied."
#: in the order in which they are looked for: whoever fails later was closer
REASONS = (AGENT, ATTRIBUTE, LOCATION, CPU, MEMORY, GPU, PORTS, PORTS_UDP, ENI, DISTINCT, MEMBER_OF)

#: beside MEMBER_OF: an expression asks about tasks, so that any task that comes or goes may change its answer
TASKS_THERE = "task:group, runningTasksCount"


def of_group(group: str) -> str:
    """Beside DISTINCT: whose tasks are in the way."""
    return f"{DISTINCT} {group}"


#: an instance that registered with this attribute is external: for tasks of that launch type
EXTERNAL_ATTRIBUTE = "ecs.capability.external"
ZONE_ATTRIBUTE = "ecs.availability-zone"
DEFAULT_STRATEGY = (
    shapes.PlacementStrategy(type="spread", field=f"attribute:{ZONE_ATTRIBUTE}"),
    shapes.PlacementStrategy(type="spread", field="instanceId"),
)


class PlacementRequest(msgspec.Struct, frozen=True):
    group: str
    reservation: Reservation
    #: what the instance must have: attributes, and the values of those that have one
    required_attributes: tuple[tuple[str, str], ...] = ()
    constraints: tuple[shapes.PlacementConstraint, ...] = ()
    #: empty: spread over zones, then over instances
    strategy: tuple[shapes.PlacementStrategy, ...] = ()
    #: instances of another capacity provider are none of its business; empty: any will do
    capacity_provider: str = ""
    #: where the subnets are that it was given; empty: anywhere
    zones: tuple[str, ...] = ()
    #: a random number in [0, 1), for the strategy `random`
    chance: float = 0.0


class Refusal(msgspec.Struct, frozen=True):
    instance_arn: str
    reason: str


class Placement(msgspec.Struct, frozen=True):
    """The instance chosen, or why there is none."""

    instance_arn: str | None
    #: active instances that were asked, and those of them that could take the task
    asked: int = 0
    fitting: int = 0
    #: when none was chosen: why not, the closest first; of very many instances only the closest
    refusals: tuple[Refusal, ...] = ()
    #: reason -> how many gave it
    counts: Mapping[str, int] = {}
    #: more about those reasons, for whoever waits (see waiting.py)
    details: frozenset[str] = frozenset()
    #: why nobody was asked
    nobody: str = NO_INSTANCES

    @property
    def reason(self) -> str:
        """Why nothing was found, as the closest instance says it; empty when one was."""
        if self.instance_arn is not None:
            return ""
        return self.refusals[0].reason if self.refusals else self.nobody

    @property
    def reasons(self) -> frozenset[str]:
        """Everything that would have to change for one instance or another."""
        return self.details.union(self.counts) if self.counts else frozenset({self.reason})

    @property
    def closest(self) -> str | None:
        return self.refusals[0].instance_arn if self.refusals else None


def required_of(attributes: Sequence[shapes.Attribute], launch_type: str = "EC2") -> tuple[tuple[str, str], ...]:
    """Of a definition's requiresAttributes: what a request asks for. EXTERNAL tasks go to instances that registered as external."""
    needed = tuple((attribute.name, attribute.value or "") for attribute in attributes)
    return (*needed, (EXTERNAL_ATTRIBUTE, "")) if launch_type == "EXTERNAL" else needed
