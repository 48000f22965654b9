"""Errors that know how they look on the wire.

A class names its wire code and HTTP status; its docstring is the message when none is given. The few errors that AWS
itself spells differently in each protocol (who may not, who is not known) carry those spellings in `spelled`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class AwsError(Exception):
    """An internal error has occurred."""

    code: ClassVar[str] = ""
    status: ClassVar[int] = 400
    #: protocol name ("json", "query", "ec2") -> (code, status), where they differ from the class's own
    spelled: ClassVar[Mapping[str, tuple[str, int]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "code" not in cls.__dict__:
            cls.code = cls.__name__

    def __init__(self, message: str | None = None, **members: Any) -> None:
        """`members` are further modelled members of the error's shape, by wire name."""
        self.message = message if message is not None else " ".join((type(self).__doc__ or "").split())
        self.members = members
        super().__init__(self.message)

    def wire(self, protocol: str) -> tuple[str, int]:
        """(code, HTTP status) in `protocol`."""
        return self.spelled.get(protocol, (self.code, self.status))

    @property
    def fault(self) -> str:
        """Whose fault: `Sender` or `Receiver`, as the query protocol says it."""
        return "Sender" if self.status < 500 else "Receiver"


class InternalFailure(AwsError):
    """The request processing has failed because of an unknown error, exception or failure."""

    status = 500
    spelled = {"json": ("ServerException", 500), "ec2": ("InternalError", 500)}


class ServiceUnavailable(AwsError):
    """The request has failed due to a temporary failure of the server."""

    status = 503
    spelled = {"json": ("ServiceUnavailableException", 503), "ec2": ("Unavailable", 503)}


class UnknownOperation(AwsError):
    """The action or operation requested is invalid. Verify that the action is typed correctly."""

    code = "InvalidAction"
    spelled = {"json": ("UnknownOperationException", 400)}


class Serialization(AwsError):
    """The request could not be read."""

    code = "MalformedInput"
    spelled = {"json": ("SerializationException", 400)}


class Validation(AwsError):
    """The input fails to satisfy the constraints specified by an AWS service."""

    code = "ValidationError"
    spelled = {"json": ("ValidationException", 400), "ec2": ("InvalidParameterValue", 400)}


class RequestTooLarge(AwsError):
    """The request is too large."""

    code = "RequestEntityTooLarge"
    status = 413
    spelled = {"json": ("RequestEntityTooLargeException", 413)}


class AccessDenied(AwsError):
    """User is not authorized to perform this operation."""

    status = 403
    spelled = {"json": ("AccessDeniedException", 400), "ec2": ("UnauthorizedOperation", 403)}


class MissingAuthenticationToken(AwsError):
    """Request is missing Authentication Token"""

    status = 403
    spelled = {"json": ("MissingAuthenticationTokenException", 400), "ec2": ("AuthFailure", 401)}


class IncompleteSignature(AwsError):
    """The request signature does not conform to AWS standards."""

    spelled = {"json": ("IncompleteSignatureException", 400)}


class InvalidClientTokenId(AwsError):
    """The security token included in the request is invalid."""

    status = 403
    spelled = {"json": ("UnrecognizedClientException", 400), "ec2": ("AuthFailure", 401)}


class SignatureDoesNotMatch(AwsError):
    """The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."""

    status = 403
    spelled = {"json": ("InvalidSignatureException", 400), "ec2": ("AuthFailure", 401)}


class RequestExpired(AwsError):
    """Signature expired."""

    code = "SignatureDoesNotMatch"
    status = 403
    spelled = {"json": ("InvalidSignatureException", 400), "ec2": ("RequestExpired", 400)}


class Throttling(AwsError):
    """Rate exceeded"""

    spelled = {"json": ("ThrottlingException", 400), "ec2": ("RequestLimitExceeded", 503)}

    def __init__(self, message: str | None = None, *, retry_after_s: float = 1.0) -> None:
        """`retry_after_s`: after so many seconds there is room again; told in headers, not in the body."""
        super().__init__(message)
        self.retry_after_s = retry_after_s
