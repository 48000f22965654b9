"""How much AWS lets through: the token buckets it documents, for whoever wants to see clients hold back.

Where the numbers come from:

    ecs           Request throttling for the Amazon ECS API (APIReference/request-throttling): all of it
    ec2           Request throttling for the Amazon EC2 API (ec2/latest/devguide/ec2-api-throttling): buckets of requests alone
    elbv2, elb    Request throttling for the Elastic Load Balancing API (elb-api-throttling): all of it
    ecr           Amazon ECR service quotas: rates without a burst, so that a bucket holds one second of them
    acm           ACM quotas, API rate quotas: the same
    sts           IAM and AWS STS quotas: 600 a second for what is signed with an account's credentials
    secretsmanager, ssm, cloudtrail   the quota pages of Secrets Manager, of Parameter Store (default throughput), of CloudTrail

IAM's are not documented, nor are those of some operations of the others: `_OTHERS` are ours, of the order of the documented ones. AWS
counts for an account and Region; here it is for a principal (docs/differences.md).
"""

from __future__ import annotations

from collections.abc import Mapping

from longshore.gateway.buckets import Rate

#: name of a class -> its bucket and the operations that take from it; names that end with * are beginnings
Classes = Mapping[str, tuple[Rate, tuple[str, ...]]]

READS = ("Describe*", "List*", "Get*", "Search*", "BatchGet*", "BatchCheck*")


def _each(per_s: float, *operations: str, burst: float | None = None) -> dict[str, tuple[Rate, tuple[str, ...]]]:
    """Every operation has a bucket of its own."""
    return {operation: (Rate(burst or max(per_s, 1.0), per_s), (operation,)) for operation in operations}


_ECS: Classes = {
    "cluster modify": (
        Rate(20, 1),
        ("CreateCluster", "DeleteCluster", "PutClusterCapacityProviders", "UpdateCluster", "UpdateClusterSettings"),
    ),
    "cluster read": (Rate(50, 20), ("DescribeClusters", "ListClusters")),
    "task definition modify": (Rate(20, 1), ("DeregisterTaskDefinition", "RegisterTaskDefinition")),
    "task definition read": (Rate(50, 20), ("DescribeTaskDefinition", "ListTaskDefinitions", "ListTaskDefinitionFamilies")),
    "task definition deletion": (Rate(5, 1), ("DeleteTaskDefinitions",)),
    "capacity provider modify": (Rate(10, 1), ("CreateCapacityProvider", "DeleteCapacityProvider", "UpdateCapacityProvider")),
    "capacity provider read": (Rate(50, 20), ("DescribeCapacityProviders",)),
    "tag modify": (Rate(20, 10), ("TagResource", "UntagResource")),
    "tag read": (Rate(50, 20), ("ListTagsForResource",)),
    "setting modify": (Rate(10, 1), ("DeleteAccountSetting", "PutAccountSetting", "PutAccountSettingDefault")),
    "setting read": (Rate(50, 20), ("ListAccountSettings",)),
    "cluster resource modify": (
        Rate(100, 40),
        (
            "DeleteAttributes",
            "DeregisterContainerInstance",
            "ExecuteCommand",
            "PutAttributes",
            "RunTask",
            "StartTask",
            "StopTask",
            "UpdateContainerAgent",
            "UpdateContainerInstancesState",
        ),
    ),
    "cluster resource read": (
        Rate(100, 20),
        ("DescribeContainerInstances", "DescribeTasks", "ListAttributes", "ListContainerInstances", "ListTasks"),
    ),
    "agent modify": (
        Rate(200, 120),
        ("RegisterContainerInstance", "SubmitAttachmentStateChanges", "SubmitContainerStateChange", "SubmitTaskStateChange"),
    ),
    "service modify": (Rate(50, 5), ("CreateService", "DeleteService", "UpdateService")),
    "service read": (Rate(100, 20), ("DescribeServices", "ListServices")),
    "service deployment": (Rate(50, 20), ("DescribeServiceDeployments", "ListServiceDeployments")),
    "service revision": (Rate(50, 20), ("DescribeServiceRevisions",)),
    "task protection": (Rate(200, 80), ("UpdateTaskProtection", "GetTaskProtection")),
    "cluster service resource read": (Rate(10, 1), ("ListServicesByNamespace",)),
}
_EC2: Classes = {
    # each of these operations counts for itself; one class would share a bucket among them
    **_each(20, "Describe*", burst=100),
    **_each(5, "AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress", burst=50),
    **_each(10, "CreateTags", "DeleteTags", burst=100),
    **_each(1, "CreateDefaultSubnet", "CreateDefaultVpc"),
    "mutating": (Rate(50, 5), ("*",)),
}
_ELB_READ, _ELB_CHANGE = Rate(40, 10), Rate(20, 3)
_ELB_MUCH, _ELB_MEMBERS = Rate(10, 0.2), Rate(20, 4)
_ELBV2: Classes = {
    "resource-intensive": (_ELB_MUCH, ("CreateLoadBalancer", "SetSubnets")),
    "registration": (_ELB_MEMBERS, ("RegisterTargets", "DeregisterTargets")),
    "CreateTrustStore": (_ELB_MUCH, ("CreateTrustStore",)),
    "trust store modify": (
        _ELB_MUCH,
        (
            "AddTrustStoreRevocations",
            "DeleteSharedTrustStoreAssociation",
            "DeleteTrustStore",
            "ModifyTrustStore",
            "RemoveTrustStoreRevocations",
        ),
    ),
    "trust store content": (
        _ELB_MEMBERS,
        ("GetResourcePolicy", "GetTrustStoreCaCertificatesBundle", "GetTrustStoreRevocationContent"),
    ),
    "trust store read": (_ELB_READ, ("DescribeTrustStoreAssociations", "DescribeTrustStoreRevocations", "DescribeTrustStores")),
    "non-mutating": (_ELB_READ, ("Describe*",)),
    "mutating": (_ELB_CHANGE, ("*",)),
}
_ELB: Classes = {
    "resource-intensive": (
        _ELB_MUCH,
        (
            "CreateLoadBalancer",
            "AttachLoadBalancerToSubnets",
            "DetachLoadBalancerFromSubnets",
            "EnableAvailabilityZonesForLoadBalancer",
            "DisableAvailabilityZonesForLoadBalancer",
        ),
    ),
    "registration": (_ELB_MEMBERS, ("RegisterInstancesWithLoadBalancer", "DeregisterInstancesFromLoadBalancer")),
    "non-mutating": (_ELB_READ, ("Describe*",)),
    "mutating": (_ELB_CHANGE, ("*",)),
}
_ECR: Classes = {
    **_each(1000, "BatchCheckLayerAvailability"),
    **_each(2000, "BatchGetImage"),
    **_each(100, "CompleteLayerUpload", "InitiateLayerUpload"),
    **_each(500, "GetAuthorizationToken", "UploadLayerPart"),
    **_each(3000, "GetDownloadUrlForLayer"),
    **_each(10, "PutImage"),
}
_ACM: Classes = {
    **_each(5, "AddTagsToCertificate", "RemoveTagsFromCertificate", "RequestCertificate", "RenewCertificate", "ExportCertificate"),
    **_each(5, "UpdateCertificateOptions"),
    **_each(10, "DeleteCertificate", "DescribeCertificate", "GetCertificate", "ListTagsForCertificate"),
    **_each(8, "ListCertificates"),
    **_each(1, "GetAccountConfiguration", "ImportCertificate", "PutAccountConfiguration", "ResendValidationEmail"),
}
_STS: Classes = {
    "requests": (
        Rate(600, 600),
        (
            "AssumeRole",
            "DecodeAuthorizationMessage",
            "GetAccessKeyInfo",
            "GetCallerIdentity",
            "GetFederationToken",
            "GetSessionToken",
        ),
    ),
}
_SECRETS: Classes = {
    **_each(10_000, "GetSecretValue"),
    **_each(40_000, "DescribeSecret"),
    **_each(100, "ListSecrets"),
    **_each(50, "CreateSecret", "DeleteSecret", "ListSecretVersionIds", "PutSecretValue", "RestoreSecret", "UpdateSecret"),
    "tags": (Rate(50, 50), ("TagResource", "UntagResource")),
}
_SSM: Classes = {
    "get parameters": (Rate(40, 40), ("GetParameter", "GetParameters", "GetParametersByPath")),
    **_each(3, "PutParameter"),
}
_CLOUDTRAIL: Classes = _each(2, "LookupEvents")

#: what nobody documents: ours
_OTHERS: Classes = {"other reads": (Rate(50, 20), READS), "other changes": (Rate(50, 5), ("*",))}

DOCUMENTED: Mapping[str, Classes] = {
    "ecs": _ECS,
    "ec2": _EC2,
    "elbv2": _ELBV2,
    "elb": _ELB,
    "ecr": _ECR,
    "acm": _ACM,
    "sts": _STS,
    "secretsmanager": _SECRETS,
    "ssm": _SSM,
    "cloudtrail": _CLOUDTRAIL,
}


def of_aws(api: str, operation: str) -> tuple[str, Rate]:
    """The class that `operation` counts for, and its bucket. A name nobody knows counts like a change."""
    for classes in (DOCUMENTED.get(api, {}), _OTHERS):
        for name, (rate, operations) in classes.items():
            for pattern in operations:
                if operation == pattern or (pattern.endswith("*") and operation.startswith(pattern[:-1])):
                    # EC2 counts each Describe by itself, under one size
                    return (operation if name.endswith("*") else name), rate
    raise AssertionError("the last class is for everything")
