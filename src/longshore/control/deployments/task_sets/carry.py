"""Writes down what was found out about task sets, and drops those that are over."""

from __future__ import annotations

from msgspec.structs import replace

from longshore.control.deployments.vocabulary import Plan
from longshore.services.ecs.rollout.model import TASK_SETS, Service
from longshore.store.base import Tx


def write_task_sets(tx: Tx, service: Service, todo: Plan, now: float) -> None:
    if service.spec.deployment_controller != "EXTERNAL":
        return
    tallies, stability = dict(todo.tallies), dict(todo.stability)
    for task_set in tx.list(TASK_SETS, "service", service.arn):
        if task_set.arn in todo.drop:
            tx.delete(TASK_SETS, task_set.arn)
            continue
        changed = replace(task_set, tally=tallies.get(task_set.id, task_set.tally))
        if task_set.arn in stability:
            changed = replace(changed, stability=stability[task_set.arn], stability_at=now)
        if changed != task_set:
            tx.put(TASK_SETS, changed)
