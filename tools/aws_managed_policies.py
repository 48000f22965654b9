"""Writes src/longshore/services/iam/aws_managed.json: AWS's managed policies, as far as they concern what is served here.

    python tools/aws_managed_policies.py            write the file
    python tools/aws_managed_policies.py --check    exit 1 if it would change

What a policy says is AWS's own and changes with time. It is read from the collection that moto carries (the bench group of
pyproject.toml), which is made of what AWS's API answers. Statements are taken as they are; only of the policies that speak of every
service there is (`WIDE`) what concerns other services is left out. The descriptions are written by hand, below: the collection has none.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[1] / "src" / "longshore" / "services" / "iam" / "aws_managed.json"

WANTED: Mapping[str, str] = {
    # everything
    "AdministratorAccess": "Provides full access to AWS services and resources.",
    "PowerUserAccess": "Provides full access to AWS services and resources, but does not allow management of Users and groups.",
    "ReadOnlyAccess": "Provides read-only access to AWS services and resources.",
    "SecurityAudit": "The security audit template grants access to read security configuration metadata.",
    "ViewOnlyAccess": "Grants permissions to view resources and basic metadata across AWS services.",
    # people and their credentials
    "IAMFullAccess": "Provides full access to IAM via the AWS Management Console.",
    "IAMReadOnlyAccess": "Provides read only access to IAM via the AWS Management Console.",
    "IAMUserChangePassword": "Provides the ability for an IAM user to change their own password.",
    "IAMAccessAdvisorReadOnly": "Grants access to read all access information provided by IAM access advisor.",
    # ECS
    "AmazonECS_FullAccess": "Provides administrative access to Amazon ECS resources.",
    "AmazonECSTaskExecutionRolePolicy": "Provides access to other AWS service resources that are required to run Amazon ECS tasks.",
    "AmazonEC2ContainerServiceforEC2Role": "Default policy for the Amazon EC2 Role for Amazon EC2 Container Service.",
    "AmazonEC2ContainerServiceRole": "Default policy for Amazon ECS service role.",
    "AmazonEC2ContainerServiceAutoscaleRole": "Policy to enable Task Autoscaling for Amazon EC2 Container Service.",
    "AmazonEC2ContainerServiceEventsRole": "Policy to enable CloudWatch Events for EC2 Container Service.",
    "AmazonECSServiceRolePolicy": "Policy to enable Amazon ECS to manage your cluster.",
    "AmazonECSComputeServiceRolePolicy": "Policy to enable Amazon ECS to manage the instances of capacity providers.",
    "AmazonECSInfrastructureRolePolicyForLoadBalancers": "Allows Amazon ECS to manage load balancers for blue/green deployments.",
    "AmazonECSInfrastructureRolePolicyForVolumes": "Allows Amazon ECS to manage volumes attached to its workloads.",
    "AmazonECSInfrastructureRolePolicyForServiceConnectTransportLayerSecurity": "Allows Amazon ECS to manage TLS for Service Connect.",
    "AmazonECSInfrastructureRolePolicyForVpcLattice": "Allows Amazon ECS to manage VPC Lattice targets for its workloads.",
    "AmazonECSInfrastructureRolePolicyForManagedInstances": "Allows Amazon ECS to manage the instances that it runs itself.",
    "AmazonECSInstanceRolePolicyForManagedInstances": "Permissions for instances that Amazon ECS runs itself.",
    "AmazonECSInfrastructureRoleforExpressGatewayServices": "Allows Amazon ECS to manage what Express Gateway services need.",
    "AWSCodeDeployRoleForECS": "Provides CodeDeploy service wide access to perform an ECS blue/green deployment on your behalf.",
    "AWSCodeDeployRoleForECSLimited": "Provides CodeDeploy service limited access to perform an ECS blue/green deployment.",
    "AWSFaultInjectionSimulatorECSAccess": "Lets the Fault Injection Simulator perform its actions in ECS.",
    # ECR
    "AmazonEC2ContainerRegistryFullAccess": "Provides administrative access to Amazon ECR resources.",
    "AmazonEC2ContainerRegistryPowerUser": "Provides full access to Amazon ECR repositories, but no deletion and no policy changes.",
    "AmazonEC2ContainerRegistryReadOnly": "Provides read-only access to Amazon ECR repositories.",
    "AmazonEC2ContainerRegistryPullOnly": "Provides access to pull images from Amazon ECR repositories.",
    "ECRReplicationServiceRolePolicy": "Allows access to AWS services and resources used or managed by ECR Replication.",
    "ECRTemplateServiceRolePolicy": "Allows access to AWS services and resources used or managed by ECR repository creation templates.",
    "AWSECRPullThroughCache_ServiceRolePolicy": "Allows access to AWS services and resources used or managed by ECR pull through cache.",
    "AWSAppRunnerServicePolicyForECRAccess": "Grants App Runner permission to read images of Amazon ECR repositories.",
    "EC2InstanceProfileForImageBuilderECRContainerBuilds": "Lets an instance build container images and push them.",
    # load balancing
    "ElasticLoadBalancingFullAccess": "Provides full access to Amazon ElasticLoadBalancing, and limited access to other services.",
    "ElasticLoadBalancingReadOnly": "Provides read only access to Amazon ElasticLoadBalancing and dependent services.",
    "AWSElasticLoadBalancingServiceRolePolicy": "Service Linked Role Policy for AWS Elastic Load Balancing Control Plane.",
    "AWSElasticLoadBalancingClassicServiceRolePolicy": "Service Linked Role Policy for the control plane of Classic load balancers.",
    # scaling
    "AutoScalingFullAccess": "Provides full access to Auto Scaling.",
    "AutoScalingReadOnlyAccess": "Provides read-only access to Auto Scaling.",
    "AutoScalingConsoleFullAccess": "Provides full access to Auto Scaling via the AWS Management Console.",
    "AutoScalingConsoleReadOnlyAccess": "Provides read-only access to Auto Scaling via the AWS Management Console.",
    "AutoScalingNotificationAccessRole": "Default policy for the AutoScaling Notification Access service role.",
    "AutoScalingServiceRolePolicy": "Default policy for the Auto Scaling service-linked role.",
    "AWSAutoScalingPlansEC2AutoScalingPolicy": "Policy granting permissions to AWS Auto Scaling to forecast capacity.",
    "AWSApplicationAutoscalingECSServicePolicy": "Policy granting permissions to Application Auto Scaling to access ECS and CloudWatch.",
    "AWSApplicationAutoscalingEC2SpotFleetRequestPolicy": "Policy granting permissions to Application Auto Scaling for Spot fleets.",
    # Spot fleets
    "AmazonEC2SpotFleetTaggingRole": "Allows EC2 Spot Fleet to request, terminate and tag Spot Instances on your behalf.",
    "AmazonEC2SpotFleetAutoscaleRole": "Policy to enable Autoscaling for Amazon EC2 Spot Fleet.",
    "AWSEC2SpotServiceRolePolicy": "Allows EC2 Spot to launch and manage spot instances.",
    "AWSEC2SpotFleetServiceRolePolicy": "Allows EC2 Spot Fleet to launch and manage spot fleet instances.",
    "AWSEC2FleetServiceRolePolicy": "Allows EC2 Fleet to launch and manage instances.",
    # machines
    "AmazonEC2FullAccess": "Provides full access to Amazon EC2 via the AWS Management Console.",
    "AmazonEC2ReadOnlyAccess": "Provides read only access to Amazon EC2 via the AWS Management Console.",
    "AmazonSSMManagedInstanceCore": "The policy for Amazon EC2 Role to enable AWS Systems Manager service core functionality.",
    "AmazonSSMManagedEC2InstanceDefaultPolicy": "Enables AWS Systems Manager functionality on EC2 instances.",
    "AmazonEC2RoleforSSM": "Former policy of roles for instances that AWS Systems Manager manages.",
    # secrets, parameters, certificates, records and figures
    "SecretsManagerReadWrite": "Provides read/write access to AWS Secrets Manager via the AWS Management Console.",
    "AWSSecretsManagerClientReadOnlyAccess": "Provides what clients of AWS Secrets Manager need to read secrets.",
    "AmazonSSMFullAccess": "Provides full access to Amazon SSM.",
    "AmazonSSMReadOnlyAccess": "Provides read only access to Amazon SSM.",
    "AWSCertificateManagerFullAccess": "Provides full access to AWS Certificate Manager (ACM).",
    "AWSCertificateManagerReadOnly": "Provides read only access to AWS Certificate Manager (ACM).",
    "CertificateManagerServiceRolePolicy": "Amazon Certificate Manager Service Role Policy.",
    "AWSCloudTrail_FullAccess": "Provides full access to AWS CloudTrail.",
    "AWSCloudTrail_ReadOnlyAccess": "Provides read only access to AWS CloudTrail.",
    "CloudWatchFullAccess": "Provides full access to CloudWatch.",
    "CloudWatchFullAccessV2": "Provides full access to CloudWatch, and what it needs of other services.",
    "CloudWatchReadOnlyAccess": "Provides read only access to CloudWatch.",
    "CloudWatchLogsFullAccess": "Provides full access to CloudWatch Logs.",
    "CloudWatchLogsReadOnlyAccess": "Provides read only access to CloudWatch Logs.",
    "CloudWatchAgentServerPolicy": "Permissions required to use AmazonCloudWatchAgent on servers.",
    "AWSXRayDaemonWriteAccess": "Allow the AWS X-Ray Daemon to relay raw trace segments data to the service's API.",
}

#: policies that speak of every service there is, cut down to those in `CONCERNED`
WIDE = frozenset({"ReadOnlyAccess", "SecurityAudit", "ViewOnlyAccess"})
CONCERNED = (
    *("acm", "application-autoscaling", "autoscaling", "cloudtrail", "cloudwatch", "ec2", "ecr", "ecs", "elasticloadbalancing"),
    *("events", "iam", "logs", "secretsmanager", "ssm", "sts", "tag"),
)


class NotThere(Exception):
    """A policy that the collection does not have."""


def collected() -> dict[str, dict[str, Any]]:
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    found: dict[str, dict[str, Any]] = json.loads(aws_managed_policies_data)
    return found


def chosen(collection: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Raises NotThere."""
    missing = sorted(WANTED.keys() - collection.keys())
    if missing:
        raise NotThere(", ".join(missing))
    return [
        {
            "name": name,
            "path": collection[name]["Path"],
            "version": collection[name]["DefaultVersionId"],
            "created": collection[name]["CreateDate"],
            "updated": collection[name]["UpdateDate"],
            "description": WANTED[name],
            "document": _cut(collection[name]["Document"]) if name in WIDE else collection[name]["Document"],
        }
        for name in sorted(WANTED)
    ]


def _cut(document: Mapping[str, Any]) -> dict[str, Any]:
    statements = []
    for statement in document["Statement"]:
        actions = [action for action in _listed(statement["Action"]) if action.split(":")[0] in CONCERNED]
        if actions:
            statements.append(statement | {"Action": actions})
    return {**document, "Statement": statements}


def _listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def text() -> str:
    return json.dumps(chosen(collected()), indent=1, sort_keys=True) + "\n"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is stale")
    given = parser.parse_args(arguments)
    if given.check:
        if FILE.exists() and FILE.read_text() == text():
            return 0
        print("aws_managed.json is stale: run python tools/aws_managed_policies.py")
        return 1
    FILE.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
