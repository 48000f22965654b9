"""Brings what the data plane is to serve of a Classic load balancer to what its API says: the difference, in one transaction.

Health and status are the balancer's own and stay; a target that is wanted no more drains like any other.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from longshore.services.ecs.model import CONTAINER_INSTANCES, ContainerInstance
from longshore.services.elb.model import CLASSIC_LOAD_BALANCERS, REGISTERED_INSTANCES, ClassicLoadBalancer, instance_key, scope_of
from longshore.services.elb.projection import Member, Projection, is_classic_listener, project
from longshore.services.elbv2.model import (
    LISTENERS,
    LOAD_BALANCERS,
    TARGET_GROUPS,
    TARGETS,
    Target,
    TargetHealth,
    target_groups_of,
)
from longshore.services.elbv2.slots import free_slot
from longshore.store.base import Reader, Tx


def save(tx: Tx, lb: ClassicLoadBalancer, now: float) -> ClassicLoadBalancer:
    """Keeps it, and everything that follows from it."""
    tx.put(CLASSIC_LOAD_BALANCERS, lb)
    synchronise(tx, lb, now)
    return lb


def synchronise(tx: Tx, lb: ClassicLoadBalancer, now: float) -> None:
    """After its instances have changed."""
    wanted = project(lb, _members(tx, lb))
    known = tx.get(LOAD_BALANCERS, lb.arn)
    slot, status = (known.slot, known.status) if known is not None else (free_slot(tx), wanted.load_balancer.status)
    tx.put(LOAD_BALANCERS, replace(wanted.load_balancer, slot=slot, status=status))
    healths = _healths(tx, lb)
    _put_groups(tx, lb, wanted)
    _put_targets(tx, wanted, healths, now)


def remove(tx: Tx, lb: ClassicLoadBalancer) -> None:
    """Takes away everything of it. Connections that are under way end with their listeners."""
    for registration in tx.list(REGISTERED_INSTANCES, "load_balancer", lb.arn):
        tx.delete(REGISTERED_INSTANCES, instance_key(lb.arn, registration.instance_id))
    for arn, listener_arn in _groups(tx, lb.arn).items():
        tx.delete(LISTENERS, listener_arn)
        _delete_group(tx, arn)
    tx.delete(LOAD_BALANCERS, lb.arn)
    tx.delete(CLASSIC_LOAD_BALANCERS, lb.arn)


def rename_certificate(tx: Tx, old: str, new: str) -> None:
    """The ARN of a certificate has changed: what shows it goes on showing it. (What is served is renamed with all listeners.)"""
    for served in tx.list(LISTENERS, "certificate", old):
        lb = tx.get(CLASSIC_LOAD_BALANCERS, served.load_balancer_arn) if is_classic_listener(served.arn) else None
        if lb is not None:
            listeners = (replace(one, certificate=new) if one.certificate == old else one for one in lb.listeners)
            tx.put(CLASSIC_LOAD_BALANCERS, replace(lb, listeners=tuple(listeners)))


def instance_of(reader: Reader, arn: str, instance_id: str) -> ContainerInstance | None:
    """The container instance that runs on the EC2 instance of that id, in the account and region of the ARN; or the last that did."""
    known = reader.list(CONTAINER_INSTANCES, "ec2_instance", f"{scope_of(arn)}:{instance_id}")
    return max(known, key=lambda one: (one.status != "INACTIVE", one.registered_at)) if known else None


def targets_of(reader: Reader, lb_arn: str) -> list[Target]:
    """Of all its target groups, those that are leaving among them."""
    return [target for arn in _groups(reader, lb_arn) for target in reader.list(TARGETS, "target_group", arn)]


def group_arns(reader: Reader, lb_arn: str) -> list[str]:
    """Of the target groups behind its listeners."""
    return list(_groups(reader, lb_arn))


def is_running(instance: ContainerInstance | None) -> bool:
    return instance is not None and instance.status != "INACTIVE" and bool(instance.address)


def _members(reader: Reader, lb: ClassicLoadBalancer) -> list[Member]:
    members: list[Member] = []
    for registration in reader.list(REGISTERED_INSTANCES, "load_balancer", lb.arn):
        instance = instance_of(reader, lb.arn, registration.instance_id)
        if instance is not None and is_running(instance):
            members.append(Member(registration, instance.address, instance.availability_zone))
    return members


def _groups(reader: Reader, lb_arn: str) -> dict[str, str]:
    """Target group ARN -> ARN of the listener that it is behind."""
    listeners = reader.list(LISTENERS, "load_balancer", lb_arn)
    return {arn: listener.arn for listener in listeners for arn in target_groups_of(listener.default_actions)}


def _healths(reader: Reader, lb: ClassicLoadBalancer) -> Mapping[str, TargetHealth]:
    """Instance id -> what is known of its health, as far as the same check found it out."""
    found: dict[str, TargetHealth] = {}
    for target in targets_of(reader, lb.arn):
        if target.deregistered_at is None and target.health.state == "healthy":
            found[target.id] = target.health
    return found


def _put_groups(tx: Tx, lb: ClassicLoadBalancer, wanted: Projection) -> None:
    listeners = {listener.arn for listener in wanted.listeners}
    for arn, listener_arn in _groups(tx, lb.arn).items():
        if listener_arn not in listeners:
            tx.delete(LISTENERS, listener_arn)
            _delete_group(tx, arn)
    for group in wanted.target_groups:
        if tx.get(TARGET_GROUPS, group.arn) != group:
            tx.put(TARGET_GROUPS, group)
    for listener in wanted.listeners:
        if tx.get(LISTENERS, listener.arn) != listener:
            tx.put(LISTENERS, listener)


def _delete_group(tx: Tx, arn: str) -> None:
    for target in tx.list(TARGETS, "target_group", arn):
        tx.delete(TARGETS, TARGETS.key(target))
    tx.delete(TARGET_GROUPS, arn)


def _put_targets(tx: Tx, wanted: Projection, healths: Mapping[str, TargetHealth], now: float) -> None:
    by_key = {TARGETS.key(target): target for target in wanted.targets}
    for group in wanted.target_groups:
        for known in tx.list(TARGETS, "target_group", group.arn):
            target = by_key.pop(TARGETS.key(known), None)
            if target is None:
                if known.deregistered_at is None:
                    tx.put(TARGETS, replace(known, deregistered_at=now))
            elif known.deregistered_at is not None or known.address != target.address:
                tx.put(TARGETS, replace(target, registered_at=now, health=TargetHealth(since=now)))
            elif known.owner != target.owner:
                tx.put(TARGETS, replace(known, owner=target.owner))
    for target in by_key.values():
        tx.create(TARGETS, replace(target, health=healths.get(target.id, TargetHealth(since=now))))
