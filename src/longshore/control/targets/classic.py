"""Tasks of services behind Classic load balancers, which know instances and no ports: the instance is registered while a task runs there.

To the plan it is an endpoint like any other, of the load balancer in place of a target group. A task lays claim to the
registration of its instance; what of it is leaving is seen in the derived targets, which the balancer drains as it does others.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from longshore.aws.errors import AwsError
from longshore.control.events import append_event
from longshore.control.targets.plan import Change, Endpoint, Registered
from longshore.services.ecs import event_words
from longshore.services.ecs.model import TASKS, ContainerInstance, Task
from longshore.services.ecs.rollout.model import TASK_SETS, Service, ServiceSpec
from longshore.services.elb import registration
from longshore.services.elb.model import CLASSIC_LOAD_BALANCERS, REGISTERED_INSTANCES, RegisteredInstance
from longshore.services.elb.records import synchronise
from longshore.store.base import Reader, Tx

log = logging.getLogger("longshore.control.targets")


def is_classic(arn: str) -> bool:
    """Whether an endpoint is one of a Classic load balancer, and not of a target group."""
    return ":loadbalancer/" in arn


def classic_endpoints(reader: Reader, spec: ServiceSpec, task: Task, instance: ContainerInstance) -> Iterable[Endpoint]:
    """Where the task is reached: its instance, by the host port of the container port that the service names."""
    for lb in spec.load_balancers:
        arn = _arn(task.arn, lb.load_balancer_name or "")
        container = next((one for one in task.status.containers if one.name == lb.container_name), None)
        if not lb.load_balancer_name or container is None or reader.get(CLASSIC_LOAD_BALANCERS, arn) is None:
            continue
        bindings = [one for one in container.network_bindings if one.container_port == lb.container_port and one.protocol == "tcp"]
        if bindings and instance.ec2_instance_id:
            yield Endpoint(arn, instance.ec2_instance_id, bindings[0].host_port)


def claims(reader: Reader, service: Service, tasks: Iterable[Task]) -> list[Registered]:
    """Those that tasks of the service have, living or dead."""
    found: dict[str, RegisteredInstance] = {}
    for task in tasks:
        found.update((REGISTERED_INSTANCES.key(one), one) for one in reader.list(REGISTERED_INSTANCES, "task", task.arn))
    for name in _names(reader, service):
        for one in reader.list(REGISTERED_INSTANCES, "load_balancer", _arn(service.arn, name)):
            found[REGISTERED_INSTANCES.key(one)] = one
    return [
        Registered(Endpoint(one.load_balancer_arn, one.instance_id, claim.port), claim.task_arn, draining=False)
        for one in found.values()
        for claim in one.claims
        if _is_ours(reader, claim.task_arn, service.arn)
    ]


def apply_to_classic(tx: Tx, service: Service, verb: str, arn: str, changes: Sequence[Change], now: float) -> None:
    """Registers or deregisters instances, and says so among the service's events."""
    lb = tx.get(CLASSIC_LOAD_BALANCERS, arn)
    if lb is None:
        return
    done: list[Change] = []
    problem = ""
    for change in changes:
        try:
            if verb == "register":
                registration.claim(tx, lb, change.endpoint.target_id, change.owner, change.endpoint.port, now)
            else:
                registration.release(tx, lb, change.endpoint.target_id, change.owner)
            done.append(change)
        except AwsError as error:
            problem = error.message
    if done:
        # Once for all of them: hundreds may come together.
        synchronise(tx, lb, now)
        words = event_words.registered_instances if verb == "register" else event_words.deregistered_instances
        append_event(tx, service, words(service.name, len(done), lb.name), now)
    for change in done:
        log.info("(service %s) %s %s in %s: %s", service.name, verb, change.endpoint.target_id, lb.name, change.reason)
    if problem:
        log.warning("(service %s) could not %s instances in %s: %s", service.name, verb, lb.name, problem)
        append_event(tx, service, f"(service {service.name}) failed to {verb} instances in (elb {lb.name}): {problem}", now)


def _names(reader: Reader, service: Service) -> set[str]:
    """Every load balancer that tasks of the service may stand behind."""
    given = [*service.spec.load_balancers]
    for task_set in reader.list(TASK_SETS, "service", service.arn):
        given += task_set.load_balancers
    return {lb.load_balancer_name for lb in given if lb.load_balancer_name}


def _arn(other: str, name: str) -> str:
    """Of the load balancer of that name in the account and region of another ARN."""
    region, account = other.split(":", 5)[3:5]
    return f"arn:aws:elasticloadbalancing:{region}:{account}:loadbalancer/{name}"


def _is_ours(reader: Reader, owner: str, service_arn: str) -> bool:
    """A claim whose task is forgotten is nobody's, and goes with whichever service sees it."""
    task = reader.get(TASKS, owner)
    return task is None or task.spec.service_arn == service_arn
