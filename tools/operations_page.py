"""Writes docs/operations.md: every operation of every API served, and whether it is served here, in part or not yet.

    python tools/operations_page.py            write the page
    python tools/operations_page.py --check    exit 1 if it would change

What is served is read from the operations registered in the code; what exists, from AWS's models (their names are kept beside
the generated shapes). The notes on what is served in part, and the reasons for what is not, are written by hand: below, and in
unserved.toml.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from longshore.aws.operation import OWN_PREFIX
from longshore.gateway.catalogue import SERVED, served

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "operations.md"

TITLES: Mapping[str, str] = {
    "ecs": "Amazon ECS",
    "ecr": "Amazon ECR",
    "elbv2": "Elastic Load Balancing v2",
    "elb": "Elastic Load Balancing (Classic)",
    "acm": "AWS Certificate Manager",
    "ec2": "Amazon EC2",
    "iam": "AWS IAM",
    "sts": "AWS STS",
    "secretsmanager": "AWS Secrets Manager",
    "ssm": "AWS Systems Manager Parameter Store",
    "cloudtrail": "AWS CloudTrail",
}

#: API -> operation -> what is left out. An operation that is served and not named here does what AWS documents.
PARTIAL: Mapping[str, Mapping[str, str]] = {
    "ecs": {
        "CreateCluster": "no Service Connect defaults; what the configuration says of logs and keys is kept and shown",
        "UpdateCluster": "as CreateCluster",
        "CreateCapacityProvider": "Auto Scaling group providers, kept and shown: nothing scales yet; no ECS Managed Instances",
        "UpdateCapacityProvider": "as CreateCapacityProvider",
        "UpdateContainerAgent": "always finds that there is no update: no agents are handed out here",
        "ListServicesByNamespace": "always finds no namespace: there is no AWS Cloud Map",
        "CreateService": (
            "launch types EC2 and EXTERNAL; no "
            "service registries, Service Connect, deployment alarms, hooks that call functions, managed volumes, "
            "CodeDeploy"
        ),
        "UpdateService": "as CreateService",
        "StopServiceDeployment": "ABORT for rolling updates only",
        "CreateTaskSet": "no service registries",
        "RunTask": "launch types EC2 and EXTERNAL, capacity providers of one's own instances; no managed volumes",
        "StartTask": "as RunTask",
        "SubmitAttachmentStateChanges": "interfaces of tasks; others are acknowledged",
    },
    "ecr": {
        "CompleteLayerUpload": "one digest per layer",
        "CreatePullThroughCacheRule": (
            "any registry by its address; customRoleArn and the upstream `ecr` are refused: the cache takes on no role"
        ),
        "UpdatePullThroughCacheRule": "as CreatePullThroughCacheRule",
        "DescribeImageScanFindings": "enhanced findings come from the same scanner as basic ones: no exploit data, no code vulnerabilities",
        "PutAccountSetting": "BASIC_SCAN_TYPE_VERSION is kept and shown, and changes nothing",
        "CreateRepositoryCreationTemplate": "customRoleArn is kept and shown; no role is assumed",
        "UpdateRepositoryCreationTemplate": "as CreateRepositoryCreationTemplate",
        "CreateRepository": "kmsKey is kept and shown; the key that encrypts is the repository's own, sealed by the installation",
    },
    "elbv2": {
        "CreateLoadBalancer": "types application and network; no gateway type, addresses of one's own, or IPv6",
        "CreateListener": "HTTP, HTTPS, TCP and TLS",
        "ModifyListener": "as CreateListener",
        "CreateTargetGroup": "target types instance, ip and alb; protocols HTTP, HTTPS, TCP and TLS; IPv4",
        "CreateRule": "`authenticate-cognito` is refused",
        "ModifyRule": "as CreateRule",
        "ModifyLoadBalancerAttributes": "all are kept and shown; buckets of logs are directories; health check logs are refused",
        "SetSecurityGroups": "kept and shown; packets are not filtered",
        "SetIpAddressType": "ipv4",
        "ModifyCapacityReservation": "nothing can be reserved",
        "ModifyIpPools": "there are no pools to choose",
        "CreateTrustStore": "of a file put into the installation, not of an object in S3",
        "ModifyTrustStore": "as CreateTrustStore",
        "AddTrustStoreRevocations": "as CreateTrustStore",
        "GetResourcePolicy": "always finds none: nothing is shared between accounts",
        "DeleteSharedTrustStoreAssociation": "always finds none: nothing is shared between accounts",
        "DescribeSSLPolicies": "all but those for RFC 9151 and CNSA 2.0",
    },
    "elb": {
        "ApplySecurityGroupsToLoadBalancer": "kept and shown; packets are not filtered",
        "SetLoadBalancerPoliciesForBackendServer": "the PROXY protocol; authentication of the instances is refused",
        "ModifyLoadBalancerAttributes": "CrossZoneLoadBalancing is kept and shown",
    },
    "acm": {
        "RequestCertificate": "of the installation's own authority, without proof of domains; no AWS Private CA, no CloudFront",
        "ResendValidationEmail": "checked; no mail is sent",
        "PutAccountConfiguration": "kept and shown; no events tell of certificates that end",
        "RevokeCertificate": "no revocation list is published",
    },
    "ec2": {
        "DescribeInstances": "container instances, as far as ECS and load balancers need to see them",
        "CreateVpc": "IPv4 without address pools; a record, no network of its own",
        "CreateSubnet": "IPv4; a record, no network of its own",
        "CreateSecurityGroup": "kept and shown; packets are not filtered",
        "AuthorizeSecurityGroupIngress": "no prefix lists; source groups by id in IpPermissions; packets are not filtered",
        "AuthorizeSecurityGroupEgress": "no prefix lists; packets are not filtered",
        "DescribeSecurityGroups": "the filters that ECS and load-balancer tools use",
        "DescribeVpcs": "the filters that ECS and load-balancer tools use",
        "DescribeSubnets": "the filters that ECS and load-balancer tools use",
    },
    "secretsmanager": {
        "CreateSecret": (
            "no rotation, replicas, or managed external secrets; values are sealed with the installation's key, whatever KmsKeyId says"
        ),
        "UpdateSecret": "as CreateSecret",
    },
    "ssm": {
        "PutParameter": (
            "data type text; no AllowedPattern, no policies; SecureStrings are sealed with the installation's key, whatever KeyId says"
        ),
        "AddTagsToResource": "resources of type Parameter",
        "RemoveTagsFromResource": "as AddTagsToResource",
        "ListTagsForResource": "as AddTagsToResource",
    },
    "sts": {
        "AssumeRole": "no provided contexts",
        "AssumeRoleWithWebIdentity": "OpenID Connect tokens; no OAuth 2.0 access tokens (ProviderId)",
        "GetAccessKeyInfo": "of a session's key, whatever became of it",
    },
    "iam": {
        "ListPolicies": "of AWS's own policies the 75 that concern the served APIs and their neighbours",
        "AttachUserPolicy": "as ListPolicies",
        "AttachGroupPolicy": "as AttachUserPolicy",
        "AttachRolePolicy": "as AttachUserPolicy",
        "SimulatePrincipalPolicy": "no PolicyExclusionList",
        "SimulateCustomPolicy": "no organizations",
        "GenerateServiceLastAccessedDetails": "granularity SERVICE_LEVEL, for the served APIs; requests that were refused are no uses",
        "EnableMFADevice": "virtual devices of users; neither the root's, nor keys of FIDO2",
        "GetMFADevice": "virtual devices: no certifications to tell of",
        "ListSSHPublicKeys": "there never are any, as they cannot be made: for who looks before a user is deleted",
        "ListSigningCertificates": "there never are any, as they cannot be made: for who looks before a user is deleted",
        "ListServiceSpecificCredentials": "there never are any, as they cannot be made: for who looks before a user is deleted",
        "ListSAMLProviders": "there never are any, as they cannot be made",
        "SetSecurityTokenServicePreferences": "kept and shown; tokens are good in every Region of an installation",
        "CreateServiceLinkedRole": "for ECS, ELB, Auto Scaling, ECR and Spot; nothing acts in these roles",
    },
}

_SIGNING = "images are signed by AWS Signer, which is not here; signatures that clients push are kept and listed as referrers"

_ACME = "ACME lets other machines ask an authority of AWS's for certificates; here a certificate is asked for with RequestCertificate"

_MANAGED_DAEMONS = (
    "daemons of their own belong to ECS Managed Instances, which are AWS's machines; here a service with DAEMON scheduling does it"
)
_EXPRESS = "Express Mode composes VPC, certificate and domain of AWS's own; here `longshore` and an ordinary service do that work"
_SERVICE_GATEWAYS = (
    "gateways make load balancers and networks of AWS's own on their own account; here a service names the load balancers it uses"
)


def _reasons(file: Path) -> Mapping[str, Mapping[str, str]]:
    """API -> operation -> why, of those that stand in a file of their own."""
    read = tomllib.loads(file.read_text())
    return {api: {name: reason["why"] for reason in reasons for name in reason["operations"]} for api, reasons in read.items()}


#: API -> operation -> why it is not served
UNSERVED: Mapping[str, Mapping[str, str]] = {
    "ecs": {
        **dict.fromkeys(
            (
                "CreateDaemon",
                "DeleteDaemon",
                "DeleteDaemonTaskDefinition",
                "DescribeDaemon",
                "DescribeDaemonDeployments",
                "DescribeDaemonRevisions",
                "DescribeDaemonTaskDefinition",
                "ListDaemonDeployments",
                "ListDaemonTaskDefinitions",
                "ListDaemons",
                "RegisterDaemonTaskDefinition",
                "UpdateDaemon",
            ),
            _MANAGED_DAEMONS,
        ),
        **dict.fromkeys(
            (
                "CreateExpressGatewayService",
                "DeleteExpressGatewayService",
                "DescribeExpressGatewayService",
                "UpdateExpressGatewayService",
            ),
            _EXPRESS,
        ),
        **dict.fromkeys(
            (
                "AssociateGatewayWithCluster",
                "CreateGateway",
                "DeleteGateway",
                "DescribeGateway",
                "DescribeGatewayResources",
                "DescribeGatewayRoute",
                "DisassociateGatewayFromCluster",
                "ListGatewayClusterAssociations",
                "ListGatewayRoutes",
                "ListGateways",
                "UpdateGateway",
            ),
            _SERVICE_GATEWAYS,
        ),
    },
    "acm": dict.fromkeys(
        (
            "CreateAcmeDomainValidation",
            "CreateAcmeEndpoint",
            "CreateAcmeExternalAccountBinding",
            "DeleteAcmeDomainValidation",
            "DeleteAcmeEndpoint",
            "DeleteAcmeExternalAccountBinding",
            "DescribeAcmeAccount",
            "DescribeAcmeDomainValidation",
            "DescribeAcmeEndpoint",
            "DescribeAcmeExternalAccountBinding",
            "GetAcmeExternalAccountBindingCredentials",
            "ListAcmeAccounts",
            "ListAcmeDomainValidations",
            "ListAcmeEndpoints",
            "ListAcmeExternalAccountBindings",
            "RevokeAcmeAccount",
            "RevokeAcmeExternalAccountBinding",
            "UpdateAcmeDomainValidation",
            "UpdateAcmeEndpoint",
        ),
        _ACME,
    ),
    **_reasons(ROOT / "tools" / "unserved.toml"),
    "ecr": {
        "PutSigningConfiguration": _SIGNING,
        "GetSigningConfiguration": _SIGNING,
        "DeleteSigningConfiguration": _SIGNING,
        "DescribeImageSigningStatus": _SIGNING,
    },
}

#: APIs of which nothing is left out without a word
REASONED = frozenset({"iam", "sts", "cloudtrail"})

HEAD = """\
# Operations

Every operation of every API that is served. **Served** means: what AWS documents, apart from what
[differences.md](differences.md) names. **Partial** operations leave out what their note says. An operation that is **not served**
is refused by its name (`UnknownOperationException` or `InvalidAction`), never answered with a made-up success.

This page is written by `tools/operations_page.py` from the code and AWS's own models; a test keeps it fresh.
"""


class UnknownNote(Exception):
    """A note about an operation that is not served, or a reason for not serving one that is."""


class NoReason(Exception):
    """An operation that is not served, and nobody says why, of an API in `REASONED`."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """One API: the operations AWS's model names, those answered here, and notes on those answered in part."""

    api: str
    known: frozenset[str]
    served: frozenset[str]
    notes: Mapping[str, str]
    #: operations that AWS does not have
    own: frozenset[str] = frozenset()
    #: why operations are not served
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        return sorted(self.known - self.served)


def coverage(api: str, notes: Mapping[str, str], reasons: Mapping[str, str] | None = None) -> Coverage:
    """Of an API as it is registered in the code; raises UnknownNote and NoReason."""
    answers = served(api)
    explains = reasons is not None
    reasons = reasons or {}
    unserved = answers.known - answers.operations.keys()
    strangers = sorted((notes.keys() - answers.operations.keys()) | (reasons.keys() - unserved))
    if strangers:
        raise UnknownNote(f"{api}: {', '.join(strangers)}")
    unexplained = sorted(unserved - reasons.keys())
    if api in REASONED and explains and unexplained:
        raise NoReason(f"{api}: {', '.join(unexplained)}")
    own = frozenset(name for name in answers.operations if name.startswith(OWN_PREFIX))
    ours = frozenset(answers.operations) - own
    return Coverage(api, answers.known | ours, ours, notes, own, reasons)


def page(apis: list[Coverage]) -> str:
    return "\n".join([HEAD, _summary(apis), *map(_section, apis)])


def _title(api: str) -> str:
    return TITLES.get(api, api)


def _anchor(title: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _summary(apis: list[Coverage]) -> str:
    lines = ["| API | served | partial | not |", "|---|---:|---:|---:|"]
    for api in apis:
        title = _title(api.api)
        whole = len(api.served) - len(api.notes)
        lines.append(f"| [{title}](#{_anchor(title)}) | {whole} | {len(api.notes)} | {len(api.missing)} |")
    return "\n".join(lines) + "\n"


def _section(api: Coverage) -> str:
    lines = [f"## {_title(api.api)}", "", "| operation | state | what is left out, or why |", "|---|---|---|"]
    for name in sorted(api.served):
        note = api.notes.get(name)
        lines.append(f"| {name} | partial | {note} |" if note else f"| {name} | served | |")
    lines += [f"| {name} | not served | {api.reasons[name]} |" for name in api.missing if name in api.reasons]
    waiting = [name for name in api.missing if name not in api.reasons]
    if waiting:
        lines += ["", f"Not yet ({len(waiting)}): {', '.join(waiting)}."]
    if api.own:
        lines += ["", f"Beside AWS's own ([extensions.md](extensions.md)): {', '.join(sorted(api.own))}."]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page is stale")
    given = parser.parse_args(arguments)
    text = page([coverage(api, PARTIAL.get(api, {}), UNSERVED.get(api)) for api in SERVED])
    if given.check:
        if PAGE.exists() and PAGE.read_text() == text:
            return 0
        print("docs/operations.md is stale: run python tools/operations_page.py")
        return 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
