"""resources: ARNs that were acted on, and what CloudFormation calls their kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from longshore.audit.record import Resource

#: ARNs in one record
MOST = 100
#: how deep in an answer the ARNs of what was made are looked for
_DEEP = 4

#: (service, what stands first in the ARN's resource) -> kind
_TYPES: Mapping[tuple[str, str], str] = {
    ("acm", "certificate"): "AWS::CertificateManager::Certificate",
    ("ec2", "instance"): "AWS::EC2::Instance",
    ("ec2", "security-group"): "AWS::EC2::SecurityGroup",
    ("ec2", "subnet"): "AWS::EC2::Subnet",
    ("ec2", "vpc"): "AWS::EC2::VPC",
    ("ecr", "repository"): "AWS::ECR::Repository",
    ("ecs", "capacity-provider"): "AWS::ECS::CapacityProvider",
    ("ecs", "cluster"): "AWS::ECS::Cluster",
    ("ecs", "container-instance"): "AWS::ECS::ContainerInstance",
    ("ecs", "service"): "AWS::ECS::Service",
    ("ecs", "task"): "AWS::ECS::Task",
    ("ecs", "task-definition"): "AWS::ECS::TaskDefinition",
    ("ecs", "task-set"): "AWS::ECS::TaskSet",
    ("elasticloadbalancing", "listener"): "AWS::ElasticLoadBalancingV2::Listener",
    ("elasticloadbalancing", "listener-rule"): "AWS::ElasticLoadBalancingV2::ListenerRule",
    ("elasticloadbalancing", "loadbalancer"): "AWS::ElasticLoadBalancingV2::LoadBalancer",
    ("elasticloadbalancing", "targetgroup"): "AWS::ElasticLoadBalancingV2::TargetGroup",
    ("elasticloadbalancing", "truststore"): "AWS::ElasticLoadBalancingV2::TrustStore",
    ("iam", "group"): "AWS::IAM::Group",
    ("iam", "instance-profile"): "AWS::IAM::InstanceProfile",
    ("iam", "mfa"): "AWS::IAM::VirtualMFADevice",
    ("iam", "oidc-provider"): "AWS::IAM::OIDCProvider",
    ("iam", "policy"): "AWS::IAM::ManagedPolicy",
    ("iam", "role"): "AWS::IAM::Role",
    ("iam", "server-certificate"): "AWS::IAM::ServerCertificate",
    ("iam", "user"): "AWS::IAM::User",
    ("secretsmanager", "secret"): "AWS::SecretsManager::Secret",
    ("ssm", "parameter"): "AWS::SSM::Parameter",
    ("sts", "assumed-role"): "AWS::STS::AssumedRole",
}


@lru_cache(4_096)
def resource_of(arn: str) -> Resource | None:
    """None for what names no single resource."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or "*" in arn or len(arn) > 2_048:
        return None
    service, first = parts[2], parts[5].replace(":", "/").partition("/")[0]
    kind = _TYPES.get((service, first), "")
    if kind.endswith("V2::LoadBalancer") and "/" not in parts[5].removeprefix("loadbalancer/"):
        kind = "AWS::ElasticLoadBalancing::LoadBalancer"
    return Resource(arn, parts[4], kind)


def resources_of(arns: Iterable[str]) -> tuple[Resource, ...]:
    """Each once, in their order."""
    found = (resource_of(arn) for arn in list(dict.fromkeys(arns))[:MOST])
    return tuple(resource for resource in found if resource is not None)


def made(answer: object, deep: int = _DEEP) -> list[str]:
    """The ARNs that an answer, as it is written down, names as such."""
    found: list[str] = []
    if deep and isinstance(answer, dict):
        for name, value in answer.items():
            if isinstance(value, str):
                if name.endswith(("Arn", "arn")) and value.startswith("arn:"):
                    found.append(value)
            elif isinstance(value, (dict, list)):
                found += made(value, deep - 1)
    elif deep and isinstance(answer, list):
        for value in answer[:MOST]:
            found += made(value, deep - 1)
    return found


def owners(resources: Iterable[Resource], own: str) -> list[str]:
    """Accounts other than `own` whose resources are among them."""
    found: dict[str, Any] = {}
    for resource in resources:
        if resource.account_id and resource.account_id != own:
            found[resource.account_id] = None
    return list(found)
