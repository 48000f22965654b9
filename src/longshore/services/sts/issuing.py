"""Making the credentials of a session: its key pair, and how they look in answers."""

from __future__ import annotations

from typing import Any

from longshore.aws.shapes import sts as shapes
from longshore.services.call import Call
from longshore.services.iam.lookup import new_id, new_secret
from longshore.services.sts.sessions import Claims

#: there are no devices whose code could be right
NO_DEVICE = "MultiFactorAuthentication failed with invalid MFA one time pass code. "


def new_claims(call: Call, *, lasting_s: float, account_id: str, **more: Any) -> Claims:
    """Claims of a session that begins now, with keys of its own; `more` are further fields of Claims."""
    now = call.clock.now()
    return Claims(account_id, new_id(call.ids, "ASIA", 20), new_secret(call.ids), now, now + lasting_s, **more)


def credentials_shape(claims: Claims, token: str) -> shapes.Credentials:
    return shapes.Credentials(
        access_key_id=claims.access_key_id,
        secret_access_key=claims.secret_access_key,
        session_token=token,
        expiration=claims.expires_at,
    )
