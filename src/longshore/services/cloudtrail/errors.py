"""CloudTrail's errors, in AWS's codes and words."""

from __future__ import annotations

from longshore.aws.errors import AwsError
from longshore.aws.protocol.explain import InvalidLookupAttributesException

__all__ = ["InvalidLookupAttributesException", "InvalidNextTokenException", "InvalidTimeRangeException", "TrailUnavailable"]


class InvalidTimeRangeException(AwsError):
    """Occurs if the timestamp values are not valid. Either the start time occurs after the end time, or the time range is outside the range of possible values."""


class InvalidNextTokenException(AwsError):
    """A token that is not valid, or a token that was previously used in a request with different parameters. This exception is thrown if the token is not valid."""


class TrailUnavailable(AwsError):
    """The audit log cannot be read at present."""

    code = "ServiceUnavailableException"
    status = 503
