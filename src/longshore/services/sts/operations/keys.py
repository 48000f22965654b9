"""Which account a key belongs to."""

from __future__ import annotations

from longshore.aws.errors import AccessDenied
from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import sts as shapes
from longshore.services.call import Call
from longshore.services.iam.model import ACCESS_KEYS
from longshore.services.sts.api import api


@api.operation("GetAccessKeyInfo", resource=ANY_RESOURCE)
async def get_access_key_info(call: Call, request: shapes.GetAccessKeyInfoRequest) -> shapes.GetAccessKeyInfoResponse:
    key = call.store.get(ACCESS_KEYS, request.access_key_id)
    if request.access_key_id == call.principal.access_key_id or (key is not None and key.account_id == call.account_id):
        return shapes.GetAccessKeyInfoResponse(account=call.account_id)
    # Ids here do not carry their account, and whether another account has such a key is not ours to say.
    raise AccessDenied(
        f"User: {call.principal.arn} is not authorized to perform: sts:GetAccessKeyInfo on resource: access key {request.access_key_id}"
    )
