"""Importing this package declares every ECS operation that is served."""

from __future__ import annotations

from longshore.services.ecs.operations import (
    agent,
    attributes,
    clusters,
    container_instances,
    execute_command,
    service_listings,
    services,
    tags,
    task_definitions,
    task_listings,
    tasks,
)

__all__ = [
    "agent",
    "attributes",
    "clusters",
    "container_instances",
    "execute_command",
    "service_listings",
    "services",
    "tags",
    "task_definitions",
    "task_listings",
    "tasks",
]
