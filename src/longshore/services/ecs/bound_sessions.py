"""Sessions that end with what they were given to: a task, or the machine of a container instance."""

from __future__ import annotations

from longshore.services.ecs.machines.sessions import machine_lives
from longshore.services.ecs.task_roles import task_lives
from longshore.services.sts.sessions import Claims
from longshore.store.base import Reader


def lives(reader: Reader, claims: Claims) -> bool:
    return task_lives(reader, claims) if claims.bound_to.startswith("arn:") else machine_lives(reader, claims)
