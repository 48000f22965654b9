"""May they use a route of Longshore's own? Policies decide, as they do for operations, and no other account comes in by them."""

from __future__ import annotations

from aiohttp import web

from longshore.aws.errors import AccessDenied, Throttling
from longshore.gateway.auditing.entries import entry_of
from longshore.gateway.authorise import Access
from longshore.services.call import Principal
from longshore.services.sts.reach import may_make_lasting_keys

#: what counts as an API of ours, beside those of AWS
OWN = "longshore"
#: what a session that leaks is not to make itself a key with, as it cannot with IAM
_MAKE_LASTING_KEYS = frozenset({"longshore:CreateAccountKey"})


def admit(
    access: Access, request: web.BaseRequest, principal: Principal, region: str, action: str, *, account_id: str, resource: str = "*"
) -> None:
    """Returns when `principal` may do `action` to what belongs to `account_id`; either way it is recorded.

    Raises AccessDenied, Throttling where the principal has asked too much lately, and StoreUnavailable where it cannot be recorded.
    """
    entry = entry_of(request)
    if access.limiter is not None:
        try:
            access.limiter.admit(principal, OWN, action.rpartition(":")[2])
        except Throttling:
            if entry is not None:
                entry.held_up(principal, action, region=region, resource=resource)
            raise
    denied = access.denial(
        principal,
        action,
        resource,
        region=region,
        source_ip=request.remote or "",
        secure=request.secure,
        user_agent=request.headers.get("User-Agent", ""),
    )
    if denied is None and principal.account_id != account_id:
        denied = f"User: {principal.arn} is not authorized to perform: {action}: it is for account {account_id} alone"
    if denied is None and action in _MAKE_LASTING_KEYS and not may_make_lasting_keys(principal):
        denied = f"User: {principal.arn} is not authorized to perform: {action} with session credentials without a device's code"
    if entry is not None:
        entry.note(principal, action, region=region, resource=resource, denied=denied)
    if denied is not None:
        raise AccessDenied(denied)
