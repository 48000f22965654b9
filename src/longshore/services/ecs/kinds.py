"""Every kind of resource that ECS keeps."""

from __future__ import annotations

from typing import Any

from longshore.kit.resource import Kind
from longshore.services.ecs.capacity.model import CAPACITY_PROVIDERS
from longshore.services.ecs.exec.model import EXEC_SESSIONS
from longshore.services.ecs.machines.model import ACTIVATIONS, MACHINES
from longshore.services.ecs.model import CLUSTERS, CONTAINER_INSTANCES, FAMILIES, TASK_DEFINITIONS, TASKS
from longshore.services.ecs.rebalance.model import REBALANCES
from longshore.services.ecs.rollout.model import (
    DEPLOYMENTS,
    SERVICE_DEPLOYMENTS,
    SERVICE_EVENTS,
    SERVICE_REVISIONS,
    SERVICES,
    TASK_SETS,
)
from longshore.services.ecs.settings.model import ACCOUNT_SETTINGS

KINDS: tuple[Kind[Any], ...] = (
    CLUSTERS,
    CONTAINER_INSTANCES,
    TASK_DEFINITIONS,
    FAMILIES,
    TASKS,
    SERVICES,
    DEPLOYMENTS,
    SERVICE_REVISIONS,
    SERVICE_DEPLOYMENTS,
    TASK_SETS,
    SERVICE_EVENTS,
    EXEC_SESSIONS,
    CAPACITY_PROVIDERS,
    ACCOUNT_SETTINGS,
    REBALANCES,
    ACTIVATIONS,
    MACHINES,
)
