"""What the Classic API answers when it cannot do as asked. Codes as botocore's model spells them on the wire."""

from __future__ import annotations

from longshore.aws.errors import AwsError, Validation

__all__ = ["Validation"]


class LoadBalancerNotFound(AwsError):
    """The specified load balancer does not exist."""


class DuplicateLoadBalancerName(AwsError):
    """The specified load balancer name already exists for this account."""


class TooManyLoadBalancers(AwsError):
    """The quota for the number of load balancers has been reached."""


class CertificateNotFound(AwsError):
    """Server Certificate not found for the key"""


class InvalidConfigurationRequest(AwsError):
    """The requested configuration change is not valid."""

    status = 409


class SubnetNotFound(AwsError):
    """One or more of the specified subnets do not exist."""


class InvalidSubnet(AwsError):
    """The specified VPC has no associated Internet gateway."""


class InvalidSecurityGroup(AwsError):
    """One or more of the specified security groups do not exist."""


class InvalidScheme(AwsError):
    """The specified value for the schema is not valid. You can only specify a scheme for load balancers in a VPC."""


class UnsupportedProtocol(AwsError):
    """The specified protocol or signature version is not supported."""


class DuplicateListener(AwsError):
    """A listener already exists for the specified load balancer name and port, but with a different instance port, protocol, or SSL certificate."""


class ListenerNotFound(AwsError):
    """The load balancer does not have a listener configured at the specified port."""


class DuplicatePolicyName(AwsError):
    """A policy with the specified name already exists for this load balancer."""


class PolicyNotFound(AwsError):
    """One or more of the specified policies do not exist."""


class PolicyTypeNotFound(AwsError):
    """One or more of the specified policy types do not exist."""


class TooManyPolicies(AwsError):
    """The quota for the number of policies for this load balancer has been reached."""


class LoadBalancerAttributeNotFound(AwsError):
    """The specified load balancer attribute does not exist."""


class InvalidInstance(AwsError):
    """The specified endpoint is not valid."""


class TooManyTags(AwsError):
    """The quota for the number of tags that can be assigned to a load balancer has been reached."""


class DuplicateTagKeys(AwsError):
    """A tag key was specified more than once."""
