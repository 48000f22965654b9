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


class LimitExceededException(AwsError):
    """The limit for the resource was exceeded."""


class ResourceInUseException(AwsError):
    """The specified capacity provider is in use and cannot be removed."""


class NamespaceNotFoundException(AwsError):
    """The specified namespace wasn't found."""


class NoUpdateAvailableException(AwsError):
    """There's no update available for this Amazon ECS agent. This could be because the agent is already running the latest version or because it's so old that there's no update path to the current version."""


class MissingVersionException(AwsError):
    """Amazon ECS can't determine the current version of the Amazon ECS container agent on the container instance and doesn't have enough information to proceed with an update. This could be because the agent running on the container instance is a previous or custom version that doesn't use our version information."""


class UnsupportedFeatureException(AwsError):
    """The specified task isn't supported by this installation."""


class ServiceDeploymentNotFoundException(AwsError):
    """The service deploy ARN that you specified in the StopServiceDeployment doesn't exist. You can use ListServiceDeployments to retrieve the service deployment ARNs."""


class TaskSetNotFoundException(AwsError):
    """The specified task set wasn't found. You can view your available task sets with DescribeTaskSets. Task sets are specific to each cluster, service and Region."""
