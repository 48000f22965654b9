"""What AWS Certificate Manager answers when it cannot do as asked."""

from __future__ import annotations

from longshore.aws.errors import AwsError, Validation

__all__ = ["Validation"]


class ConflictException(AwsError):
    """You are trying to update a resource or configuration that is already being created or updated. Wait for the previous operation to finish and try again."""


class InvalidArgsException(AwsError):
    """One or more of the request parameters specified is not valid."""


class InvalidArnException(AwsError):
    """The requested Amazon Resource Name (ARN) does not refer to an existing resource."""


class InvalidDomainValidationOptionsException(AwsError):
    """One or more values in the DomainValidationOption structure is incorrect."""


class InvalidParameterException(AwsError):
    """An input parameter was invalid."""


class InvalidStateException(AwsError):
    """Processing has reached an invalid state."""


class InvalidTagException(AwsError):
    """One or both of the values that make up the key-value pair is not valid. For example, you cannot specify a tag value that begins with aws:."""


class LimitExceededException(AwsError):
    """An ACM quota has been exceeded."""


class RequestInProgressException(AwsError):
    """The certificate request is in process and the certificate in your account has not yet been issued."""


class ResourceInUseException(AwsError):
    """The certificate is in use by another Amazon Web Services service in the caller's account. Remove the association and try again."""


class ResourceNotFoundException(AwsError):
    """The specified certificate cannot be found in the caller's account or the caller's account cannot be found."""


class TooManyTagsException(AwsError):
    """The request contains too many tags. Try the request again with fewer tags."""
