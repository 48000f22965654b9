"""STS's errors, with its codes and words."""

from __future__ import annotations

from longshore.aws.errors import AwsError


class PackedPolicyTooLarge(AwsError):
    """The request was rejected because the total packed size of the session policies and session tags combined was too large."""


class InvalidAuthorizationMessageException(AwsError):
    """The error returned if the message passed to DecodeAuthorizationMessage was invalid."""


class InvalidIdentityToken(AwsError):
    """The web identity token that was passed could not be validated. Get a new identity token from the identity provider and then retry the request."""


class ExpiredTokenException(AwsError):
    """The web identity token that was passed is expired or is not valid. Get a new identity token from the identity provider and then retry the request."""


class IDPCommunicationError(AwsError):
    """The request could not be fulfilled because the identity provider (IDP) that was asked to verify the incoming identity token could not be reached. If the error persists, the identity provider might be down or not responding."""


class IDPRejectedClaim(AwsError):
    """The identity provider (IdP) reported that authentication failed. This might be because the claim is invalid."""

    status = 403
