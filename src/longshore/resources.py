"""Every kind of resource that an installation keeps, and the services whose resources have a say in who may do what with them."""

from __future__ import annotations

from longshore.gateway.authorise import ResourceSide
from longshore.services.acm import model as acm_model
from longshore.services.acm.tagging import resource_conditions as acm_conditions
from longshore.services.cloudtrail import model as cloudtrail_model
from longshore.services.ec2 import model as ec2_model
from longshore.services.ec2.conditions import resource_conditions as ec2_conditions
from longshore.services.ecr import kinds as ecr_kinds
from longshore.services.ecr.access.resource_policies import named_policies, resource_conditions, resource_policies
from longshore.services.ecs import kinds as ecs_kinds
from longshore.services.ecs.resource_tags import resource_conditions as ecs_conditions
from longshore.services.elb import model as elb_model
from longshore.services.elbv2 import hosts as elbv2_hosts
from longshore.services.elbv2 import model as elbv2_model
from longshore.services.elbv2.permissions import resource_conditions as elb_conditions
from longshore.services.iam import kinds as iam_kinds
from longshore.services.iam.entities import TRUSTED_ACTIONS, entity_conditions, named_trust, trust_policies
from longshore.services.iam.policy import Policy
from longshore.services.keys import model as keys_model
from longshore.services.secretsmanager import model as secretsmanager_model
from longshore.services.ssm import model as ssm_model
from longshore.services.ssm.resource_tags import resource_conditions as ssm_conditions
from longshore.services.sts import model as sts_model
from longshore.store.base import Reader

KINDS = (
    *(*ecs_kinds.KINDS, *ecr_kinds.KINDS, *elbv2_model.KINDS, *elbv2_hosts.KINDS, *acm_model.KINDS, *ec2_model.KINDS),
    *(*elb_model.KINDS, *iam_kinds.KINDS, *sts_model.KINDS, *secretsmanager_model.KINDS, *ssm_model.KINDS),
    *(*cloudtrail_model.KINDS, *keys_model.KINDS),
)


def _no_policies(reader: Reader, arn: str) -> tuple[Policy, ...]:
    """Of services whose resources have none of their own: only their tags are asked about."""
    return ()


#: services whose resources have a say in who may do what with them
RESOURCE_SIDES = {
    "acm": ResourceSide(_no_policies, acm_conditions),
    "ec2": ResourceSide(_no_policies, ec2_conditions),
    "ecr": ResourceSide(resource_policies, resource_conditions, frozenset({"ecr:DeleteRepositoryPolicy"}), named=named_policies),
    "ecs": ResourceSide(_no_policies, ecs_conditions),
    "ssm": ResourceSide(_no_policies, ssm_conditions),
    "elasticloadbalancing": ResourceSide(_no_policies, elb_conditions),
    "iam": ResourceSide(trust_policies, entity_conditions, must_allow=TRUSTED_ACTIONS, named=named_trust),
}
