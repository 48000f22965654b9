"""Policies that AWS keeps for everybody and that are attached by name, as far as they concern what is served here.

They stand in no store: `arn:aws:iam::aws:policy/…` is found in this table. Documents say what AWS's grant, in the actions
of the services served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from longshore.services.iam.model import ManagedPolicy
from longshore.services.iam.policy import CURRENT_VERSION

#: the account part of their ARNs
ACCOUNT = "aws"
#: when IAM's managed policies were introduced; AWS gives each its own date
_SINCE = 1_423_161_600.0

_ECR_READ = (
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
    "ecr:GetRepositoryPolicy",
    "ecr:DescribeRepositories",
    "ecr:ListImages",
    "ecr:DescribeImages",
    "ecr:BatchGetImage",
    "ecr:GetLifecyclePolicy",
    "ecr:GetLifecyclePolicyPreview",
    "ecr:ListTagsForResource",
    "ecr:DescribeImageScanFindings",
)
_ECR_WRITE = ("ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage")
_PULL = ("ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage")
_PULL_ONLY = ("ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchImportUpstreamImage")
_LOGS = ("logs:CreateLogStream", "logs:PutLogEvents")
_AGENT = (
    "ec2:DescribeTags",
    "ecs:CreateCluster",
    "ecs:DeregisterContainerInstance",
    "ecs:DiscoverPollEndpoint",
    "ecs:Poll",
    "ecs:RegisterContainerInstance",
    "ecs:StartTelemetrySession",
    "ecs:UpdateContainerInstancesState",
    "ecs:Submit*",
    "ecs:ListTagsForResource",
)

#: (path, name, allowed actions, description)
_TABLE: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("/", "AdministratorAccess", ("*",), "Provides full access to AWS services and resources."),
    ("/", "IAMFullAccess", ("iam:*",), "Provides full access to IAM via the AWS Management Console."),
    (
        "/",
        "IAMReadOnlyAccess",
        ("iam:Get*", "iam:List*", "iam:SimulateCustomPolicy", "iam:SimulatePrincipalPolicy"),
        "Provides read only access to IAM via the AWS Management Console.",
    ),
    (
        "/",
        "ReadOnlyAccess",
        (
            "autoscaling:Describe*",
            "cloudwatch:Describe*",
            "cloudwatch:Get*",
            "cloudwatch:List*",
            "ec2:Describe*",
            *_ECR_READ,
            "ecs:Describe*",
            "ecs:List*",
            "elasticloadbalancing:Describe*",
            "iam:Get*",
            "iam:List*",
            "iam:Simulate*",
            "logs:Describe*",
            "logs:Get*",
            "sts:GetAccessKeyInfo",
            "sts:GetCallerIdentity",
            "sts:GetSessionToken",
        ),
        "Provides read-only access to AWS services and resources.",
    ),
    (
        "/",
        "AmazonECS_FullAccess",
        (
            *("ecs:*", "elasticloadbalancing:*", "application-autoscaling:*", "autoscaling:*", "ec2:Describe*", "logs:*"),
            *("iam:ListAttachedRolePolicies", "iam:ListInstanceProfiles", "iam:ListRoles"),
        ),
        "Provides administrative access to Amazon ECS resources.",
    ),
    ("/", "AmazonEC2FullAccess", ("ec2:*", "elasticloadbalancing:*", "autoscaling:*"), "Provides full access to Amazon EC2."),
    ("/", "AmazonEC2ReadOnlyAccess", ("ec2:Describe*", "elasticloadbalancing:Describe*"), "Provides read only access to Amazon EC2."),
    ("/", "AmazonEC2ContainerRegistryFullAccess", ("ecr:*",), "Provides administrative access to Amazon ECR resources"),
    ("/", "AmazonEC2ContainerRegistryPowerUser", (*_ECR_READ, *_ECR_WRITE), "Provides full access to Amazon ECR repositories."),
    ("/", "AmazonEC2ContainerRegistryReadOnly", _ECR_READ, "Provides read-only access to Amazon ECR repositories."),
    ("/", "AmazonEC2ContainerRegistryPullOnly", _PULL_ONLY, "Provides access to pull images from Amazon ECR repositories."),
    ("/", "ElasticLoadBalancingFullAccess", ("elasticloadbalancing:*", "ec2:Describe*"), "Provides full access to Elastic Load Balancing."),
    ("/", "ElasticLoadBalancingReadOnly", ("elasticloadbalancing:Describe*",), "Provides read only access to Elastic Load Balancing."),
    ("/", "AWSCertificateManagerFullAccess", ("acm:*",), "Provides full access to AWS Certificate Manager (ACM)"),
    (
        "/",
        "AWSCertificateManagerReadOnly",
        (
            *("acm:DescribeCertificate", "acm:ListCertificates", "acm:GetCertificate", "acm:ListTagsForCertificate"),
            *("acm:GetAccountConfiguration", "acm:ListCertificateDomainValidations", "acm:SearchCertificates", "acm:ListTagsForResource"),
        ),
        "Provides read only access to AWS Certificate Manager (ACM).",
    ),
    ("/service-role/", "AmazonECSTaskExecutionRolePolicy", (*_PULL, *_LOGS), "Provides access to other services ECS tasks need."),
    (
        "/service-role/",
        "AmazonEC2ContainerServiceforEC2Role",
        (*_AGENT, *_PULL, *_LOGS),
        "Default policy for the Amazon EC2 Role for Amazon EC2 Container Service.",
    ),
)


_PULL_THROUGH = (
    *("ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart"),
    *("ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
)
_ALARMS = ("cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms")
_SPOT = ("ec2:RequestSpotInstances", "ec2:DescribeInstanceStatus", "ec2:TerminateInstances", "ec2:RunInstances", "ec2:CreateTags")

_Statement = Mapping[str, object]


def _allow(*actions: str, resource: str | Sequence[str] = "*", condition: Mapping[str, object] | None = None) -> _Statement:
    allowed = actions[0] if len(actions) == 1 else actions
    statement: dict[str, object] = {"Effect": "Allow", "Action": allowed, "Resource": resource}
    return statement | {"Condition": condition} if condition is not None else statement


def _passing(*services: str) -> _Statement:
    return _allow("iam:PassRole", condition={"StringLike": {"iam:PassedToService": services}})


#: (path, name, statements, description): those that say more than which actions
_LONGER: tuple[tuple[str, str, tuple[_Statement, ...], str], ...] = (
    (
        "/",
        "PowerUserAccess",
        (
            {"Effect": "Allow", "NotAction": ("iam:*", "organizations:*", "account:*"), "Resource": "*"},
            _allow("iam:CreateServiceLinkedRole", "iam:DeleteServiceLinkedRole", "iam:ListRoles"),
        ),
        "Provides full access to AWS services and resources, but does not allow management of Users and groups.",
    ),
    (
        "/",
        "AutoScalingFullAccess",
        (_allow("autoscaling:*"), _allow("cloudwatch:PutMetricAlarm"), _allow("ec2:Describe*", "elasticloadbalancing:Describe*")),
        "Provides full access to Auto Scaling.",
    ),
    ("/", "AutoScalingReadOnlyAccess", (_allow("autoscaling:Describe*"),), "Provides read-only access to Auto Scaling."),
    (
        "/service-role/",
        "AmazonEC2ContainerServiceRole",
        (
            _allow(
                *("ec2:AuthorizeSecurityGroupIngress", "ec2:Describe*", "elasticloadbalancing:Describe*"),
                *("elasticloadbalancing:DeregisterInstancesFromLoadBalancer", "elasticloadbalancing:DeregisterTargets"),
                *("elasticloadbalancing:RegisterInstancesWithLoadBalancer", "elasticloadbalancing:RegisterTargets"),
            ),
        ),
        "Default policy for Amazon ECS service role.",
    ),
    (
        "/service-role/",
        "AmazonEC2ContainerServiceAutoscaleRole",
        (_allow("ecs:DescribeServices", "ecs:UpdateService"), _allow("cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm")),
        "Policy to enable Task Autoscaling for Amazon EC2 Container Service",
    ),
    (
        "/service-role/",
        "AmazonEC2ContainerServiceEventsRole",
        (
            _allow("ecs:RunTask"),
            _passing("ecs-tasks.amazonaws.com"),
            _allow("ecs:TagResource", condition={"StringEquals": {"ecs:CreateAction": ("RunTask",)}}),
        ),
        "Policy to enable CloudWatch Events for EC2 Container Service",
    ),
    (
        "/service-role/",
        "AmazonEC2SpotFleetTaggingRole",
        (
            _allow(*_SPOT, "ec2:DescribeImages", "ec2:DescribeSubnets"),
            _passing("ec2.amazonaws.com"),
            _allow("elasticloadbalancing:RegisterInstancesWithLoadBalancer", "elasticloadbalancing:RegisterTargets"),
        ),
        "Allows EC2 Spot Fleet to request, terminate and tag Spot Instances on your behalf.",
    ),
    (
        "/service-role/",
        "AmazonEC2SpotFleetAutoscaleRole",
        (_allow("ec2:DescribeSpotFleetRequests", "ec2:ModifySpotFleetRequest"), _allow(*_ALARMS)),
        "Policy to enable Autoscaling for Amazon EC2 Spot Fleet",
    ),
    (
        "/aws-service-role/",
        "AmazonECSServiceRolePolicy",
        (
            _allow(
                *("ec2:Describe*", "elasticloadbalancing:Describe*", "elasticloadbalancing:RegisterTargets"),
                *("elasticloadbalancing:DeregisterTargets", "elasticloadbalancing:RegisterInstancesWithLoadBalancer"),
                *("elasticloadbalancing:DeregisterInstancesFromLoadBalancer", "autoscaling:Describe*"),
                *("ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:AttachNetworkInterface"),
                *("ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterfacePermission", "ec2:DetachNetworkInterface"),
            ),
        ),
        "Policy to enable Amazon ECS to manage your cluster.",
    ),
    (
        "/aws-service-role/",
        "AWSElasticLoadBalancingServiceRolePolicy",
        (
            _allow(
                *("ec2:Describe*", "ec2:AllocateAddress", "ec2:AssociateAddress", "ec2:DisassociateAddress", "ec2:ReleaseAddress"),
                *("ec2:AuthorizeSecurityGroupIngress", "ec2:CreateNetworkInterface", "ec2:CreateSecurityGroup"),
                *("ec2:DeleteNetworkInterface", "ec2:ModifyNetworkInterfaceAttribute", "ec2:AttachNetworkInterface"),
                *("ec2:DetachNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"),
            ),
        ),
        "Service Linked Role Policy for AWS Elastic Load Balancing Control Plane",
    ),
    (
        "/aws-service-role/",
        "AutoScalingServiceRolePolicy",
        (
            _allow(
                *("ec2:Describe*", "ec2:RunInstances", "ec2:TerminateInstances", "ec2:CreateTags", "ec2:RequestSpotInstances"),
                *("ec2:CancelSpotInstanceRequests", "ec2:StartInstances", "ec2:StopInstances", "ec2:AttachClassicLinkVpc"),
                *("elasticloadbalancing:Register*", "elasticloadbalancing:Deregister*", "elasticloadbalancing:Describe*"),
            ),
            _passing("ec2.amazonaws.com"),
            _allow(*_ALARMS),
        ),
        "Default policy for the Auto Scaling service-linked role.",
    ),
    (
        "/aws-service-role/",
        "AWSApplicationAutoscalingECSServicePolicy",
        (_allow("ecs:DescribeServices", "ecs:UpdateService", *_ALARMS),),
        "Policy granting permissions to Application Auto Scaling to access Elastic Container Service and CloudWatch.",
    ),
    (
        "/aws-service-role/",
        "ECRReplicationServiceRolePolicy",
        (_allow("ecr:CreateRepository", "ecr:ReplicateImage"),),
        "Allows access to AWS services and resources used or managed by ECR Replication",
    ),
    (
        "/aws-service-role/",
        "AWSECRPullThroughCache_ServiceRolePolicy",
        (
            _allow(*_PULL_THROUGH),
            _allow(
                "secretsmanager:GetSecretValue",
                resource="arn:aws:secretsmanager:*:*:secret:ecr-pullthroughcache/*",
                condition={"StringEquals": {"aws:ResourceAccount": "${aws:PrincipalAccount}"}},
            ),
        ),
        "Allows access to AWS services and resources used or managed by ECR pull through cache.",
    ),
    (
        "/aws-service-role/",
        "AWSEC2SpotServiceRolePolicy",
        (
            _allow("ec2:DescribeInstances", "ec2:StartInstances", "ec2:StopInstances", "ec2:RunInstances"),
            _passing("ec2.amazonaws.com"),
            _allow("ec2:CreateTags", condition={"StringEquals": {"ec2:CreateAction": "RunInstances"}}),
        ),
        "Allows EC2 Spot to launch and manage spot instances",
    ),
    (
        "/aws-service-role/",
        "AWSEC2SpotFleetServiceRolePolicy",
        (
            _allow(*_SPOT, "ec2:DescribeImages", "ec2:DescribeSubnets"),
            _passing("ec2.amazonaws.com"),
            _allow("elasticloadbalancing:RegisterInstancesWithLoadBalancer", "elasticloadbalancing:RegisterTargets"),
        ),
        "Allows EC2 Spot Fleet to launch and manage spot fleet instances",
    ),
)


#: statements of policies above, beside the one that allows their actions: what is allowed there only under a condition
_BESIDE: Mapping[str, tuple[_Statement, ...]] = {
    "AmazonECS_FullAccess": (
        _passing("ecs-tasks.amazonaws.com"),
        _allow(
            "iam:PassRole",
            resource="arn:aws:iam::*:role/ecsInstanceRole*",
            condition={"StringLike": {"iam:PassedToService": ("ec2.amazonaws.com",)}},
        ),
        _allow(
            "iam:CreateServiceLinkedRole",
            condition={
                "StringLike": {
                    "iam:AWSServiceName": (
                        *("autoscaling.amazonaws.com", "ecs.amazonaws.com", "ecs.application-autoscaling.amazonaws.com"),
                        *("spot.amazonaws.com", "spotfleet.amazonaws.com"),
                    )
                }
            },
        ),
    ),
}


def _document(statements: Sequence[_Statement]) -> str:
    return msgspec.json.encode({"Version": CURRENT_VERSION, "Statement": statements}).decode()


def _policy(number: int, path: str, name: str, description: str) -> ManagedPolicy:
    identifier = f"ANPALONGSHOREPOLICY{chr(ord('A') + number // 26)}{chr(ord('A') + number % 26)}"
    return ManagedPolicy(ACCOUNT, name, identifier, _SINCE, _SINCE, path=path, description=description)


#: (path, name, statements, description) of all of them; an id follows from the place here, so new ones come last
_ALL = (*((path, name, (_allow(*actions), *_BESIDE.get(name, ())), words) for path, name, actions, words in _TABLE), *_LONGER)
POLICIES: dict[str, ManagedPolicy] = {
    policy.arn: policy for policy in (_policy(number, path, name, words) for number, (path, name, _, words) in enumerate(_ALL))
}
DOCUMENTS: dict[str, str] = {arn: _document(statements) for arn, (_, _, statements, _) in zip(POLICIES, _ALL, strict=True)}
