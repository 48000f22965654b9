"""Which account a key belongs to: no secret, since whoever has a session's key can read it off."""

from __future__ import annotations

from longshore.aws.errors import Validation
from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import sts as shapes
from longshore.services.call import Call
from longshore.services.iam.model import ACCESS_KEYS
from longshore.services.sts.api import api
from longshore.services.sts.key_ids import account_in


@api.operation("GetAccessKeyInfo", resource=ANY_RESOURCE)
async def get_access_key_info(call: Call, request: shapes.GetAccessKeyInfoRequest) -> shapes.GetAccessKeyInfoResponse:
    """Whether a session of the key lives, or ever did, is not said: nothing is kept of sessions."""
    asked = request.access_key_id
    if asked == call.principal.access_key_id:
        return shapes.GetAccessKeyInfoResponse(account=call.account_id)
    key = call.store.get(ACCESS_KEYS, asked)
    account = key.account_id if key is not None else account_in(asked) if asked.startswith("ASIA") else None
    if account is None:
        raise Validation(f"The access key {asked} is not known.")
    return shapes.GetAccessKeyInfoResponse(account=account)
