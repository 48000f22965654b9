"""The encoded part of EC2's refusals: what was decided about what, for those alone who may decode it.

A refusal goes to whoever was refused; what stands in the policies is not for them. So it says the rest sealed with the
installation's secret, and DecodeAuthorizationMessage opens it for the account of who was refused.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from longshore.kit.sealing import Keys, SealBroken, seal, unseal
from longshore.services.call import Principal
from longshore.services.sts.errors import InvalidAuthorizationMessageException

_PURPOSE = "sts-authorization-message-1"


class Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    account_id: str
    #: JSON, in the shape of AWS's
    text: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode


def encoded_message(secret: Keys, principal: Principal, action: str, resource: str, *, explicit: bool) -> str:
    said = {
        "allowed": False,
        "explicitDeny": explicit,
        "context": {
            "principal": {
                "id": principal.user_id,
                "name": principal.arn.rpartition("/")[2] if "/" in principal.arn else "root",
                "arn": principal.arn,
            },
            "action": action,
            "resource": resource,
        },
    }
    message = Message(principal.account_id, msgspec.json.encode(said).decode())
    return urlsafe_b64encode(seal(secret, _PURPOSE, _encode(message))).decode().rstrip("=")


def decoded_message(secret: Keys, account_id: str, encoded: str) -> str:
    """What was said about somebody of the account. Raises InvalidAuthorizationMessageException."""
    try:
        raw = urlsafe_b64decode(encoded.encode("ascii") + b"=" * (-len(encoded) % 4))
        message = _decode(unseal(secret, _PURPOSE, raw, handed_out=True))
    except (ValueError, SealBroken, msgspec.MsgspecError):
        raise InvalidAuthorizationMessageException from None
    if message.account_id != account_id:
        raise InvalidAuthorizationMessageException
    return message.text
