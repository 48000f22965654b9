"""What EC2 answers when it cannot do as asked: codes and words of its API."""

from __future__ import annotations

from longshore.aws.errors import AwsError


class DryRunOperation(AwsError):
    """Request would have succeeded, but DryRun flag is set."""

    status = 412


class InvalidParameterValue(AwsError):
    """A value specified in a parameter is not valid, is unsupported, or cannot be used."""


class InvalidParameterCombination(AwsError):
    """The parameters cannot be used together."""


class MissingParameter(AwsError):
    """The request is missing a required parameter."""


class UnsupportedOperation(AwsError):
    """The specified request includes an unsupported operation."""


class InvalidVpcNotFound(AwsError):
    """The vpc ID does not exist"""

    code = "InvalidVpcID.NotFound"


class InvalidVpcRange(AwsError):
    """The CIDR is invalid."""

    code = "InvalidVpc.Range"


class InvalidSubnetNotFound(AwsError):
    """The subnet ID does not exist"""

    code = "InvalidSubnetID.NotFound"


class InvalidSubnetRange(AwsError):
    """The CIDR is invalid."""

    code = "InvalidSubnet.Range"


class InvalidSubnetConflict(AwsError):
    """The CIDR conflicts with another subnet"""

    code = "InvalidSubnet.Conflict"


class InvalidGroupNotFound(AwsError):
    """The security group does not exist"""

    code = "InvalidGroup.NotFound"


class InvalidGroupDuplicate(AwsError):
    """The security group already exists"""

    code = "InvalidGroup.Duplicate"


class InvalidGroupReserved(AwsError):
    """Cannot use reserved security group name: default"""

    code = "InvalidGroup.Reserved"


class CannotDelete(AwsError):
    """The specified group cannot be deleted by a user"""


class DependencyViolation(AwsError):
    """The specified object has dependent resources."""


class InvalidPermissionDuplicate(AwsError):
    """The specified rule already exists"""

    code = "InvalidPermission.Duplicate"


class InvalidPermissionNotFound(AwsError):
    """The specified rule does not exist in this security group."""

    code = "InvalidPermission.NotFound"


class InvalidPermissionMalformed(AwsError):
    """The specified rule is not valid."""

    code = "InvalidPermission.Malformed"


class InvalidSecurityGroupRuleNotFound(AwsError):
    """The security group rule ID does not exist"""

    code = "InvalidSecurityGroupRuleId.NotFound"


class RulesPerSecurityGroupLimitExceeded(AwsError):
    """The maximum number of rules per security group has been reached."""


class InvalidInstanceNotFound(AwsError):
    """The instance ID does not exist"""

    code = "InvalidInstanceID.NotFound"


class InvalidID(AwsError):
    """The ID is not valid"""


class TagLimitExceeded(AwsError):
    """The maximum number of Tags for a resource has been reached."""


class VpcLimitExceeded(AwsError):
    """The maximum number of VPCs has been reached."""


class SubnetLimitExceeded(AwsError):
    """The maximum number of subnets for this VPC has been reached."""


class SecurityGroupLimitExceeded(AwsError):
    """The maximum number of security groups has been reached."""


class InvalidPaginationToken(AwsError):
    """The specified pagination token is not valid."""


#: what an id begins with -> code of the error for ids that do not look like one
MALFORMED = {
    "vpc": "InvalidVpcID.Malformed",
    "subnet": "InvalidSubnetID.Malformed",
    "sg": "InvalidGroupId.Malformed",
    "sgr": "InvalidSecurityGroupRuleId.Malformed",
    "i": "InvalidInstanceID.Malformed",
}


class MalformedId(AwsError):
    """An id that does not look like one; its code names what was expected."""

    def __init__(self, given: str, prefix: str) -> None:
        super().__init__(f'Invalid id: "{given}" (expecting "{prefix}-...")')
        self._code = MALFORMED[prefix]

    def wire(self, protocol: str) -> tuple[str, int]:
        return self._code, self.status
