"""Who am I?"""

from __future__ import annotations

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import sts as shapes
from longshore.services.call import Call
from longshore.services.sts.api import api


# No permission is needed, and none can forbid it: it tells callers only what their signature has said already.
@api.operation("GetCallerIdentity", action="", resource=ANY_RESOURCE)
async def get_caller_identity(call: Call, request: shapes.GetCallerIdentityRequest) -> shapes.GetCallerIdentityResponse:
    principal = call.principal
    return shapes.GetCallerIdentityResponse(user_id=principal.user_id, account=principal.account_id, arn=principal.arn)
