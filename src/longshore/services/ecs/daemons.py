"""Which container instances a DAEMON service is to have a task on: as many tasks as these are what it wants."""

from __future__ import annotations

from longshore.services.ecs.cluster_query import Facts, matches, parse
from longshore.services.ecs.fleet import facts_of
from longshore.services.ecs.lookup import definition_of_arn
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, ContainerInstance
from longshore.services.ecs.rollout.model import Service
from longshore.store.base import Reader


def matching_instances(reader: Reader, service: Service) -> list[ContainerInstance]:
    """ACTIVE ones of the cluster that meet the placement constraints of the service and of its task definition."""
    definition = definition_of_arn(reader, service.spec.task_definition_arn)
    own = (definition.definition.placement_constraints if definition is not None else None) or ()
    expressions = [c.expression or "" for c in service.spec.placement_constraints if c.type == "memberOf"]
    expressions += [c.expression or "" for c in own if c.type == "memberOf"]
    queries = [parse(expression) for expression in expressions]
    found = [one for one in reader.list(CONTAINER_INSTANCES, "cluster", service.cluster_arn) if one.status == "ACTIVE"]
    if service.spec.launch_type == "EXTERNAL":
        found = [one for one in found if one.attribute("ecs.capability.external") is not None]
    if not queries:
        return found
    return [one for one in found if all(matches(query, _facts(reader, one)) for query in queries)]


def _facts(reader: Reader, instance: ContainerInstance) -> Facts:
    return facts_of(reader, instance, running_tasks_count=reader.total(TASKS, "on_instance", instance.arn)[2])
