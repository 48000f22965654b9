"""Roles that are linked to a service: made for it by its name, with the policy it needs, and changed by nobody else.

Nothing here acts in such a role: what the platform does, it does by itself. They are what tools make and look for before they use a
service, so they are kept and shown, and gone as soon as their deletion is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam.api import api
from longshore.services.iam.errors import InvalidInput, NoSuchEntity
from longshore.services.iam.lookup import find_role, new_id, role_arn_for
from longshore.services.iam.model import (
    ACCESS_KEY_USES,
    ATTACHMENTS,
    ROLE_DELETIONS,
    ROLES,
    Attachment,
    Role,
    RoleDeletion,
)
from longshore.services.iam.operations.roles import SERVICE_PATH
from longshore.services.iam.policy import CURRENT_VERSION
from longshore.services.iam.views import role_shape
from longshore.store.base import Tx


class _Linked(NamedTuple):
    role: str
    #: of AWS's own, under /aws-service-role/
    policy: str
    #: several may be made, told apart by a suffix
    suffixed: bool = False


_SERVICES = {
    "ecs.amazonaws.com": _Linked("AWSServiceRoleForECS", "AmazonECSServiceRolePolicy"),
    "elasticloadbalancing.amazonaws.com": _Linked("AWSServiceRoleForElasticLoadBalancing", "AWSElasticLoadBalancingServiceRolePolicy"),
    "autoscaling.amazonaws.com": _Linked("AWSServiceRoleForAutoScaling", "AutoScalingServiceRolePolicy", suffixed=True),
    "ecs.application-autoscaling.amazonaws.com": _Linked(
        "AWSServiceRoleForApplicationAutoScaling_ECSService", "AWSApplicationAutoscalingECSServicePolicy"
    ),
    "replication.ecr.amazonaws.com": _Linked("AWSServiceRoleForECRReplication", "ECRReplicationServiceRolePolicy"),
    "pullthroughcache.ecr.amazonaws.com": _Linked("AWSServiceRoleForECRPullThroughCache", "AWSECRPullThroughCache_ServiceRolePolicy"),
    "spot.amazonaws.com": _Linked("AWSServiceRoleForEC2Spot", "AWSEC2SpotServiceRolePolicy"),
    "spotfleet.amazonaws.com": _Linked("AWSServiceRoleForEC2SpotFleet", "AWSEC2SpotFleetServiceRolePolicy"),
}


def _name(request: shapes.CreateServiceLinkedRoleRequest) -> str:
    linked = _SERVICES.get(request.aws_service_name)
    name = linked.role if linked else "*"
    return f"{name}_{request.custom_suffix}" if request.custom_suffix else name


def _new_role(call: Call, request: shapes.CreateServiceLinkedRoleRequest) -> Iterable[str]:
    return (f"arn:aws:iam::{call.account_id}:role{SERVICE_PATH}{request.aws_service_name}/{_name(request)}",)


def _service(call: Call, request: shapes.CreateServiceLinkedRoleRequest) -> dict[str, list[str]]:
    return {"iam:awsservicename": [request.aws_service_name]}


def _named(call: Call, request: shapes.DeleteServiceLinkedRoleRequest) -> Iterable[str]:
    return (role_arn_for(call, request.role_name),)


def _deleted(call: Call, request: shapes.GetServiceLinkedRoleDeletionStatusRequest) -> Iterable[str]:
    """task/aws-service-role/SERVICE/ROLE/… names the role that was there."""
    path = request.deletion_task_id.removeprefix("task/").rpartition("/")[0]
    return (f"arn:aws:iam::{call.account_id}:role/{path}",)


@api.operation("CreateServiceLinkedRole", resource=_new_role, conditions=_service)
async def create_service_linked_role(call: Call, request: shapes.CreateServiceLinkedRoleRequest) -> shapes.CreateServiceLinkedRoleResponse:
    service = request.aws_service_name
    linked = _SERVICES.get(service)
    if linked is None:
        raise InvalidInput(f"Service linked roles for {service} are not known to this installation.")
    if request.custom_suffix and not linked.suffixed:
        raise InvalidInput(f"Custom suffix is not allowed for {service}")
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    role = Role(
        account_id=call.account_id,
        name=_name(request),
        role_id=new_id(call.ids, "AROA", 21),
        created_at=call.clock.now(),
        trust=msgspec.json.encode({"Version": CURRENT_VERSION, "Statement": [statement]}).decode(),
        path=f"{SERVICE_PATH}{service}/",
        description=request.description or "",
        service=service,
    )

    def create(tx: Tx) -> None:
        if tx.get(ROLES, role.key) is not None:
            raise InvalidInput(f"Service role name {role.name} has been taken in this account, please try a different suffix.")
        tx.create(ROLES, role)
        tx.create(ATTACHMENTS, Attachment(f"arn:aws:iam::aws:policy{SERVICE_PATH}{linked.policy}", role.arn, call.account_id))

    await call.store.transact(create)
    return shapes.CreateServiceLinkedRoleResponse(role=role_shape(call.store, role))


@api.operation("DeleteServiceLinkedRole", resource=_named)
async def delete_service_linked_role(call: Call, request: shapes.DeleteServiceLinkedRoleRequest) -> shapes.DeleteServiceLinkedRoleResponse:
    task = call.ids.uuid()

    def delete(tx: Tx) -> str:
        role = find_role(tx, call.account_id, request.role_name)
        if not role.service:
            raise InvalidInput(f"{role.name} is not a service-linked role: DeleteRole deletes it.")
        for attachment in tx.list(ATTACHMENTS, "owner", role.arn):
            tx.delete(ATTACHMENTS, attachment.key)
        tx.delete(ROLES, role.key)
        tx.delete(ACCESS_KEY_USES, role.role_id)
        deletion = RoleDeletion(f"task{role.path}{role.name}/{task}", call.account_id, "SUCCEEDED")
        return tx.create(ROLE_DELETIONS, deletion).task_id

    return shapes.DeleteServiceLinkedRoleResponse(deletion_task_id=await call.store.transact(delete))


@api.operation("GetServiceLinkedRoleDeletionStatus", resource=_deleted)
async def get_service_linked_role_deletion_status(
    call: Call, request: shapes.GetServiceLinkedRoleDeletionStatusRequest
) -> shapes.GetServiceLinkedRoleDeletionStatusResponse:
    deletion = call.store.get(ROLE_DELETIONS, f"{call.account_id}:{request.deletion_task_id}")
    if deletion is None:
        raise NoSuchEntity(f"Deletion id {request.deletion_task_id} not found.")
    return shapes.GetServiceLinkedRoleDeletionStatusResponse(status=deletion.status)
