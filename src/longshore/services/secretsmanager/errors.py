"""Secrets Manager's errors, in AWS's codes and words."""

from __future__ import annotations

from longshore.aws.errors import AwsError


class ResourceNotFoundException(AwsError):
    """Secrets Manager can't find the specified secret."""


class ResourceExistsException(AwsError):
    """A resource with the ID you requested already exists."""


class InvalidParameterException(AwsError):
    """The parameter name or value is invalid."""


class InvalidRequestException(AwsError):
    """A parameter value is not valid for the current state of the resource."""


class InvalidNextTokenException(AwsError):
    """The NextToken value is invalid."""


class LimitExceededException(AwsError):
    """The request failed because it would exceed one of the Secrets Manager quotas."""


class DecryptionFailure(AwsError):
    """Secrets Manager can't decrypt the protected secret text using the provided KMS key."""
