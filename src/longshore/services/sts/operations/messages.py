"""What an encoded refusal says."""

from __future__ import annotations

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import sts as shapes
from longshore.services.call import Call
from longshore.services.sts.api import api
from longshore.services.sts.messages import decoded_message


@api.operation("DecodeAuthorizationMessage", resource=ANY_RESOURCE)
async def decode_authorization_message(
    call: Call, request: shapes.DecodeAuthorizationMessageRequest
) -> shapes.DecodeAuthorizationMessageResponse:
    return shapes.DecodeAuthorizationMessageResponse(
        decoded_message=decoded_message(call.secret_for_signing, call.account_id, request.encoded_message)
    )
