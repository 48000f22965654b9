"""Network interfaces of tasks: in the network mode awsvpc each task has an address of its own.

An instance says with an attribute which range its agent gives addresses from, and with the resource ENI how many tasks it takes
at once. The platform chooses the address when it places a task, as EC2 would, so that it is shown and told to the agent from the
start; what runs on the instance then makes it true. Everything about an interface follows from the task's ARN and from what the
instance's other tasks hold: the same transaction run twice attaches the same one.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ec2.model import SECURITY_GROUPS, SUBNETS, SecurityGroup, Subnet
from longshore.services.ecs.errors import InvalidParameterException
from longshore.services.ecs.model import TASKS, Attachment, ContainerInstance, Task, scope_of
from longshore.store.base import Reader

#: of an instance: the range (a.b.c.0/n) that its tasks' addresses come from
RANGE_ATTRIBUTE = "longshore.task-network"
#: as in a subnet of EC2, the first four addresses and the last are nobody's
FIRST_HOST = 4
#: lengths of a range's prefix
WIDEST, NARROWEST = 16, 28
PRIVATE = tuple(IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"))
MOST_SUBNETS = 16
MOST_GROUPS = 5


# ── what may be asked ───────────────────────────────────────────────────────────────────────────────────────────────


def checked_network(call: Call, network: shapes.AwsVpcConfiguration, launch_type: str) -> None:
    """Raises InvalidParameterException for subnets and security groups that are not there or do not belong together."""
    if not network.subnets:
        raise InvalidParameterException("subnets can not be empty.")
    if len(network.subnets) > MOST_SUBNETS:
        raise InvalidParameterException(f"subnets can have at most {MOST_SUBNETS} items.")
    if len(network.security_groups or ()) > MOST_GROUPS:
        raise InvalidParameterException(f"securityGroups can have at most {MOST_GROUPS} items.")
    if network.assign_public_ip == "ENABLED":
        raise InvalidParameterException(f"Assign public IP is not supported for this launch type: {launch_type}.")
    vpcs = {_subnet(call, subnet_id).vpc_id for subnet_id in network.subnets}
    if len(vpcs) > 1:
        raise InvalidParameterException("subnets must belong to the same VPC.")
    for group_id in network.security_groups or ():
        if _group(call, group_id).vpc_id not in vpcs:
            raise InvalidParameterException(f"Security group {group_id} does not appear to belong to the same VPC as the input subnets.")


def _subnet(call: Call, subnet_id: str) -> Subnet:
    found = call.store.get(SUBNETS, subnet_id)
    if found is None or (found.account_id, found.region) != (call.account_id, call.region):
        shown = subnet_id[:64]
        raise InvalidParameterException(
            f"Error retrieving subnet information for [{shown}]: The subnet ID '{shown}' does not exist "
            "(ErrorCode: InvalidSubnetID.NotFound)"
        )
    return found


def _group(call: Call, group_id: str) -> SecurityGroup:
    found = call.store.get(SECURITY_GROUPS, group_id)
    if found is None or (found.account_id, found.region) != (call.account_id, call.region):
        shown = group_id[:64]
        raise InvalidParameterException(
            f"Error retrieving security group information for [{shown}]: The security group '{shown}' does not exist "
            "(ErrorCode: InvalidGroup.NotFound)"
        )
    return found


def zones_of(reader: Reader, network: shapes.NetworkConfiguration | None) -> tuple[str, ...]:
    """The zones of the subnets named, where alone the task may be placed; empty when it may be placed anywhere."""
    subnets = [reader.get(SUBNETS, subnet_id) for subnet_id in _subnets(network)]
    return tuple(dict.fromkeys(subnet.availability_zone for subnet in subnets if subnet is not None))


def _subnets(network: shapes.NetworkConfiguration | None) -> tuple[str, ...]:
    return network.awsvpc_configuration.subnets if network is not None and network.awsvpc_configuration is not None else ()


# ── what a task is given ────────────────────────────────────────────────────────────────────────────────────────────


def with_interface(reader: Reader, task: Task, instance: ContainerInstance) -> Task:
    """`task`, about to be placed on `instance`, with its interface; the same task when it needs none, or the instance has no range."""
    network = range_of(instance) if task.spec.reservation.enis else None
    if network is None:
        return task
    taken = {one.private_address for other in reader.list(TASKS, "active_on", instance.arn) for one in other.status.attachments}
    address = free_address(network, taken, task.arn)
    if address is None:
        return task
    drawn = hashlib.sha256(task.arn.encode()).hexdigest()
    attachment = Attachment(
        id=str(uuid.UUID(drawn[:32])),
        status="ATTACHING",
        eni_id=f"eni-{drawn[32:49]}",
        mac_address=":".join(["0e", *(drawn[at : at + 2] for at in range(50, 60, 2))]),
        private_address=str(address),
        subnet_id=_subnet_in(reader, task, instance.availability_zone),
        gateway=f"{network.network_address + 1}/{network.prefixlen}",
    )
    return replace(task, status=replace(task.status, attachments=(attachment,)))


def range_of(instance: ContainerInstance) -> IPv4Network | None:
    """None also for what is no private range: agents say what they like, and load balancers are sent there."""
    try:
        network = IPv4Network(instance.attribute(RANGE_ATTRIBUTE) or "")
    except ValueError:
        return None
    is_private = any(network.subnet_of(block) for block in PRIVATE)
    return network if is_private and WIDEST <= network.prefixlen <= NARROWEST else None


def addresses_in(network: IPv4Network | None) -> int:
    """How many tasks can have one."""
    return network.num_addresses - FIRST_HOST - 1 if network is not None else 0


def free_address(network: IPv4Network, taken: Iterable[str], task_arn: str) -> IPv4Address | None:
    """Where the search begins follows from the task, so that an address just given back is seldom the next one's."""
    hosts = addresses_in(network)
    busy, start = frozenset(taken), int.from_bytes(hashlib.sha256(task_arn.encode()).digest()[:8], "big") % hosts
    for step in range(hosts):
        address = network.network_address + FIRST_HOST + (start + step) % hosts
        if str(address) not in busy:
            return address
    return None


def _subnet_in(reader: Reader, task: Task, zone: str) -> str:
    named = _subnets(task.spec.network_configuration)
    found = (subnet for subnet_id in named if (subnet := reader.get(SUBNETS, subnet_id)) is not None)
    return next((subnet.id for subnet in found if subnet.availability_zone == zone), named[0] if named else "")


def private_dns_name(attachment: Attachment, task_arn: str) -> str:
    """As EC2 names addresses, in the region of the task."""
    region = scope_of(task_arn).partition(":")[0]
    suffix = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
    return f"ip-{attachment.private_address.replace('.', '-')}.{suffix}"


# ── what became of it ───────────────────────────────────────────────────────────────────────────────────────────────


def attachment_arn(task_arn: str, attachment: Attachment) -> str:
    """arn:aws:ecs:REGION:ACCOUNT:attachment/ID"""
    return f"{task_arn.split(':task/', 1)[0]}:attachment/{attachment.id}"


def with_reported(task: Task, changes: Iterable[shapes.AttachmentStateChange]) -> Task:
    """`task` after its agent has told of interfaces; the same object when that says nothing new. They only go forward."""
    attached = {change.attachment_arn.rsplit("/", 1)[-1] for change in changes if change.status == "ATTACHED"}
    after = tuple(
        replace(one, status="ATTACHED") if one.id in attached and one.status in ("PRECREATED", "ATTACHING") else one
        for one in task.status.attachments
    )
    return task if after == task.status.attachments else replace(task, status=replace(task.status, attachments=after))


# ── how it is shown ─────────────────────────────────────────────────────────────────────────────────────────────────


def attachments_view(task: Task) -> tuple[shapes.Attachment, ...]:
    return tuple(
        shapes.Attachment(
            id=one.id,
            type="ElasticNetworkInterface",
            status="DELETED" if task.is_stopped else one.status,
            details=tuple(
                shapes.KeyValuePair(name=name, value=value)
                for name, value in (
                    ("subnetId", one.subnet_id),
                    ("networkInterfaceId", one.eni_id),
                    ("macAddress", one.mac_address),
                    ("privateDnsName", private_dns_name(one, task.arn)),
                    ("privateIPv4Address", one.private_address),
                )
            ),
        )
        for one in task.status.attachments
    )


def interfaces_view(task: Task) -> tuple[shapes.NetworkInterface, ...]:
    """Of each container of the task: they share the interface."""
    return tuple(shapes.NetworkInterface(attachment_id=one.id, private_ipv4_address=one.private_address) for one in task.status.attachments)


def address_of(task: Task) -> str:
    """Where the task is reached; empty when it has no address of its own."""
    return next((one.private_address for one in task.status.attachments), "")
