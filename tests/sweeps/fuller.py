"""Further requests for some operations, each with more in it than a sample: whatever policies may ask about is in one of them.

They are asked about and not carried out: some name what this installation refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.model import Shape

from tests.sweeps.installation import PARAMETER_NAME, House, operation_model
from tests.sweeps.samples import sample

_TAG = {"key": "team", "value": "web"}
_STRATEGY = {"capacityProviderStrategy": [{"capacityProvider": "spare"}]}
_OF_TASKS = _STRATEGY | {"enableExecuteCommand": True}
_KMS = "arn:aws:kms:us-east-1:123456789012:key/1"


def fuller(house: House, api: str, operation: str) -> list[dict[str, Any]]:
    found = [sample(house, api, operation) | more for more in _more(house.names).get((api, operation), ())]
    shape = operation_model(api, operation).input_shape
    tags = _tags(shape, _TYPES.get(operation, "")) if shape is not None else {}
    return [*found, sample(house, api, operation) | tags] if tags else found


#: EC2's operations that create something -> its resource type
_TYPES = {"CreateVpc": "vpc", "CreateSubnet": "subnet", "CreateSecurityGroup": "security-group"}


def _tags(shape: Shape, created: str) -> dict[str, Any]:
    """A tag, where an operation takes tags, in its own form."""
    if "TagSpecifications" in shape.members:
        return {"TagSpecifications": [{"ResourceType": created or "security-group-rule", "Tags": [_as("Key", "Value")]}]}
    for member in ("tags", "Tags"):
        taken = shape.members.get(member)
        if taken is not None and taken.type_name == "list" and taken.member.type_name == "structure":
            keys = sorted(taken.member.members, key=str.lower)
            return {member: [_as(*keys[:2])]} if [key.lower() for key in keys] == ["key", "value"] else {}
    return {}


def _as(key: str, value: str) -> dict[str, str]:
    return {key: _TAG["key"], value: _TAG["value"]}


def _more(names: Mapping[str, str]) -> Mapping[tuple[str, str], tuple[dict[str, Any], ...]]:
    network = {"awsvpcConfiguration": {"subnets": [names["subnet_a"]], "assignPublicIp": "ENABLED"}}
    of_services = _OF_TASKS | {
        "taskDefinition": "web",
        "networkConfiguration": network,
        "enableECSManagedTags": True,
        "propagateTags": "SERVICE",
        "serviceConnectConfiguration": {"enabled": True, "namespace": "arn:aws:servicediscovery:us-east-1:123456789012:namespace/ns-1"},
        "vpcLatticeConfigurations": [],
        "volumeConfigurations": [],
    }
    storage = {"configuration": {"managedStorageConfiguration": {"fargateEphemeralStorageKmsKeyId": _KMS}}}
    secure = {"Protocol": "HTTPS", "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06", "Port": 8443}
    key = {"KmsKeyId": _KMS, "Description": "of a sweep", "Type": "vendor"}
    bounded = {"PermissionsBoundary": names["policy"]}
    reference = {"AttributeName": "Reference-Security-Policy", "AttributeValue": "ELBSecurityPolicy-2016-08"}
    return {
        ("ecs", "CreateCluster"): (storage, {"capacityProviders": ["spare"]}),
        ("ecs", "UpdateCluster"): (storage,),
        ("ecs", "CreateService"): (of_services,),
        ("ecs", "UpdateService"): (of_services,),
        ("ecs", "CreateTaskSet"): (_STRATEGY,),
        ("ecs", "RunTask"): (_OF_TASKS,),
        ("ecs", "DescribeTaskSets"): ({"taskSets": [names["task_set"]]},),
        ("ecs", "ListTasks"): ({"containerInstance": names["instance"]},),
        ("ecs", "RegisterTaskDefinition"): ({"cpu": "256", "memory": "0.5 GB", "requiresCompatibilities": ["EC2"]},),
        ("elbv2", "CreateListener"): (secure,),
        ("elbv2", "ModifyListener"): (secure,),
        ("elbv2", "CreateLoadBalancer"): ({"SecurityGroups": [names["default_group"]]},),
        ("elb", "CreateLoadBalancer"): ({"SecurityGroups": [names["default_group"]], "Subnets": [names["subnet_a"]]},),
        ("elb", "CreateLoadBalancerPolicy"): ({"PolicyTypeName": "SSLNegotiationPolicyType", "PolicyAttributes": [reference]},),
        ("elb", "SetLoadBalancerPoliciesOfListener"): ({"PolicyNames": ["ELBSecurityPolicy-2016-08"]},),
        ("acm", "RequestCertificate"): ({"CertificateAuthorityArn": "arn:aws:acm-pca:us-east-1:123456789012:certificate-authority/1"},),
        ("acm", "ImportCertificate"): ({"CertificateArn": names["certificate"]},),
        ("iam", "CreateRole"): (bounded,),
        ("iam", "CreateUser"): (bounded,),
        ("iam", "DeleteRole"): ({"RoleName": "deploy"},),
        ("sts", "AssumeRole"): ({"TransitiveTagKeys": ["team"]}, {"SourceIdentity": "ann"}),
        ("secretsmanager", "CreateSecret"): (key | {"ForceOverwriteReplicaSecret": True, "AddReplicaRegions": [{"Region": "eu-west-1"}]},),
        ("secretsmanager", "UpdateSecret"): (key,),
        ("secretsmanager", "DeleteSecret"): ({"ForceDeleteWithoutRecovery": True}, {"RecoveryWindowInDays": 7}),
        ("secretsmanager", "GetSecretValue"): ({"VersionId": "0" * 32, "VersionStage": "AWSCURRENT"},),
        ("ssm", "PutParameter"): ({"Policies": "[]", "Name": PARAMETER_NAME},),
    }
