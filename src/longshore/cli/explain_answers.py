"""What LongshoreExplainPlacement answers, as `longshore explain` reads it and as `-o json` prints it again (docs/extensions.md)."""

from __future__ import annotations

from typing import Any

import msgspec


class Port(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    port: int
    protocol: str
    free: bool = True


class Asked(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    cpu: int
    memory: int
    gpus: int = 0
    enis: int = 0
    ports: tuple[Port, ...] = ()
    attributes: tuple[str, ...] = ()
    launch_type: str
    capacity_provider: str = ""
    availability_zones: tuple[str, ...] = ()


class Resource(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    asked: int
    free: int
    registered: int
    fits: bool


class Constraint(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    type: str
    expression: str | None = None
    satisfied: bool = True


class Score(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    type: str
    field: str | None = None
    value: str | None = None
    score: int = 0
    best: int | None = None
    kept: bool | None = None


class Instance(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    container_instance_arn: str
    ec2_instance_id: str = ""
    availability_zone: str = ""
    status: str
    agent_connected: bool
    capacity_provider: str = ""
    verdict: str
    reasons: tuple[str, ...] = ()
    resources: tuple[Resource, ...] = ()
    ports: tuple[Port, ...] = ()
    missing_attributes: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    scores: tuple[Score, ...] = ()
    rank: int | None = None
    tasks_placed: int = 0
    tasks_of_group: int = 0
    tasks: int = 0


class Failed(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    reason: str
    container_instance_arn: str | None = None
    message: str
    refusals: dict[str, int] = {}


class Decided(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    container_instance_arn: str
    at: float
    instances: int
    candidates: int
    scores: tuple[Score, ...] = ()


class Placement(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    cluster_arn: str
    task_definition_arn: str
    group: str
    asked: Asked
    placement_constraints: tuple[Constraint, ...] = ()
    placement_strategy: tuple[Score, ...] = ()
    count: int
    placed: int
    placements: tuple[str, ...] = ()
    failure: Failed | None = None
    instances: tuple[Instance, ...] = ()
    instances_left_out: int = 0
    decision: Decided | None = None


Answer = dict[str, Any]
