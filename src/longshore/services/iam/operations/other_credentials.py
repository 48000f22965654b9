"""What users could have at AWS beside keys, passwords and devices: SSH keys, X.509 certificates, credentials of single services, SAML.

None of it can be made here, as what it opens is not here. It is listed all the same, and truly: whoever deletes a user looks first
(AWS's own steps, Terraform's `force_destroy`), and whoever looks for credentials that nobody needs any more does, too.
"""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.errors import Validation
from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam.api import api
from longshore.services.iam.errors import NotSupportedService
from longshore.services.iam.lookup import owner_arn, user_arn_for
from longshore.services.iam.paging import Page, paged

#: whose credentials of single services IAM makes at AWS
_SERVICES = frozenset({"codecommit.amazonaws.com", "cassandra.amazonaws.com", "bedrock.amazonaws.com", "logs.amazonaws.com"})

_OfUser = shapes.ListSSHPublicKeysRequest | shapes.ListSigningCertificatesRequest | shapes.ListServiceSpecificCredentialsRequest


def _owner(call: Call, request: _OfUser) -> Iterable[str]:
    return (user_arn_for(call, request.user_name),)


def _nothing(call: Call, operation: str, request: _OfUser) -> Page[str]:
    """Raises NoSuchEntity without such a user, Validation for a marker, which no listing has given out."""
    owner = owner_arn(call.store, call, request.user_name)
    return paged(call, (operation, owner), request.marker, request.max_items, lambda after, limit: [], str)


@api.operation("ListSSHPublicKeys", resource=_owner)
async def list_ssh_public_keys(call: Call, request: shapes.ListSSHPublicKeysRequest) -> shapes.ListSSHPublicKeysResponse:
    found = _nothing(call, "ListSSHPublicKeys", request)
    return shapes.ListSSHPublicKeysResponse(ssh_public_keys=(), is_truncated=found.is_truncated)


@api.operation("ListSigningCertificates", resource=_owner)
async def list_signing_certificates(call: Call, request: shapes.ListSigningCertificatesRequest) -> shapes.ListSigningCertificatesResponse:
    found = _nothing(call, "ListSigningCertificates", request)
    return shapes.ListSigningCertificatesResponse(certificates=(), is_truncated=found.is_truncated)


@api.operation("ListServiceSpecificCredentials", resource=_owner)
async def list_service_specific_credentials(
    call: Call, request: shapes.ListServiceSpecificCredentialsRequest
) -> shapes.ListServiceSpecificCredentialsResponse:
    if request.all_users and request.user_name is not None:
        raise Validation("AllUsers cannot be given together with UserName.")
    if request.service_name is not None and request.service_name not in _SERVICES:
        raise NotSupportedService(f"The service {request.service_name} does not support service-specific credentials.")
    found = _nothing(call, "ListServiceSpecificCredentials", request)
    return shapes.ListServiceSpecificCredentialsResponse(service_specific_credentials=(), is_truncated=found.is_truncated)


@api.operation("ListSAMLProviders", resource=ANY_RESOURCE)
async def list_saml_providers(call: Call, request: shapes.ListSAMLProvidersRequest) -> shapes.ListSAMLProvidersResponse:
    return shapes.ListSAMLProvidersResponse(saml_provider_list=())
