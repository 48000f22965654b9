"""Importing this package declares every ECS operation that is served."""

from __future__ import annotations

from longshore.services.ecs.operations import (
    account_settings,
    agent,
    attributes,
    capacity_providers,
    clusters,
    container_agents,
    container_instance_states,
    container_instances,
    event_stream,
    execute_command,
    placement_explanations,
    service_explanations,
    service_listings,
    services,
    tags,
    task_definitions,
    task_listings,
    task_protection,
    task_records,
    tasks,
)

__all__ = [
    "account_settings",
    "agent",
    "attributes",
    "capacity_providers",
    "clusters",
    "container_agents",
    "container_instance_states",
    "container_instances",
    "event_stream",
    "execute_command",
    "placement_explanations",
    "service_explanations",
    "service_listings",
    "services",
    "tags",
    "task_definitions",
    "task_listings",
    "task_protection",
    "task_records",
    "tasks",
]
