"""STS's errors, with its codes and words."""

from __future__ import annotations

from longshore.aws.errors import AwsError


class PackedPolicyTooLarge(AwsError):
    """The request was rejected because the total packed size of the session policies and session tags combined was too large."""


class InvalidAuthorizationMessageException(AwsError):
    """The error returned if the message passed to DecodeAuthorizationMessage was invalid."""
