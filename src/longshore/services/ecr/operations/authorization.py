"""GetAuthorizationToken: the way from a signed AWS request to `docker login`."""

from __future__ import annotations

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import ecr as shapes
from longshore.services.call import Call
from longshore.services.ecr.api import api
from longshore.services.ecr.tokens import GOOD_FOR_S, authorization_token, password


@api.operation("GetAuthorizationToken", resource=ANY_RESOURCE)
async def get_authorization_token(call: Call, request: shapes.GetAuthorizationTokenRequest) -> shapes.GetAuthorizationTokenResponse:
    """One token, good for 12 hours and for every registry of this installation that the caller's policies open.

    `registryIds` is deprecated at AWS: it only asks for the same token once per registry.
    """
    expires_at = call.clock.now() + GOOD_FOR_S
    token = authorization_token(password(call.secret_for_signing, call.principal, expires_at))
    answer = shapes.AuthorizationData(authorization_token=token, expires_at=expires_at, proxy_endpoint=call.site.registry_endpoint)
    return shapes.GetAuthorizationTokenResponse(authorization_data=(answer,) * max(1, len(request.registry_ids or ())))
