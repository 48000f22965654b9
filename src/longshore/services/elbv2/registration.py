"""Registering and deregistering targets: one transaction's worth, for the operations and for whoever registers a service's tasks.

An instance is a registered container instance and is reached at that instance's own address; an IP address is itself; an
Application Load Balancer behind a network one is where it listens.
Deregistering marks a target; the balancer takes it out of service, waits for its connections and deletes it. A target
whose group nobody forwards to has no connections to wait for and goes at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

import msgspec

from longshore.aws.shapes import elbv2 as shapes
from longshore.services.ec2.model import SUBNETS, VPCS
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, ContainerInstance
from longshore.services.elbv2.attributes import IDENTITY_CHECK
from longshore.services.elbv2.errors import InvalidTarget, ResourceInUse, TooManyTargets, Validation
from longshore.services.elbv2.lookup import in_use
from longshore.services.elbv2.model import (
    LISTENERS,
    LOAD_BALANCERS,
    TARGETS,
    Target,
    TargetGroup,
    TargetHealth,
    scope_of,
    target_key,
)
from longshore.services.elbv2.quotas import TARGETS_PER_TARGET_GROUP
from longshore.store.base import Reader, Tx

#: what an agent registers that can be asked: its port for that
IDENTITY_ATTRIBUTE = "longshore.identity-port"
#: Beside the VPC's own block: where the API's text lets IP targets be, and this machine itself.
_ALLOWED = tuple(IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"))


def register(tx: Tx, group: TargetGroup, targets: Iterable[shapes.TargetDescription], now: float, owner: str = "") -> None:
    """Add `targets` to `group`; what is registered already stays as it is, what is draining comes back.

    `owner` is the ARN of the task that the targets stand for. Raises InvalidTarget, Validation or TooManyTargets.
    """
    for description in targets:
        target = _resolve(tx, group, description, now, owner)
        known = tx.get(TARGETS, target_key(group.arn, target.id, target.port))
        if known is None and tx.count(TARGETS, "target_group", group.arn) >= TARGETS_PER_TARGET_GROUP:
            raise TooManyTargets
        # Another task at the same port is another process: what was known of the health of the one before says nothing about it.
        is_another = known is not None and bool(owner and known.owner) and known.owner != owner
        if known is None or known.deregistered_at is not None or known.address != target.address or is_another:
            tx.put(TARGETS, target)
        elif known.owner != owner and owner:
            tx.put(TARGETS, msgspec.structs.replace(known, owner=owner))


def deregister(tx: Tx, group: TargetGroup, targets: Iterable[shapes.TargetDescription], now: float) -> None:
    """Take `targets` out of `group`. One that is not registered is no error."""
    used = in_use(tx, group.arn)
    for description in targets:
        key = target_key(group.arn, description.id, description.port or group.port)
        target = tx.get(TARGETS, key)
        if target is None:
            continue
        if not used:
            tx.delete(TARGETS, key)
        elif target.deregistered_at is None:
            tx.put(TARGETS, msgspec.structs.replace(target, deregistered_at=now))


def release(tx: Tx, target_group_arns: Iterable[str], now: float) -> None:
    """After listeners or rules went away: groups that nobody forwards to any more lose their draining targets, and what was
    known of the health of the others says nothing about the next load balancer."""
    for arn in target_group_arns:
        if in_use(tx, arn):
            continue
        for target in tx.list(TARGETS, "target_group", arn):
            if target.deregistered_at is not None:
                tx.delete(TARGETS, target_key(arn, target.id, target.port))
            else:
                tx.put(TARGETS, msgspec.structs.replace(target, health=TargetHealth(since=now)))


def _resolve(reader: Reader, group: TargetGroup, description: shapes.TargetDescription, now: float, owner: str) -> Target:
    if group.target_type == "alb":
        return _load_balancer(reader, group, description, now, owner)
    identity = _identity(reader, group, owner)
    if group.target_type == "instance":
        instance = _instance(reader, group, description.id)
        if description.availability_zone is not None:
            raise Validation("You cannot specify an Availability Zone for targets of target groups with target type 'instance'")
        address, zone = instance.address, instance.availability_zone
    else:
        address = _checked_address(reader, group, description.id)
        zone = _zone_of(reader, group, address)
        if description.availability_zone not in (None, "all", zone):
            raise Validation(f"The Availability Zone '{description.availability_zone}' is not valid for the IP address '{address}'")
    return Target(
        target_group_arn=group.arn,
        id=description.id if group.target_type == "instance" else address,
        port=description.port or group.port,
        registered_at=now,
        address=address,
        availability_zone=zone,
        owner=owner,
        health=TargetHealth(since=now),
        identity=identity,
    )


def _identity(reader: Reader, group: TargetGroup, owner: str) -> str:
    """Who is asked whether the task is there, where the group wants that; "" where it does not."""
    if group.attributes.get(IDENTITY_CHECK) != "true":
        return ""
    task = reader.get(TASKS, owner) if owner else None
    instance = reader.get(CONTAINER_INSTANCES, task.container_instance_arn) if task is not None else None
    port = next((one.value or "" for one in instance.attributes if one.name == IDENTITY_ATTRIBUTE), "") if instance is not None else ""
    if instance is None or not instance.address or not re.fullmatch("[1-9][0-9]{0,4}", port) or int(port) > 65535:
        raise InvalidTarget(
            f"Targets of target group '{group.arn}' must be tasks of a service whose container agent says which task is at a port: "
            f"'{IDENTITY_CHECK}' is true"
        )
    return f"{instance.address}:{port}"


def _load_balancer(reader: Reader, group: TargetGroup, description: shapes.TargetDescription, now: float, owner: str) -> Target:
    """An Application Load Balancer of the same account, which must listen on the group's port: the one target there may be."""
    lb = reader.get(LOAD_BALANCERS, description.id)
    if lb is None or lb.type != "application" or scope_of(lb.arn) != scope_of(group.arn):
        raise InvalidTarget(f"The load balancer '{description.id}' is not a valid target: it must be an Application Load Balancer")
    if lb.vpc_id != group.vpc_id:
        raise InvalidTarget(f"The load balancer '{lb.arn}' is not in the VPC '{group.vpc_id}' of the target group")
    if description.availability_zone is not None:
        raise Validation("You cannot specify an Availability Zone for targets of target groups with target type 'alb'")
    port = description.port or group.port
    if port != group.port:
        raise InvalidTarget(f"The port of a target of target group '{group.arn}' must be its port {group.port}")
    if not reader.list(LISTENERS, "port", f"{lb.arn}|{port}"):
        raise InvalidTarget(f"The load balancer '{lb.arn}' has no listener on port {port}")
    if not lb.status.address:
        raise InvalidTarget(f"The load balancer '{lb.arn}' is not in the active state")
    others = [target for target in reader.list(TARGETS, "target_group", group.arn) if target.id != lb.arn]
    if others:
        raise TooManyTargets("A target group with target type 'alb' can have one target")
    return Target(
        target_group_arn=group.arn,
        id=lb.arn,
        port=port,
        registered_at=now,
        address=lb.status.address,
        availability_zone="all",
        owner=owner,
        health=TargetHealth(since=now),
    )


def check_not_a_target(reader: Reader, load_balancer_arn: str, port: int | None = None) -> None:
    """Raises ResourceInUse while a network load balancer forwards to this one (on `port`, when one is given)."""
    for target in reader.list(TARGETS, "target_id", load_balancer_arn):
        if target.deregistered_at is not None:
            continue
        if port is None:
            group = target.target_group_arn
            raise ResourceInUse(f"Load balancer '{load_balancer_arn}' cannot be deleted because it is a target of target group '{group}'")
        if target.port == port:
            raise ResourceInUse(f"Listener port '{port}' is in use by registered target '{load_balancer_arn}' and cannot be removed.")


def _instance(reader: Reader, group: TargetGroup, instance_id: str) -> ContainerInstance:
    """The container instance that runs on the EC2 instance of that id, wherever its cluster is."""
    known = reader.list(CONTAINER_INSTANCES, "ec2_instance", f"{scope_of(group.arn)}:{instance_id}")
    running = [instance for instance in known if instance.status != "INACTIVE" and instance.address]
    if running:
        return max(running, key=lambda instance: instance.registered_at)
    if known:
        raise InvalidTarget(f"The following targets are not in a running state and cannot be registered: '{instance_id}'")
    raise InvalidTarget(f"Instance ID '{instance_id}' is not valid")


def _checked_address(reader: Reader, group: TargetGroup, text: str) -> str:
    try:
        address = IPv4Address(text)
    except ValueError:
        raise Validation(f"The IP address '{text}' is not a valid IPv4 address") from None
    vpc = reader.get(VPCS, group.vpc_id)
    blocks = _ALLOWED if vpc is None else (*_ALLOWED, IPv4Network(vpc.cidr_block))
    if not any(address in block for block in blocks):
        raise InvalidTarget(f"The IP address '{text}' is not within the CIDR blocks of the VPC '{group.vpc_id}' or a private range")
    return str(address)


def _zone_of(reader: Reader, group: TargetGroup, address: str) -> str:
    """The zone of the subnet that holds the address; `all` for addresses outside the VPC."""
    for subnet in reader.list(SUBNETS, "vpc", group.vpc_id):
        if IPv4Address(address) in IPv4Network(subnet.cidr_block):
            return subnet.availability_zone
    return "all"
