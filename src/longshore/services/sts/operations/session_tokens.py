"""Credentials for a while instead of a long-lived key: the user's own rights, under another key."""

from __future__ import annotations

from longshore.aws.errors import AccessDenied
from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import sts as shapes
from longshore.services.call import Call
from longshore.services.sts.api import api
from longshore.services.sts.devices import with_device
from longshore.services.sts.issuing import HOUR_S, began_by, issued, new_claims

_DEFAULT_S = 12 * HOUR_S


# No permission is needed: what it gives is what the caller has already.
@api.operation("GetSessionToken", action="", resource=ANY_RESOURCE, identify=with_device)
async def get_session_token(call: Call, request: shapes.GetSessionTokenRequest) -> shapes.GetSessionTokenResponse:
    principal = call.principal
    if principal.session is not None:
        raise AccessDenied("Cannot call GetSessionToken with session credentials")
    lasting_s = request.duration_seconds or _DEFAULT_S
    claims = new_claims(
        call,
        lasting_s=min(lasting_s, HOUR_S) if principal.is_root else lasting_s,
        account_id=principal.account_id,
        begun_with=principal.access_key_id,
        user_id=principal.user_id,
        began=began_by(call, principal),
        mfa_at=call.mfa_at,
    )
    given = issued(call, claims, request.minimum_session_token_size)
    return shapes.GetSessionTokenResponse(
        credentials=given.credentials,
        session_token_size=given.token_size,
        session_token_utilization=given.token_percent,
    )
