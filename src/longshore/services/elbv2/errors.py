"""What Elastic Load Balancing v2 answers when it cannot do as asked. Codes as botocore's model spells them on the wire."""

from __future__ import annotations

from longshore.aws.errors import AwsError, Validation

__all__ = ["Validation"]


class LoadBalancerNotFound(AwsError):
    """One or more load balancers not found"""


class TargetGroupNotFound(AwsError):
    """One or more target groups not found"""


class ListenerNotFound(AwsError):
    """One or more listeners not found"""


class RuleNotFound(AwsError):
    """One or more rules not found"""


class DuplicateLoadBalancerName(AwsError):
    """A load balancer with the specified name already exists."""


class DuplicateTargetGroupName(AwsError):
    """A target group with the specified name already exists."""


class DuplicateListener(AwsError):
    """A listener with the specified port already exists."""


class DuplicateTagKeys(AwsError):
    """A tag key was specified more than once."""


class PriorityInUse(AwsError):
    """The specified priority is in use."""


class ResourceInUse(AwsError):
    """A specified resource is in use."""


class OperationNotPermitted(AwsError):
    """This operation is not allowed."""


class InvalidConfigurationRequest(AwsError):
    """The requested configuration is not valid."""


class InvalidLoadBalancerAction(AwsError):
    """The requested action is not valid."""


class InvalidSecurityGroup(AwsError):
    """One or more security groups are invalid"""


class InvalidSubnet(AwsError):
    """The specified subnet is out of available addresses."""


class SubnetNotFound(AwsError):
    """The specified subnet does not exist."""


class InvalidTarget(AwsError):
    """The specified target does not exist, is not in the same VPC as the target group, or has an unsupported instance type."""


class IncompatibleProtocols(AwsError):
    """The specified configuration is not valid with this protocol."""


class UnsupportedProtocol(AwsError):
    """The specified protocol is not supported."""


class CertificateNotFound(AwsError):
    """The specified certificate does not exist."""


class UnsupportedCertificate(AwsError):
    """The specified certificate is not supported."""


class SSLPolicyNotFound(AwsError):
    """The specified SSL policy does not exist."""


class ALPNPolicyNotSupported(AwsError):
    """The specified ALPN policy is not supported."""


class TrustStoreNotFound(AwsError):
    """The specified trust store does not exist."""


class TrustStoreInUse(AwsError):
    """The specified trust store is currently in use."""


class DuplicateTrustStoreName(AwsError):
    """A trust store with the specified name already exists."""


class TooManyTrustStores(AwsError):
    """You've reached the limit on the number of trust stores for your Amazon Web Services account."""


class TooManyTrustStoreRevocationEntries(AwsError):
    """The specified trust store has too many revocation entries."""


class CaCertificatesBundleNotFound(AwsError):
    """The specified ca certificate bundle does not exist."""


class InvalidCaCertificatesBundle(AwsError):
    """The specified ca certificate bundle is in an invalid format, or corrupt."""


class RevocationContentNotFound(AwsError):
    """The specified revocation file does not exist."""


class InvalidRevocationContent(AwsError):
    """The provided revocation file is an invalid format, or uses an incorrect algorithm."""


class RevocationIdNotFound(AwsError):
    """The specified revocation ID does not exist."""


class AssociationNotFound(AwsError):
    """The specified association does not exist."""


class DeleteAssociationSameAccount(AwsError):
    """The specified association can't be within the same account."""


class ResourceNotFound(AwsError):
    """The specified resource does not exist."""


class TooManyCertificates(AwsError):
    """You've reached the limit on the number of certificates per load balancer."""


class TargetGroupAssociationLimit(AwsError):
    """You've reached the limit on the number of load balancers per target group."""


class TooManyActions(AwsError):
    """You've reached the limit on the number of actions per rule."""


class TooManyListeners(AwsError):
    """You've reached the limit on the number of listeners per load balancer."""


class TooManyLoadBalancers(AwsError):
    """You've reached the limit on the number of load balancers for your Amazon Web Services account."""


class TooManyRules(AwsError):
    """You've reached the limit on the number of rules per load balancer."""


class TooManyTags(AwsError):
    """You've reached the limit on the number of tags for this resource."""


class TooManyTargetGroups(AwsError):
    """You've reached the limit on the number of target groups for your Amazon Web Services account."""


class TooManyTargets(AwsError):
    """You've reached the limit on the number of targets."""


class TooManyUniqueTargetGroupsPerLoadBalancer(AwsError):
    """You've reached the limit on the number of unique target groups per load balancer across all listeners. If a target group is used by multiple actions for a load balancer, it is counted as only one use."""
