"""A Classic load balancer with something of everything, for the house that sweeps look through, and requests for its operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.sweeps.installation import Installation

NAME = "classic"
HTTP = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstanceProtocol": "HTTP", "InstancePort": 8080}
TCP = {"Protocol": "TCP", "LoadBalancerPort": 6379, "InstanceProtocol": "TCP", "InstancePort": 6379}
TAGS = [{"Key": "team", "Value": "web"}]


async def classify(there: Installation, names: dict[str, str], instance_id: str) -> None:
    """After the network, a certificate of the installation's and a container instance."""
    secure = {
        "Protocol": "HTTPS",
        "LoadBalancerPort": 443,
        "InstanceProtocol": "HTTP",
        "InstancePort": 8080,
        "SSLCertificateId": names["certificate"],
    }
    asked = {"LoadBalancerName": NAME, "Listeners": [HTTP, TCP, secure], "Subnets": [names["subnet_a"], names["subnet_b"]], "Tags": TAGS}
    await there.done("elb", "CreateLoadBalancer", **asked)
    await there.done("elb", "RegisterInstancesWithLoadBalancer", LoadBalancerName=NAME, Instances=[{"InstanceId": instance_id}])
    await there.done("elb", "CreateLBCookieStickinessPolicy", LoadBalancerName=NAME, PolicyName="sticky", CookieExpirationPeriod=60)
    attributes = [{"AttributeName": "ProxyProtocol", "AttributeValue": "true"}]
    await there.done(
        "elb",
        "CreateLoadBalancerPolicy",
        LoadBalancerName=NAME,
        PolicyName="proxied",
        PolicyTypeName="ProxyProtocolPolicyType",
        PolicyAttributes=attributes,
    )


def classic_named(names: Mapping[str, str], instance_id: str) -> dict[str, Any]:
    """Members that mean the same in all operations."""
    return {
        "LoadBalancerName": NAME,
        "LoadBalancerNames": [NAME],
        "Instances": [{"InstanceId": instance_id}],
        "Listeners": [{"Protocol": "HTTP", "LoadBalancerPort": 81, "InstancePort": 8080}],
        "LoadBalancerPorts": [80],
        "LoadBalancerPort": 80,
        "InstancePort": 6379,
        "PolicyName": "new",
        "PolicyNames": ["sticky"],
        "Subnets": [names["subnet_b"]],
        "AvailabilityZones": ["us-east-1a"],
        "SecurityGroups": [names["default_group"]],
        "HealthCheck": {"Target": "HTTP:8080/", "Interval": 10, "Timeout": 3, "UnhealthyThreshold": 2, "HealthyThreshold": 2},
        "Tags": TAGS,
    }


def classic_more(names: Mapping[str, str]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        ("elb", "CreateLoadBalancer"): {
            "LoadBalancerName": "other",
            "Listeners": [HTTP],
            "AvailabilityZones": ["us-east-1a"],
            "Tags": TAGS,
        },
        ("elb", "CreateAppCookieStickinessPolicy"): {"CookieName": "session"},
        ("elb", "CreateLoadBalancerPolicy"): {
            "PolicyTypeName": "SSLNegotiationPolicyType",
            "PolicyAttributes": [
                {"AttributeName": "Protocol-TLSv1.2", "AttributeValue": "true"},
                {"AttributeName": "ECDHE-RSA-AES128-GCM-SHA256", "AttributeValue": "true"},
            ],
        },
        ("elb", "DeleteLoadBalancerPolicy"): {"PolicyName": "sticky"},
        ("elb", "DescribeLoadBalancerPolicies"): {"LoadBalancerName": NAME},
        ("elb", "SetLoadBalancerPoliciesForBackendServer"): {"PolicyNames": ["proxied"]},
        ("elb", "SetLoadBalancerListenerSSLCertificate"): {
            "LoadBalancerPort": 443,
            "SSLCertificateId": names["issued_certificate"],
        },
        ("elb", "ModifyLoadBalancerAttributes"): {"LoadBalancerAttributes": {"ConnectionSettings": {"IdleTimeout": 30}}},
        ("elb", "RemoveTags"): {"Tags": [{"Key": "team"}]},
    }
