"""Parameter Store's errors, in AWS's codes and words."""

from __future__ import annotations

from longshore.aws.errors import AwsError


class ValidationException(AwsError):
    """The request is not valid."""


class ParameterNotFound(AwsError):
    """The parameter couldn't be found. Verify the name and try again."""


class ParameterVersionNotFound(AwsError):
    """Systems Manager could not find version of the parameter."""


class ParameterAlreadyExists(AwsError):
    """The parameter already exists. To overwrite this value, set the overwrite option in the request to true."""


class ParameterMaxVersionLimitExceeded(AwsError):
    """The oldest version cannot be deleted because it has a label."""


class ParameterVersionLabelLimitExceeded(AwsError):
    """A parameter version can have a maximum of ten labels."""


class HierarchyLevelLimitExceededException(AwsError):
    """A parameter name can have a maximum of 15 levels."""


class HierarchyTypeMismatchException(AwsError):
    """Parameter Store does not support changing a parameter type in a hierarchy."""


class UnsupportedParameterType(AwsError):
    """The parameter type is not supported."""


class InvalidKeyId(AwsError):
    """The value cannot be decrypted."""


class InvalidAllowedPatternException(AwsError):
    """AllowedPattern is not supported by this installation."""


class InvalidPolicyTypeException(AwsError):
    """Parameter policies are not supported by this installation."""


class InvalidFilterKey(AwsError):
    """The specified key is not valid."""


class InvalidFilterOption(AwsError):
    """The specified filter option is not valid."""


class InvalidNextToken(AwsError):
    """The specified token is not valid."""


class InvalidResourceType(AwsError):
    """The resource type is not valid."""


class InvalidResourceId(AwsError):
    """The resource ID is not valid. Verify that you entered the correct ID and try again."""


class TooManyTagsError(AwsError):
    """The Targets parameter includes too many tags. Remove one or more tags and try the command again."""
