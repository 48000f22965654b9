"""GetAuthorizationToken: the way from a signed AWS request to `docker login`."""

from __future__ import annotations

import re

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import ecr as shapes
from longshore.services.call import Call
from longshore.services.ecr.api import api
from longshore.services.ecr.tokens import authorization_token, good_until, password

#: https://api.ecr.REGION.DOMAIN, as SDKs without an endpoint of ours make it: scheme; region and domain, with the port if there is one
_API_NAME = re.compile(r"(https?://)api\.ecr\.([a-z]{2,}(?:-[a-z]+)+-[0-9]+\.[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::[0-9]{1,5})?)")


@api.operation("GetAuthorizationToken", resource=ANY_RESOURCE)
async def get_authorization_token(call: Call, request: shapes.GetAuthorizationTokenRequest) -> shapes.GetAuthorizationTokenResponse:
    """One token, good for 12 hours and for every registry of this installation that the caller's policies open.

    `registryIds` is deprecated at AWS: it only asks for the same token once per registry.
    """
    expires_at = good_until(call.principal, call.clock.now())
    token = authorization_token(password(call.secret_for_signing, call.principal, expires_at, call.store.revision))
    answers = (
        shapes.AuthorizationData(authorization_token=token, expires_at=expires_at, proxy_endpoint=_proxy_endpoint(call, registry))
        for registry in request.registry_ids or (call.account_id,)
    )
    return shapes.GetAuthorizationTokenResponse(authorization_data=tuple(answers))


def _proxy_endpoint(call: Call, registry: str) -> str:
    """Where to log in. Who asked by AWS's name for the API (its own DNS, or a line in /etc/hosts) is given AWS's name for the registry:
    Amazon's credential helper accepts no other."""
    asked = _API_NAME.fullmatch(call.base_url)
    return f"{asked[1]}{registry}.dkr.ecr.{asked[2]}" if asked else call.site.registry_endpoint
