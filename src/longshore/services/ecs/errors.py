"""What ECS answers when it cannot do as asked, with its codes and words."""

from __future__ import annotations

from longshore.aws.errors import AwsError


class ClientException(AwsError):
    """The request could not be carried out as it was sent."""


class InvalidParameterException(AwsError):
    """The specified parameter isn't valid. Review the available parameters for the API request."""


class ClusterNotFoundException(AwsError):
    """Cluster not found."""


class ClusterContainsContainerInstancesException(AwsError):
    """The Cluster cannot be deleted while Container Instances are active or draining."""


class ClusterContainsServicesException(AwsError):
    """The Cluster cannot be deleted while Services are active."""


class ClusterContainsTasksException(AwsError):
    """The Cluster cannot be deleted while Tasks are active."""


class ServiceNotFoundException(AwsError):
    """Service not found."""


class ServiceNotActiveException(AwsError):
    """Service was not ACTIVE."""


class TargetNotFoundException(AwsError):
    """The specified target wasn't found."""


class TargetNotConnectedException(AwsError):
    """The execute command failed because the target isn't connected."""


class AttributeLimitExceededException(AwsError):
    """You can apply up to 10 custom attributes for each resource."""


class ResourceNotFoundException(AwsError):
    """The specified resource wasn't found."""


class ConflictException(AwsError):
    """The client token was used before with other parameters."""


class UnsupportedFeatureException(AwsError):
    """The specified task isn't supported by this installation."""
