"""A device's code that comes with a request: looked at before anything is allowed, since policies ask whether there was one.

That it was wrong is kept as well, or whoever may not even take a role on could try codes without end.
"""

from __future__ import annotations

from dataclasses import replace

from longshore.aws.errors import AccessDenied
from longshore.aws.shapes import sts as shapes
from longshore.services.call import Call
from longshore.services.iam.devices import redeem_code

_WRONG = "MultiFactorAuthentication failed with invalid MFA one time pass code. "
_INCOMPLETE = "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code. "


async def with_device(call: Call, request: shapes.AssumeRoleRequest | shapes.GetSessionTokenRequest) -> Call:
    """The call as one for which a device's code was given, where one was. Raises AccessDenied for one that is not good."""
    serial, code = request.serial_number, request.token_code
    if serial is None and code is None:
        return call
    if serial is None or code is None:
        raise AccessDenied(_INCOMPLETE)
    # Devices are users', and a session of a role has the name of none.
    principal, now = call.principal, call.clock.now()
    if not await call.store.transact(lambda tx: redeem_code(tx, principal.arn, serial, code, now)):
        raise AccessDenied(_WRONG)
    return replace(call, mfa_at=now)


def device_conditions(call: Call) -> dict[str, list[str]]:
    """Above those of the session that asks."""
    return {"aws:multifactorauthpresent": ["true"], "aws:multifactorauthage": ["0"]} if call.mfa_at else {}
