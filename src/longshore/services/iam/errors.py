"""IAM's errors, with its codes and words."""

from __future__ import annotations

from longshore.aws.errors import AwsError


class NoSuchEntity(AwsError):
    """The request was rejected because it referenced a resource entity that does not exist."""

    status = 404


class EntityAlreadyExists(AwsError):
    """The request was rejected because it attempted to create a resource that already exists."""

    status = 409


class DeleteConflict(AwsError):
    """The request was rejected because it attempted to delete a resource that has attached subordinate entities."""

    status = 409


class LimitExceeded(AwsError):
    """The request was rejected because it attempted to create resources beyond the current AWS account limits."""

    status = 409


class MalformedPolicyDocument(AwsError):
    """The request was rejected because the policy document was malformed."""


class MalformedCertificate(AwsError):
    """The request was rejected because the certificate was malformed or expired."""


class KeyPairMismatch(AwsError):
    """The request was rejected because the public key certificate and the private key do not match."""


class InvalidInput(AwsError):
    """The request was rejected because an invalid or out-of-range value was supplied for an input parameter."""


class UnmodifiableEntity(AwsError):
    """The request was rejected because only the service that depends on the service-linked role can modify or delete it."""


class InvalidUserType(AwsError):
    """The request was rejected because the type of user for the transaction was incorrect."""


class EntityTemporarilyUnmodifiable(AwsError):
    """The request was rejected because it referenced an entity that is temporarily unmodifiable. Wait and try again."""

    status = 409


class InvalidAuthenticationCode(AwsError):
    """Authentication code for device is not valid."""

    status = 403


class PasswordPolicyViolation(AwsError):
    """The request was rejected because the provided password did not meet the requirements imposed by the account password policy."""


class CredentialReportNotPresent(AwsError):
    """The credential report does not exist. To generate a credential report, use GenerateCredentialReport."""

    code = "ReportNotPresent"
    status = 410


class CredentialReportExpired(AwsError):
    """The most recent credential report has expired. To generate a new credential report, use GenerateCredentialReport."""

    code = "ReportExpired"
    status = 410


class CredentialReportNotReady(AwsError):
    """The credential report is still being generated."""

    code = "ReportInProgress"
    status = 404


class NotSupportedService(AwsError):
    """The specified service does not support service-specific credentials."""

    code = "NotSupportedService"
    status = 404


def no_such_user(name: str) -> NoSuchEntity:
    return NoSuchEntity(f"The user with name {name} cannot be found.")


def no_such_policy(arn: str) -> NoSuchEntity:
    return NoSuchEntity(f"Policy {arn} does not exist or is not attachable.")


def no_such_access_key(access_key_id: str) -> NoSuchEntity:
    return NoSuchEntity(f"The Access Key with id {access_key_id} cannot be found.")
