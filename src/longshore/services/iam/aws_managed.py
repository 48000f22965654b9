"""Policies that AWS keeps for everybody and users attach by name, as far as they concern what is served here.

They stand in no store: `arn:aws:iam::aws:policy/…` is found in this table. Documents say what AWS's grant, in the actions
of the services served.
"""

from __future__ import annotations

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
    ("/", "IAMReadOnlyAccess", ("iam:Get*", "iam:List*"), "Provides read only access to IAM via the AWS Management Console."),
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
            "logs:Describe*",
            "logs:Get*",
            "sts:GetCallerIdentity",
        ),
        "Provides read-only access to AWS services and resources.",
    ),
    (
        "/",
        "AmazonECS_FullAccess",
        ("ecs:*", "elasticloadbalancing:*", "application-autoscaling:*", "autoscaling:*", "ec2:Describe*", "logs:*", "iam:PassRole"),
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
    ("/service-role/", "AmazonECSTaskExecutionRolePolicy", (*_PULL, *_LOGS), "Provides access to other services ECS tasks need."),
    (
        "/service-role/",
        "AmazonEC2ContainerServiceforEC2Role",
        (*_AGENT, *_PULL, *_LOGS),
        "Default policy for the Amazon EC2 Role for Amazon EC2 Container Service.",
    ),
)


def _document(actions: tuple[str, ...]) -> str:
    allowed = actions[0] if len(actions) == 1 else actions
    statement = {"Effect": "Allow", "Action": allowed, "Resource": "*"}
    return msgspec.json.encode({"Version": CURRENT_VERSION, "Statement": [statement]}).decode()


def _policy(number: int, path: str, name: str, description: str) -> ManagedPolicy:
    identifier = f"ANPALONGSHOREPOLICY{chr(ord('A') + number // 26)}{chr(ord('A') + number % 26)}"
    return ManagedPolicy(ACCOUNT, name, identifier, _SINCE, _SINCE, path=path, description=description)


POLICIES: dict[str, ManagedPolicy] = {
    policy.arn: policy for policy in (_policy(number, path, name, words) for number, (path, name, _, words) in enumerate(_TABLE))
}
DOCUMENTS: dict[str, str] = {arn: _document(actions) for arn, (_, _, actions, _) in zip(POLICIES, _TABLE, strict=True)}
