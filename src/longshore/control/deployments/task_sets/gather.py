"""Reads from the store what the task sets of a service are to be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from longshore.control.deployments.vocabulary import Share
from longshore.services.ecs.model import Task
from longshore.services.ecs.rollout.model import TASK_SETS, Service
from longshore.services.ecs.rollout.views import wanted_of
from longshore.store.base import Reader


def shares_of(reader: Reader, service: Service, tasks: Sequence[Task]) -> tuple[Share, ...] | None:
    """None for services that this installation deploys itself."""
    if service.spec.deployment_controller != "EXTERNAL":
        return None
    leaving = Counter(task.spec.deployment_id for task in tasks if task.stop is not None)
    return tuple(
        Share(
            id=one.id,
            arn=one.arn,
            desired=wanted_of(service, one),
            stability=one.stability,
            draining=one.status == "DRAINING",
            leaving=leaving[one.id],
        )
        for one in reader.list(TASK_SETS, "service", service.arn)
    )
