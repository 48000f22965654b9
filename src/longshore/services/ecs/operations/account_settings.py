"""Account settings: put for oneself, for another principal or for the whole account; shown; taken back."""

from __future__ import annotations

from longshore.aws.errors import AccessDenied
from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.pagination import page, seal, unseal
from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.errors import InvalidParameterException
from longshore.services.ecs.listing import page_limit
from longshore.services.ecs.settings.model import ACCOUNT_SETTINGS, AccountSetting, setting_key
from longshore.services.ecs.settings.rules import (
    RULES,
    checked_principal,
    checked_value,
    effective_value,
    kept_value,
    root_arn,
)

#: on a page, and the most that may be asked for
MOST_RESULTS = 10

Named = shapes.PutAccountSettingRequest | shapes.PutAccountSettingDefaultRequest | shapes.DeleteAccountSettingRequest


def _setting_condition(call: Call, request: Named) -> dict[str, list[str]]:
    return {"ecs:account-setting": [request.name]}


def _principal(call: Call, given: str | None, action: str) -> str:
    """Whose setting is meant. Raises AccessDenied for somebody else's, unless the root user asks."""
    own = call.principal.identity_arn
    if not given:
        return own
    wanted = checked_principal(call.account_id, given)
    if wanted != own and not call.principal.is_root:
        raise AccessDenied(
            f"User: {call.principal.arn} is not authorized to perform: {action} for {wanted}: "
            "settings of another principal are the root user's to change"
        )
    return wanted


def _view(name: str, value: str, principal_arn: str) -> shapes.Setting:
    kind = "aws_managed" if RULES[name].read_only else "user"
    return shapes.Setting(name=name, value=value, principal_arn=principal_arn, type=kind)


@api.operation("PutAccountSetting", resource=ANY_RESOURCE, conditions=_setting_condition)
async def put_account_setting(call: Call, request: shapes.PutAccountSettingRequest) -> shapes.PutAccountSettingResponse:
    """For the caller, or for whom the root user names. The root user's own settings are the account's defaults."""
    principal = _principal(call, request.principal_arn, "ecs:PutAccountSetting")
    if RULES[request.name].of_the_account and principal != root_arn(call.account_id):
        raise InvalidParameterException(f"The account setting {request.name} can be set for the whole account only, by its root user.")
    return shapes.PutAccountSettingResponse(setting=await _put(call, principal, request.name, request.value))


@api.operation("PutAccountSettingDefault", resource=ANY_RESOURCE, conditions=_setting_condition)
async def put_account_setting_default(
    call: Call, request: shapes.PutAccountSettingDefaultRequest
) -> shapes.PutAccountSettingDefaultResponse:
    """For everybody in the account who has not set it otherwise: the same as putting it for the root user."""
    return shapes.PutAccountSettingDefaultResponse(setting=await _put(call, root_arn(call.account_id), request.name, request.value))


async def _put(call: Call, principal: str, name: str, value: str) -> shapes.Setting:
    setting = AccountSetting(call.region, call.account_id, principal, name, checked_value(name, value))
    await call.store.transact(lambda tx: tx.put(ACCOUNT_SETTINGS, setting))
    return _view(name, value, principal)


@api.operation("DeleteAccountSetting", resource=ANY_RESOURCE, conditions=_setting_condition)
async def delete_account_setting(call: Call, request: shapes.DeleteAccountSettingRequest) -> shapes.DeleteAccountSettingResponse:
    """Answers what is in effect from now on. What was not set needs no deleting."""
    principal, name = _principal(call, request.principal_arn, "ecs:DeleteAccountSetting"), request.name
    if RULES[name].read_only:
        raise InvalidParameterException(f"The account setting {name} is read-only: Amazon GuardDuty sets it.")
    await call.store.transact(lambda tx: tx.delete(ACCOUNT_SETTINGS, setting_key(call.region, call.account_id, principal, name)))
    value = effective_value(call.store, call.region, call.account_id, principal, name)
    return shapes.DeleteAccountSettingResponse(setting=_view(name, value, principal))


@api.operation("ListAccountSettings", resource=ANY_RESOURCE)
async def list_account_settings(call: Call, request: shapes.ListAccountSettingsRequest) -> shapes.ListAccountSettingsResponse:
    """What the principal has set for itself or, with `effectiveSettings`, all that is in effect for it."""
    if request.value is not None and request.name is None:
        raise InvalidParameterException("A value to filter by needs the name of its setting.")
    principal = checked_principal(call.account_id, request.principal_arn) if request.principal_arn else call.principal.identity_arn
    effective = bool(request.effective_settings)
    listed: list[tuple[str, str]] = []
    for name in sorted(RULES if request.name is None else (request.name,)):
        value = (effective_value if effective else kept_value)(call.store, call.region, call.account_id, principal, name)
        if value is not None and request.value in (None, value):
            listed.append((name, value))
    question = ("ListAccountSettings", call.region, call.account_id, principal, request.name, request.value, effective)
    found, last = page(
        lambda start, limit: [one for one in listed if start is None or one[0] > start][:limit],
        lambda one: one[0],
        after=unseal(call.secret_for_signing, question, request.next_token, InvalidParameterException("Invalid token.")),
        limit=page_limit(request.max_results or None, MOST_RESULTS),
    )
    return shapes.ListAccountSettingsResponse(
        settings=tuple(_view(name, value, principal) for name, value in found),
        next_token=seal(call.secret_for_signing, question, last) if last is not None else None,
    )
