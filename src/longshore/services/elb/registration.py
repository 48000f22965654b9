"""Registering and deregistering instances: one transaction's worth, for the operations and for whoever registers a service's tasks.

A service's task is reached through the registration of its instance: it lays claim to it with its port. The registration ends
with the last claim. While others keep it, the port of a task that leaves is withdrawn from it, so that the task drains alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.services.elb.errors import InvalidConfigurationRequest, InvalidInstance
from longshore.services.elb.lookup import INSTANCES_PER_LOAD_BALANCER
from longshore.services.elb.model import (
    REGISTERED_INSTANCES,
    Claim,
    ClassicLoadBalancer,
    RegisteredInstance,
    instance_key,
)
from longshore.services.elb.records import instance_of, is_running, synchronise
from longshore.store.base import Reader, Tx


def register(tx: Tx, lb: ClassicLoadBalancer, instance_ids: Iterable[str], now: float) -> None:
    """What is registered already stays as it is. Raises InvalidInstance."""
    for instance_id in dict.fromkeys(instance_ids):
        _check_running(tx, lb, instance_id)
        if tx.get(REGISTERED_INSTANCES, instance_key(lb.arn, instance_id)) is None:
            _check_room(tx, lb)
            tx.create(REGISTERED_INSTANCES, RegisteredInstance(lb.arn, instance_id, now))
    synchronise(tx, lb, now)


def deregister(tx: Tx, lb: ClassicLoadBalancer, instance_ids: Iterable[str], now: float) -> None:
    """One that is not registered is no error; one that there never was is: InvalidInstance."""
    for instance_id in dict.fromkeys(instance_ids):
        registration = tx.get(REGISTERED_INSTANCES, instance_key(lb.arn, instance_id))
        if registration is not None:
            tx.delete(REGISTERED_INSTANCES, instance_key(lb.arn, instance_id))
        else:
            check_known(tx, lb, instance_id)
    synchronise(tx, lb, now)


def claim(tx: Tx, lb: ClassicLoadBalancer, instance_id: str, task_arn: str, port: int, now: float) -> None:
    """Registers the instance for a task of a service that runs there. Raises InvalidInstance. `synchronise` is to follow."""
    _check_running(tx, lb, instance_id)
    known = tx.get(REGISTERED_INSTANCES, instance_key(lb.arn, instance_id))
    if known is None:
        _check_room(tx, lb)
        known = RegisteredInstance(lb.arn, instance_id, now)
    others = tuple(one for one in known.claims if one.port != port)
    withdrawn = tuple(one for one in known.withdrawn if one != port)
    tx.put(REGISTERED_INSTANCES, replace(known, claims=(*others, Claim(task_arn, port)), withdrawn=withdrawn))


def release(tx: Tx, lb: ClassicLoadBalancer, instance_id: str, task_arn: str) -> None:
    """The task leaves, and the registration with the last of them. `synchronise` is to follow."""
    known = tx.get(REGISTERED_INSTANCES, instance_key(lb.arn, instance_id))
    if known is None:
        return
    left = tuple(one for one in known.claims if one.task_arn != task_arn)
    gone = tuple(one.port for one in known.claims if one.task_arn == task_arn)
    if left:
        tx.put(REGISTERED_INSTANCES, replace(known, claims=left, withdrawn=tuple(dict.fromkeys((*known.withdrawn, *gone)))))
    else:
        tx.delete(REGISTERED_INSTANCES, instance_key(lb.arn, instance_id))


def check_known(reader: Reader, lb: ClassicLoadBalancer, instance_id: str) -> None:
    if instance_of(reader, lb.arn, instance_id) is None:
        raise InvalidInstance(f"Could not find EC2 instance {instance_id[:255]}.")


def _check_running(reader: Reader, lb: ClassicLoadBalancer, instance_id: str) -> None:
    check_known(reader, lb, instance_id)
    if not is_running(instance_of(reader, lb.arn, instance_id)):
        raise InvalidInstance(f"EC2 instance {instance_id} is not in a running state.")


def _check_room(reader: Reader, lb: ClassicLoadBalancer) -> None:
    if reader.count(REGISTERED_INSTANCES, "load_balancer", lb.arn) >= INSTANCES_PER_LOAD_BALANCER:
        raise InvalidConfigurationRequest(f"A load balancer cannot have more than {INSTANCES_PER_LOAD_BALANCER} registered instances")
