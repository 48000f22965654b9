"""Container instances seen as EC2 instances.

What is registered and not deregistered runs; it stands in its zone's default subnet. Machines that registered without an
EC2 identity (`mi-…`) are none of EC2's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from longshore.aws.shapes import ec2 as shapes
from longshore.services.call import Call
from longshore.services.ec2.defaults import default_group_of, default_vpc, derived_id
from longshore.services.ec2.lookup import scope_of_call
from longshore.services.ec2.model import INSTANCE_TAGS, SUBNETS, SecurityGroup, Subnet, Tag, Vpc
from longshore.services.ec2.regions import zone_id
from longshore.services.ecs.model import CONTAINER_INSTANCES, ContainerInstance
from longshore.store.base import Reader

RUNNING = shapes.InstanceState(code=16, name="running")
DEFAULT_TYPE = "m5.large"


@dataclass(frozen=True, slots=True)
class Ground:
    """What instances of one account and region stand on."""

    vpc: Vpc | None
    subnets: dict[str, Subnet]
    group: SecurityGroup | None
    tags: dict[str, tuple[Tag, ...]]


def running_instances(reader: Reader, call: Call) -> list[ContainerInstance]:
    """One per EC2 instance id, the latest registration, in order of the ids."""
    latest: dict[str, ContainerInstance] = {}
    for instance in reader.list(CONTAINER_INSTANCES, "scope", scope_of_call(call)):
        if instance.status == "INACTIVE" or not instance.ec2_instance_id.startswith("i-"):
            continue
        known = latest.get(instance.ec2_instance_id)
        if known is None or known.registered_at <= instance.registered_at:
            latest[instance.ec2_instance_id] = instance
    return [latest[instance_id] for instance_id in sorted(latest)]


def is_running(reader: Reader, call: Call, instance_id: str) -> bool:
    known = reader.list(CONTAINER_INSTANCES, "ec2_instance", f"{scope_of_call(call)}:{instance_id}")
    return instance_id.startswith("i-") and any(instance.status != "INACTIVE" for instance in known)


def ground_of(reader: Reader, call: Call) -> Ground:
    vpc = default_vpc(reader, call.account_id, call.region)
    subnets = [] if vpc is None else reader.list(SUBNETS, "vpc", vpc.id)
    return Ground(
        vpc=vpc,
        subnets={subnet.availability_zone: subnet for subnet in subnets if subnet.is_default},
        group=None if vpc is None else default_group_of(reader, vpc.id),
        tags={tagged.instance_id: tagged.tags for tagged in reader.list(INSTANCE_TAGS, "scope", scope_of_call(call))},
    )


def instances_per_zone(reader: Reader, call: Call) -> Counter[str]:
    """How many instances stand in each zone's default subnet."""
    return Counter(instance.availability_zone for instance in running_instances(reader, call))


def reservation(call: Call, instance: shapes.Instance) -> shapes.Reservation:
    """Every instance came alone."""
    return shapes.Reservation(
        reservation_id=derived_id("r", call.account_id, call.region, instance.instance_id or ""),
        owner_id=call.account_id,
        groups=(),
        instances=(instance,),
    )


def described(call: Call, instance: ContainerInstance, ground: Ground) -> shapes.Instance:
    subnet = ground.subnets.get(instance.availability_zone)
    groups = () if ground.group is None else (shapes.GroupIdentifier(group_id=ground.group.id, group_name=ground.group.name),)
    suffix = "ec2.internal" if call.region == "us-east-1" else f"{call.region}.compute.internal"
    tags = ground.tags.get(instance.ec2_instance_id, ())
    return shapes.Instance(
        instance_id=instance.ec2_instance_id,
        image_id=instance.attribute("ecs.ami-id") or derived_id("ami", call.account_id, call.region, "container-instance"),
        state=RUNNING,
        private_dns_name=f"ip-{instance.address.replace('.', '-')}.{suffix}" if instance.address else "",
        public_dns_name="",
        state_transition_reason="",
        ami_launch_index=0,
        product_codes=(),
        instance_type=instance.attribute("ecs.instance-type") or DEFAULT_TYPE,
        launch_time=instance.registered_at,
        placement=shapes.Placement(
            availability_zone=instance.availability_zone,
            availability_zone_id=zone_id(call.region, instance.availability_zone),
            group_name="",
            tenancy="default",
        ),
        monitoring=shapes.Monitoring(state="disabled"),
        subnet_id=subnet.id if subnet else None,
        vpc_id=ground.vpc.id if ground.vpc and subnet else None,
        private_ip_address=instance.address or None,
        architecture=instance.attribute("ecs.cpu-architecture") or "x86_64",
        block_device_mappings=(),
        client_token="",
        ebs_optimized=False,
        ena_support=True,
        hypervisor="xen",
        network_interfaces=(),
        root_device_type="ebs",
        security_groups=groups,
        source_dest_check=True,
        virtualization_type="hvm",
        tags=tuple(shapes.Tag(key=tag.key, value=tag.value) for tag in tags),
    )
