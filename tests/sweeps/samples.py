"""A request for every served operation that its root may make and that does something: what the sweeps start from.

Members that botocore's model requires are filled by their name; `_MORE` has what an operation needs beyond that, or instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from typing import Any

from botocore.model import Shape

from longshore.services.ecr.names import digest_of
from tests.sweeps.certificates import BUNDLE, CLIENTS, REVOKED, SERVER_UPLOAD, UPLOAD
from tests.sweeps.classic import classic_more, classic_named
from tests.sweeps.installation import (
    ELSEWHERE,
    INSTANCE_ID,
    LAYER,
    LIFECYCLE_POLICY,
    OWNER,
    PARAMETER_NAME,
    POLICY_DOCUMENT,
    REGISTRY_POLICY,
    REPOSITORY_POLICY,
    RESOURCES,
    SECRET_NAME,
    TRUST_DOCUMENT,
    UPLOADED,
    USER_ARN,
    House,
    identity_document,
    image_manifest,
    operation_model,
)
from tests.sweeps.people import people_more, people_named
from tests.sweeps.privileges import privileges_more, privileges_named
from tests.sweeps.vouching import vouching_more


def sample(house: House, api: str, operation: str) -> dict[str, Any]:
    return deepcopy(_sample(house, api, operation))


@cache
def _sample(house: House, api: str, operation: str) -> dict[str, Any]:
    named, more = _named(house.names, api), _more(house.names)
    shape = operation_model(api, operation).input_shape
    given = more.get((api, operation), {})
    required = [member for member in (shape.required_members if shape else []) if member not in given]
    return {member: _value(shape.members[member], member, named) for member in required} | given


def least(house: House, api: str, operation: str) -> dict[str, Any]:
    """The same without what may be left out."""
    shape = operation_model(api, operation).input_shape
    required = shape.required_members if shape else ()
    return {member: value for member, value in sample(house, api, operation).items() if member in required}


def _value(shape: Shape, name: str, named: Mapping[str, Any]) -> Any:
    if name in named:
        return named[name]
    match shape.type_name:
        case "string":
            return (shape.enum or ["text"])[0]
        case "integer" | "long":
            return 1
        case "blob":
            return b"a part"
        case "boolean":
            return True
        case "list":
            return [_value(shape.member, name, named)]
        case "structure":
            return {member: _value(shape.members[member], member, named) for member in shape.required_members}
    raise AssertionError(f"no plausible value is known for {name}, a {shape.type_name}")


def _named(names: Mapping[str, str], api: str) -> Mapping[str, Any]:
    """Member name -> value, for members that mean the same in all operations of an API."""
    return {
        "ecs": {
            "cluster": "main",
            "clusters": ["main"],
            "containerInstance": names["instance"],
            "containerInstances": [names["instance"]],
            "taskDefinition": names["definition"],
            "task": names["task"],
            "tasks": [names["task"]],
            "service": "site",
            "services": ["site"],
            "resourceArn": names["service"],
            "attributes": [{"name": "colour", "value": "blue", "targetId": names["instance"]}],
            "tags": [{"key": "team", "value": "web"}],
            "tagKeys": ["team"],
        },
        "ecr": {
            "repositoryName": "app/web",
            "imageIds": [{"imageTag": "1"}],
            "resourceArn": names["repository"],
            "tags": [{"Key": "team", "Value": "web"}],
            "tagKeys": ["team"],
        },
        "secretsmanager": {
            "SecretId": SECRET_NAME,
            "Tags": [{"Key": "team", "Value": "web"}],
            "TagKeys": ["team"],
        },
        "ssm": {
            "Name": PARAMETER_NAME,
            "Names": [PARAMETER_NAME],
            "ResourceType": "Parameter",
            "ResourceId": PARAMETER_NAME,
            "Tags": [{"Key": "team", "Value": "web"}],
            "TagKeys": ["team"],
            "Labels": ["live"],
            "ParameterVersion": 1,
        },
        "elb": classic_named(names, INSTANCE_ID),
        "elbv2": {
            "LoadBalancerArn": names["load_balancer"],
            "TargetGroupArn": names["target_group"],
            "ListenerArn": names["listener"],
            "RuleArn": names["rule"],
            "ResourceArns": [names["load_balancer"]],
            "Tags": [{"Key": "team", "Value": "web"}],
            "TagKeys": ["team"],
            "Subnets": [names["subnet_a"], names["subnet_b"]],
            "Targets": [{"Id": "172.31.0.10", "Port": 8080}],
            "Actions": [{"Type": "forward", "TargetGroupArn": names["target_group"]}],
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": names["target_group"]}],
            "Conditions": [{"Field": "path-pattern", "Values": ["/other/*"]}],
            "Certificates": [{"CertificateArn": names["idle_certificate"]}],
            "TrustStoreArn": names["trust_store"],
            "ResourceArn": names["trust_store"],
            "RevocationIds": [1],
            "RevocationId": 1,
            "Bucket": "trust",
            "Key": "clients.pem",
            **BUNDLE,
        },
        "acm": {
            "CertificateArn": names["issued_certificate"],
            "ResourceArn": names["issued_certificate"],
            "Tags": [{"Key": "team", "Value": "edge"}],
            "TagKeys": ["team"],
            **UPLOAD,
        },
        "ec2": {
            "VpcId": names["empty_vpc"],
            "SubnetId": names["subnet"],
            "GroupId": names["group"],
            "Resources": [names["vpc"]],
            "Tags": [{"Key": "team", "Value": "web"}],
            "Description": "of a sweep",
        },
        "iam": {
            "UserName": "bob",
            "PolicyArn": names["policy"],
            "PolicyDocument": POLICY_DOCUMENT,
            "PolicyName": "inline",
            "VersionId": "v1",
            "AccessKeyId": names["key"],
            "GroupName": "staff",
            "RoleName": "deploy",
            "InstanceProfileName": "machines",
            "PermissionsBoundary": names["policy"],
            "AssumeRolePolicyDocument": TRUST_DOCUMENT,
            "DeletionTaskId": names["role_deletion"],
            "PolicySourceArn": names["role"],
            "PolicyInputList": [POLICY_DOCUMENT],
            "ActionNames": ["ecs:RunTask"],
            "ServerCertificateName": "web",
            **SERVER_UPLOAD,
            **people_named(names),
            **privileges_named(),
        },
        "sts": {"RoleArn": names["role"], "RoleSessionName": "sweep", "AccessKeyId": names["key"], "EncodedMessage": names["message"]},
    }.get(api, {})


def _more(names: Mapping[str, str]) -> Mapping[tuple[str, str], dict[str, Any]]:
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    http = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    container = {
        "name": "app",
        "image": "busybox",
        "memory": 64,
        "cpu": 10,
        "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}],
        "environment": [{"name": "A", "value": "b"}],
        "healthCheck": {"command": ["CMD", "true"], "interval": 5},
        "logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}},
        "dependsOn": [],
        "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}],
        "ulimits": [{"name": "nofile", "softLimit": 10, "hardLimit": 20}],
        "linuxParameters": {"initProcessEnabled": True},
    }
    main = {"cluster": "main"}
    return {
        ("ecs", "CreateCluster"): {"clusterName": "new", "tags": [{"key": "a", "value": "b"}]},
        ("ecs", "DeleteCluster"): {"cluster": "empty"},
        ("ecs", "UpdateCluster"): main | {"settings": [{"name": "containerInsights", "value": "enabled"}]},
        ("ecs", "UpdateClusterSettings"): main | {"settings": [{"name": "containerInsights", "value": "enabled"}]},
        ("ecs", "DescribeClusters"): {"clusters": ["main"], "include": ["TAGS", "STATISTICS"]},
        ("ecs", "CreateService"): main
        | {
            "serviceName": "other",
            "taskDefinition": "web",
            "desiredCount": 1,
            "deploymentConfiguration": {"maximumPercent": 200, "minimumHealthyPercent": 50},
            "placementStrategy": [{"type": "spread", "field": "instanceId"}],
            "placementConstraints": [{"type": "memberOf", "expression": "attribute:colour == blue"}],
            "loadBalancers": [],
            "tags": [{"key": "a", "value": "b"}],
        },
        ("ecs", "UpdateService"): main | {"service": "site", "desiredCount": 2, "taskDefinition": "web"},
        ("ecs", "DeleteService"): main | {"service": "site", "force": True},
        ("ecs", "DescribeServices"): main | {"services": ["site"], "include": ["TAGS"]},
        ("ecs", "ListServices"): main,
        ("ecs", "ListServiceDeployments"): main | {"service": "site"},
        ("ecs", "DescribeServiceDeployments"): {"serviceDeploymentArns": [names["service_deployment"]]},
        ("ecs", "DescribeServiceRevisions"): {"serviceRevisionArns": [names["service_revision"]]},
        ("ecs", "StopServiceDeployment"): {"serviceDeploymentArn": names["service_deployment"], "stopType": "ROLLBACK"},
        ("ecs", "ContinueServiceDeployment"): {
            "serviceDeploymentArn": names["service_deployment"],
            "hookId": "0123456789abcdef",
            "action": "CONTINUE",
        },
        ("ecs", "CreateTaskSet"): main | {"service": "foreign", "taskDefinition": "web", "scale": {"value": 50, "unit": "PERCENT"}},
        ("ecs", "DescribeTaskSets"): main | {"service": "foreign", "include": ["TAGS"]},
        ("ecs", "UpdateTaskSet"): main | {"service": "foreign", "taskSet": names["task_set"], "scale": {"value": 50, "unit": "PERCENT"}},
        ("ecs", "DeleteTaskSet"): main | {"service": "foreign", "taskSet": names["task_set"], "force": True},
        ("ecs", "UpdateServicePrimaryTaskSet"): main | {"service": "foreign", "primaryTaskSet": names["task_set"]},
        ("ecs", "RegisterTaskDefinition"): {
            "family": "web",
            "taskRoleArn": f"arn:aws:iam::{names['service'].split(':')[4]}:role/worker",
            "networkMode": "bridge",
            "containerDefinitions": [container],
            "volumes": [{"name": "data", "host": {"sourcePath": "/tmp"}}],
            "placementConstraints": [{"type": "memberOf", "expression": "attribute:colour == blue"}],
            "tags": [{"key": "a", "value": "b"}],
        },
        ("ecs", "DeleteTaskDefinitions"): {"taskDefinitions": [names["retired"]]},
        ("ecs", "DescribeTaskDefinition"): {"taskDefinition": "web:2", "include": ["TAGS"]},
        ("ecs", "RunTask"): main
        | {
            "taskDefinition": "web",
            "count": 1,
            "group": "batch",
            "startedBy": "sweep",
            "overrides": {"containerOverrides": [{"name": "app", "command": ["true"], "environment": [{"name": "A", "value": "b"}]}]},
            "placementStrategy": [{"type": "binpack", "field": "memory"}],
        },
        ("ecs", "LongshoreExplainPlacement"): main
        | {
            "taskDefinition": "web",
            "count": 2,
            "placementStrategy": [{"type": "binpack", "field": "memory"}],
            "whatIf": {"lostZones": ["us-east-1b"], "cpu": 1},
        },
        ("ecs", "StartTask"): main | {"taskDefinition": "web", "containerInstances": [names["instance"]]},
        ("ecs", "StopTask"): main | {"task": names["task"], "reason": "enough"},
        ("ecs", "DescribeTasks"): main | {"tasks": [names["task"]], "include": ["TAGS"]},
        ("ecs", "ListTasks"): main,
        ("ecs", "ExecuteCommand"): main | {"task": names["task"], "container": "app", "command": "ls /", "interactive": True},
        ("ecs", "LongshoreOpenTaskLogs"): main | {"task": names["task"], "container": "app", "tail": 10},
        ("ecs", "LongshoreSubmitTaskRecord"): main | {"task": names["task"], "containers": [{"name": "app", "exitCode": 1}]},
        ("ecs", "LongshoreGetTaskRecord"): main | {"task": names["task"]},
        ("ecs", "LongshoreListTaskHistory"): main | {"family": "web", "failedOnly": True, "maxResults": 5},
        ("ecs", "RegisterContainerInstance"): main
        | {
            "instanceIdentityDocument": identity_document("i-00000000000000002"),
            "instanceIdentityDocumentSignature": "",
            "totalResources": RESOURCES,
            "attributes": [{"name": "ecs.os-type", "value": "linux"}],
        },
        ("ecs", "DeregisterContainerInstance"): main | {"containerInstance": names["instance"], "force": True},
        ("ecs", "DescribeContainerInstances"): main | {"containerInstances": [names["instance"]], "include": ["TAGS"]},
        ("ecs", "UpdateContainerInstancesState"): main | {"containerInstances": [names["instance"]], "status": "DRAINING"},
        ("ecs", "UpdateTaskProtection"): main | {"tasks": [names["task"]], "protectionEnabled": True, "expiresInMinutes": 60},
        ("ecs", "GetTaskProtection"): main | {"tasks": [names["task"]]},
        ("ecs", "ListContainerInstances"): main | {"filter": "attribute:colour == blue"},
        ("ecs", "PutAttributes"): main | {"attributes": [{"name": "size", "value": "big", "targetId": names["instance"]}]},
        ("ecs", "DeleteAttributes"): main | {"attributes": [{"name": "colour", "targetId": names["instance"]}]},
        ("ecs", "ListAttributes"): main | {"targetType": "container-instance"},
        ("ecs", "LongshoreCreateActivation"): {"description": "rack 4", "expiresInMinutes": 90, "registrationLimit": 2},
        ("ecs", "LongshoreListActivations"): {},
        ("ecs", "LongshoreDeleteActivation"): {"activationId": names["activation"]},
        ("ecs", "LongshoreGetUtilization"): main | {"tasks": [names["task"]], "containerInstances": [names["instance"]]},
        ("ecs", "LongshoreListEvents"): main | {"task": names["task"], "startTime": 1.5, "maxResults": 5, "waitSeconds": 0},
        ("ecs", "LongshorePlanRebalance"): main | {"service": "site", "maxMoves": 5},
        ("ecs", "LongshoreStartRebalance"): main,
        ("ecs", "LongshoreDescribeRebalances"): main,
        ("ecs", "LongshoreStopRebalance"): main | {"rebalance": names["cluster"].replace(":cluster/", ":longshore-rebalance/") + "/none"},
        ("ecs", "LongshoreExplainService"): main | {"service": "site"},
        ("ecs", "LongshoreGetServiceTraffic"): main | {"service": "site"},
        ("ecs", "UpdateContainerAgent"): main | {"containerInstance": names["instance"]},
        ("ecs", "PutAccountSetting"): {"name": "containerInsights", "value": "enabled"},
        ("ecs", "PutAccountSettingDefault"): {"name": "containerInsights", "value": "enabled"},
        ("ecs", "DeleteAccountSetting"): {"name": "containerInsights"},
        ("ecs", "ListAccountSettings"): {"name": "containerInsights", "effectiveSettings": True},
        ("ecs", "CreateCapacityProvider"): {
            "name": "burst",
            "autoScalingGroupProvider": {"autoScalingGroupArn": "burst"},
            "tags": [{"key": "a", "value": "b"}],
        },
        ("ecs", "UpdateCapacityProvider"): {
            "name": "spare",
            "autoScalingGroupProvider": {"managedScaling": {"targetCapacity": 50}},
        },
        ("ecs", "DeleteCapacityProvider"): {"capacityProvider": "spare"},
        ("ecs", "DescribeCapacityProviders"): {"capacityProviders": ["spare"], "include": ["TAGS"]},
        ("ecs", "PutClusterCapacityProviders"): main | {"capacityProviders": ["spare"], "defaultCapacityProviderStrategy": []},
        ("ecs", "ListServicesByNamespace"): {"namespace": "internal"},
        ("ecs", "DiscoverPollEndpoint"): main | {"containerInstance": names["instance"]},
        ("ecs", "SubmitTaskStateChange"): main | {"task": names["task"], "status": "STOPPED", "reason": "done"},
        ("ecs", "SubmitContainerStateChange"): main | {"task": names["task"], "containerName": "app", "status": "STOPPED", "exitCode": 1},
        ("ecs", "SubmitAttachmentStateChanges"): main | {"attachments": [{"attachmentArn": "x", "status": "ATTACHED"}]},
        ("ecr", "CreateRepository"): {"repositoryName": "app/new", "tags": [{"Key": "a", "Value": "b"}]},
        ("ecr", "DescribeRepositories"): {"repositoryNames": ["app/web"]},
        ("ecr", "DeleteRepository"): {"repositoryName": "app/web", "force": True},
        ("ecr", "SetRepositoryPolicy"): {"policyText": REPOSITORY_POLICY},
        ("ecr", "PutRegistryPolicy"): {"policyText": REGISTRY_POLICY},
        ("ecr", "UploadLayerPart"): {
            "uploadId": names["layer_upload"],
            "partFirstByte": 0,
            "partLastByte": len(UPLOADED) - 1,
            "layerPartBlob": UPLOADED,
        },
        ("ecr", "CompleteLayerUpload"): {"uploadId": names["layer_upload"], "layerDigests": [digest_of(UPLOADED)]},
        ("ecr", "BatchCheckLayerAvailability"): {"layerDigests": [digest_of(LAYER)]},
        ("ecr", "GetDownloadUrlForLayer"): {"layerDigest": digest_of(LAYER)},
        ("ecr", "UpdateImageStorageClass"): {"imageId": {"imageTag": "1"}, "targetStorageClass": "ARCHIVE"},
        ("ecr", "ListImageReferrers"): {"subjectId": {"imageDigest": names["digest"]}},
        ("ecr", "GetAccountSetting"): {"name": "BLOB_MOUNTING"},
        ("ecr", "PutAccountSetting"): {"name": "BLOB_MOUNTING", "value": "DISABLED"},
        ("ecr", "RegisterPullTimeUpdateExclusion"): {"principalArn": f"{USER_ARN}s-robot"},
        ("ecr", "DeregisterPullTimeUpdateExclusion"): {"principalArn": USER_ARN},
        ("ecr", "CreateRepositoryCreationTemplate"): {"prefix": "team", "appliedFor": ["CREATE_ON_PUSH"]},
        ("ecr", "DescribeRepositoryCreationTemplates"): {"prefixes": ["made"]},
        ("ecr", "UpdateRepositoryCreationTemplate"): {"prefix": "made", "description": "made anew"},
        ("ecr", "DeleteRepositoryCreationTemplate"): {"prefix": "made"},
        ("ecr", "PutLifecyclePolicy"): {"lifecyclePolicyText": LIFECYCLE_POLICY},
        ("ecr", "StartLifecyclePolicyPreview"): {"lifecyclePolicyText": LIFECYCLE_POLICY},
        ("ecr", "LongshorePreviewLifecyclePolicy"): {"lifecyclePolicyText": LIFECYCLE_POLICY, "days": 3, "filter": {"decision": "KEEP"}},
        ("ecr", "LongshorePutLifecycleSettings"): {"keepImagesInUse": True, "countRecentRevisions": 3},
        ("ecr", "LongshoreListRegistryEvents"): {"repositoryName": "app/web", "newest": 5},
        ("ecr", "PutReplicationConfiguration"): {
            "replicationConfiguration": {
                "rules": [
                    {
                        "destinations": [{"region": ELSEWHERE, "registryId": OWNER}],
                        "repositoryFilters": [{"filter": "app/", "filterType": "PREFIX_MATCH"}],
                    }
                ]
            }
        },
        ("ecr", "DescribeImageReplicationStatus"): {"imageId": {"imageTag": "1"}},
        ("ecr", "StartReplicationBackfill"): {"destination": {"region": "eu-central-1", "registryId": OWNER}},
        ("ecr", "StopReplicationBackfill"): {"replicationBackfillId": names["backfill"]},
        ("ecr", "DescribeReplicationBackfillResults"): {"replicationBackfillId": names["backfill"], "resultStatusFilter": "FAILED"},
        ("ecr", "CreatePullThroughCacheRule"): {
            "ecrRepositoryPrefix": "quay",
            "upstreamRegistryUrl": "quay.io",
            "credentialArn": names["secret"],
        },
        ("ecr", "DescribePullThroughCacheRules"): {"ecrRepositoryPrefixes": ["hub"]},
        ("ecr", "UpdatePullThroughCacheRule"): {"ecrRepositoryPrefix": "hub", "credentialArn": names["secret"]},
        ("ecr", "DeletePullThroughCacheRule"): {"ecrRepositoryPrefix": "hub"},
        ("ecr", "ValidatePullThroughCacheRule"): {"ecrRepositoryPrefix": "hub"},
        ("ecr", "LongshorePutRemoteRegistry"): {
            "name": "other",
            "url": "https://registry.example/team",
            "userName": "bob",
            "password": "secret",
        },
        ("ecr", "LongshoreCheckRemoteRegistry"): {"name": "backup"},
        ("ecr", "LongshoreDeleteRemoteRegistry"): {"name": "backup"},
        ("ecr", "PutRegistryScanningConfiguration"): {
            "scanType": "ENHANCED",
            "rules": [{"scanFrequency": "CONTINUOUS_SCAN", "repositoryFilters": [{"filter": "app/*", "filterType": "WILDCARD"}]}],
        },
        ("ecr", "PutImageScanningConfiguration"): {"imageScanningConfiguration": {"scanOnPush": True}},
        ("ecr", "BatchGetRepositoryScanningConfiguration"): {"repositoryNames": ["app/web"]},
        ("ecr", "StartImageScan"): {"imageId": {"imageTag": "1"}},
        ("ecr", "DescribeImageScanFindings"): {"imageId": {"imageTag": "1"}},
        ("ecr", "LongshoreGetImageSbom"): {"imageId": {"imageTag": "1"}, "format": "spdx"},
        ("ecr", "PutImage"): {"repositoryName": "app/web", "imageTag": "2", "imageManifest": image_manifest("second")},
        ("secretsmanager", "CreateSecret"): {"Name": "other", "SecretString": "value", "Tags": [{"Key": "a", "Value": "b"}]},
        ("secretsmanager", "ListSecrets"): {"Filters": [{"Key": "name", "Values": ["ecr"]}]},
        ("secretsmanager", "UpdateSecret"): {"Description": "of a sweep"},
        ("secretsmanager", "PutSecretValue"): {"SecretString": "newer"},
        ("ssm", "PutParameter"): {"Name": "/sweep/other", "Value": "value", "Type": "String"},
        ("ssm", "GetParametersByPath"): {"Path": "/sweep", "Recursive": True},
        ("ssm", "DescribeParameters"): {"ParameterFilters": [{"Key": "Name", "Option": "BeginsWith", "Values": ["/sweep"]}]},
        ("elbv2", "CreateLoadBalancer"): {"Name": "other", "Subnets": [names["subnet_a"], names["subnet_b"]]},
        ("elbv2", "SetSubnets"): {"Subnets": [names["subnet_a"], names["subnet_b"]]},
        ("elbv2", "DescribeLoadBalancers"): {"LoadBalancerArns": [names["load_balancer"]]},
        ("elbv2", "SetSecurityGroups"): {"SecurityGroups": [names["default_group"]]},
        ("elbv2", "ModifyLoadBalancerAttributes"): {"Attributes": [{"Key": "idle_timeout.timeout_seconds", "Value": "30"}]},
        ("elbv2", "ModifyTargetGroupAttributes"): {"Attributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "30"}]},
        ("elbv2", "CreateTargetGroup"): {
            "Name": "other",
            "Protocol": "HTTP",
            "Port": 80,
            "VpcId": names["default_vpc"],
            "TargetType": "ip",
        },
        ("elbv2", "DescribeTargetGroups"): {"TargetGroupArns": [names["target_group"]]},
        ("elbv2", "ModifyTargetGroup"): {"HealthCheckPath": "/health"},
        ("elbv2", "DeleteTargetGroup"): {"TargetGroupArn": names["idle_group"]},
        ("elbv2", "CreateListener"): {"Protocol": "HTTP", "Port": 8080},
        ("elbv2", "DescribeListeners"): {"ListenerArns": [names["listener"]]},
        ("elbv2", "ModifyListener"): {"Port": 81},
        ("elbv2", "CreateRule"): {"Priority": 20},
        ("elbv2", "DescribeRules"): {"RuleArns": [names["rule"]]},
        ("elbv2", "ModifyRule"): {"Conditions": [{"Field": "host-header", "Values": ["a.example"]}]},
        ("elbv2", "SetRulePriorities"): {"RulePriorities": [{"RuleArn": names["rule"], "Priority": 30}]},
        ("elbv2", "AddListenerCertificates"): {"ListenerArn": names["https_listener"]},
        ("elbv2", "RemoveListenerCertificates"): {
            "ListenerArn": names["https_listener"],
            "Certificates": [{"CertificateArn": f"arn:aws:iam::{OWNER}:server-certificate/web"}],
        },
        ("elbv2", "DescribeListenerCertificates"): {"ListenerArn": names["https_listener"]},
        ("elbv2", "ModifyListenerAttributes"): {"Attributes": [{"Key": "routing.http.response.server.enabled", "Value": "false"}]},
        ("elbv2", "CreateTrustStore"): {"Name": "another"},
        ("elbv2", "DeleteTrustStore"): {"TrustStoreArn": names["idle_trust_store"]},
        ("elbv2", "AddTrustStoreRevocations"): {"RevocationContents": [REVOKED]},
        ("elbv2", "DeleteSharedTrustStoreAssociation"): {"ResourceArn": names["load_balancer"]},
        ("elbv2", "ModifyCapacityReservation"): {"ResetCapacityReservation": True},
        ("elbv2", "ModifyIpPools"): {"RemoveIpamPools": ["ipv4"]},
        ("elbv2", "DescribeSSLPolicies"): {"Names": ["ELBSecurityPolicy-2016-08"]},
        ("elbv2", "LongshoreTestRequest"): {
            "Url": "http://web.example/api",
            "Headers": [{"Name": "X-One", "Value": "a"}],
            "SourceIp": "10.0.0.1",
        },
        ("elbv2", "LongshorePutTrustStoreFile"): {"Content": CLIENTS.pem.decode()},
        ("acm", "RequestCertificate"): {"DomainName": "www.example", "ValidationMethod": "DNS"},
        ("acm", "DeleteCertificate"): {"CertificateArn": names["idle_certificate"]},
        ("acm", "ExportCertificate"): {"Passphrase": b"open sesame"},
        ("acm", "RevokeCertificate"): {"RevocationReason": "SUPERSEDED"},
        ("acm", "ResendValidationEmail"): {
            "CertificateArn": names["pending_certificate"],
            "Domain": "api.example",
            "ValidationDomain": "api.example",
        },
        ("acm", "UpdateCertificateOptions"): {"Options": {"ValidationMethod": "DNS"}},
        ("acm", "PutAccountConfiguration"): {"IdempotencyToken": "sweep", "ExpiryEvents": {"DaysBeforeExpiry": 30}},
        ("acm", "SearchCertificates"): {
            "FilterStatement": {
                "Filter": {"X509AttributeFilter": {"Subject": {"CommonName": {"Value": "api", "ComparisonOperator": "CONTAINS"}}}}
            }
        },
        ("iam", "UploadServerCertificate"): {"ServerCertificateName": "other"},
        ("iam", "UpdateServerCertificate"): {"NewServerCertificateName": "site"},
        ("iam", "DeleteServerCertificate"): {"ServerCertificateName": "idle"},
        ("iam", "TagServerCertificate"): {"Tags": [{"Key": "a", "Value": "b"}]},
        ("iam", "UntagServerCertificate"): {"TagKeys": ["team"]},
        ("ec2", "CreateVpc"): {"CidrBlock": "10.3.0.0/16"},
        ("ec2", "DescribeVpcs"): {"VpcIds": [names["vpc"]]},
        ("ec2", "CreateSubnet"): {"VpcId": names["vpc"], "CidrBlock": "10.1.2.0/24", "AvailabilityZone": "us-east-1b"},
        ("ec2", "DescribeSubnets"): {"SubnetIds": [names["subnet"]]},
        ("ec2", "CreateSecurityGroup"): {"GroupName": "other", "VpcId": names["vpc"]},
        ("ec2", "DescribeSecurityGroups"): {"GroupIds": [names["group"]]},
        ("ec2", "DescribeSecurityGroupRules"): {"SecurityGroupRuleIds": [names["group_rule"]]},
        ("ec2", "DeleteSecurityGroup"): {"GroupId": names["group"]},
        ("ec2", "AuthorizeSecurityGroupIngress"): {"GroupId": names["group"], "IpPermissions": [ssh]},
        ("ec2", "AuthorizeSecurityGroupEgress"): {"GroupId": names["group"], "IpPermissions": [ssh]},
        ("ec2", "RevokeSecurityGroupIngress"): {"GroupId": names["group"], "IpPermissions": [http]},
        ("ec2", "RevokeSecurityGroupEgress"): {"GroupId": names["group"], "IpPermissions": [everything]},
        ("ec2", "DescribeInstances"): {"InstanceIds": [INSTANCE_ID]},
        ("ec2", "DescribeTags"): {"Filters": [{"Name": "resource-type", "Values": ["vpc"]}]},
        **people_more(names),
        **privileges_more(),
        **vouching_more(names),
        ("iam", "CreateUser"): {"UserName": "dave"},
        ("iam", "GetUser"): {"UserName": "bob"},
        ("iam", "UpdateUser"): {"UserName": "bob", "NewUserName": "robert"},
        ("iam", "DeleteUser"): {"UserName": "carol"},
        ("iam", "CreateAccessKey"): {"UserName": "bob"},
        ("iam", "ListAccessKeys"): {"UserName": "bob"},
        ("iam", "UpdateAccessKey"): {"UserName": "bob", "Status": "Inactive"},
        ("iam", "DeleteAccessKey"): {"UserName": "bob"},
        ("iam", "CreatePolicy"): {"PolicyName": "other"},
        ("iam", "DeletePolicy"): {"PolicyArn": names["idle_policy"]},
        ("iam", "AttachUserPolicy"): {"PolicyArn": names["idle_policy"]},
        ("iam", "TagUser"): {"Tags": [{"Key": "a", "Value": "b"}]},
        ("iam", "UntagUser"): {"TagKeys": ["team"]},
        ("iam", "CreateGroup"): {"GroupName": "others"},
        ("iam", "UpdateGroup"): {"NewGroupName": "crew"},
        ("iam", "DeleteGroup"): {"GroupName": "empty"},
        ("iam", "AddUserToGroup"): {"GroupName": "empty", "UserName": "bob"},
        ("iam", "AttachGroupPolicy"): {"PolicyArn": names["idle_policy"]},
        ("iam", "SetDefaultPolicyVersion"): {"VersionId": "v2"},
        ("iam", "DeletePolicyVersion"): {"VersionId": "v2"},
        ("iam", "TagPolicy"): {"Tags": [{"Key": "a", "Value": "b"}]},
        ("iam", "UntagPolicy"): {"TagKeys": ["team"]},
        ("iam", "CreateRole"): {"RoleName": "other"},
        ("iam", "DeleteRole"): {"RoleName": "idle"},
        ("iam", "UpdateRole"): {"MaxSessionDuration": 7200},
        ("iam", "UpdateRoleDescription"): {"Description": "other"},
        ("iam", "UpdateAssumeRolePolicy"): {"PolicyDocument": TRUST_DOCUMENT},
        ("iam", "AttachRolePolicy"): {"PolicyArn": names["idle_policy"]},
        ("iam", "TagRole"): {"Tags": [{"Key": "a", "Value": "b"}]},
        ("iam", "UntagRole"): {"TagKeys": ["team"]},
        ("iam", "CreateInstanceProfile"): {"InstanceProfileName": "other"},
        ("iam", "DeleteInstanceProfile"): {"InstanceProfileName": "idle"},
        ("iam", "AddRoleToInstanceProfile"): {"InstanceProfileName": "idle"},
        ("iam", "TagInstanceProfile"): {"Tags": [{"Key": "a", "Value": "b"}]},
        ("iam", "UntagInstanceProfile"): {"TagKeys": ["team"]},
        **classic_more(names),
        ("sts", "AssumeRole"): {"Tags": [{"Key": "a", "Value": "b"}], "ExternalId": "ours"},
        ("iam", "CreateServiceLinkedRole"): {"AWSServiceName": "ecs.amazonaws.com"},
        ("iam", "DeleteServiceLinkedRole"): {"RoleName": "AWSServiceRoleForECRReplication"},
    }
