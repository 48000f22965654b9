"""Instances: container instances, as EC2 shows them."""

from __future__ import annotations

from collections.abc import Mapping

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import ec2 as shapes
from longshore.services.call import Call
from longshore.services.ec2.api import operation
from longshore.services.ec2.errors import InvalidInstanceNotFound, InvalidParameterValue
from longshore.services.ec2.filters import ValuesOf, filtered
from longshore.services.ec2.instances import described, ground_of, reservation, running_instances
from longshore.services.ec2.lookup import check_id
from longshore.services.ec2.model import Tag
from longshore.services.ec2.paging import page_of

_FILTERS: Mapping[str, ValuesOf[shapes.Instance]] = {
    "instance-id": lambda instance: (instance.instance_id or "",),
    "instance-state-name": lambda instance: ("running",),
    "instance-state-code": lambda instance: ("16",),
    "instance-type": lambda instance: (instance.instance_type or "",),
    "image-id": lambda instance: (instance.image_id or "",),
    "architecture": lambda instance: (instance.architecture or "",),
    "availability-zone": lambda instance: (instance.placement.availability_zone or "",) if instance.placement else (),
    "private-ip-address": lambda instance: (instance.private_ip_address or "",),
    "network-interface.addresses.private-ip-address": lambda instance: (instance.private_ip_address or "",),
    "private-dns-name": lambda instance: (instance.private_dns_name or "",),
    "subnet-id": lambda instance: (instance.subnet_id or "",),
    "vpc-id": lambda instance: (instance.vpc_id or "",),
    "instance.group-id": lambda instance: [group.group_id or "" for group in instance.security_groups or ()],
    "instance.group-name": lambda instance: [group.group_name or "" for group in instance.security_groups or ()],
    "virtualization-type": lambda instance: ("hvm",),
    "tenancy": lambda instance: ("default",),
}


@operation("DescribeInstances", resource=ANY_RESOURCE)
async def describe_instances(call: Call, request: shapes.DescribeInstancesRequest) -> shapes.DescribeInstancesResult:
    if request.max_results is not None and not 5 <= request.max_results <= 1000:
        raise InvalidParameterValue(
            f"Value ( {request.max_results} ) for parameter maxResults is invalid. Expecting a value between 5 and 1000."
        )
    ground = ground_of(call.store, call)
    instances = [described(call, instance, ground) for instance in running_instances(call.store, call)]
    if request.instance_ids:
        known = {instance.instance_id for instance in instances}
        for instance_id in request.instance_ids:
            if instance_id not in known:
                check_id(instance_id, "i")
                raise InvalidInstanceNotFound(f"The instance ID '{instance_id}' does not exist")
        instances = [instance for instance in instances if instance.instance_id in request.instance_ids]
    found = filtered(instances, request.filters, _FILTERS, _tags_of)
    page, next_token = page_of(
        found, lambda instance: instance.instance_id or "", request.next_token, request.max_results, named=bool(request.instance_ids)
    )
    return shapes.DescribeInstancesResult(reservations=tuple(reservation(call, instance) for instance in page), next_token=next_token)


def _tags_of(instance: shapes.Instance) -> tuple[Tag, ...]:
    return tuple(Tag(tag.key or "", tag.value or "") for tag in instance.tags or ())
