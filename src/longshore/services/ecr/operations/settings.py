"""Account settings, and the principals whose pulls are not noted."""

from __future__ import annotations

from typing import Protocol

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.pagination import page, seal, unseal
from longshore.aws.shapes import ecr as shapes
from longshore.services.call import Call
from longshore.services.ecr.api import api
from longshore.services.ecr.errors import (
    ExclusionAlreadyExistsException,
    ExclusionNotFoundException,
    InvalidParameterException,
    LimitExceededException,
)
from longshore.services.ecr.settings.model import (
    ACCOUNT_SETTINGS,
    PULL_TIME_EXCLUSIONS,
    AccountSetting,
    PullTimeExclusion,
    exclusion_key,
)
from longshore.services.ecr.settings.rules import MOST_EXCLUSIONS, checked_name, checked_value, setting
from longshore.store.base import Tx

_PAGE = 100


class _NamesSetting(Protocol):
    @property
    def name(self) -> str: ...


def _setting_conditions(call: Call, request: _NamesSetting) -> dict[str, list[str]]:
    return {"ecr:AccountSetting": [request.name]}


@api.operation("GetAccountSetting", resource=ANY_RESOURCE, conditions=_setting_conditions)
async def get_account_setting(call: Call, request: shapes.GetAccountSettingRequest) -> shapes.GetAccountSettingResponse:
    name = checked_name(request.name)
    return shapes.GetAccountSettingResponse(name=name, value=setting(call.store, call.region, call.account_id, name))


@api.operation("PutAccountSetting", resource=ANY_RESOURCE, conditions=_setting_conditions)
async def put_account_setting(call: Call, request: shapes.PutAccountSettingRequest) -> shapes.PutAccountSettingResponse:
    value = checked_value(request.name, request.value)
    held = AccountSetting(call.region, call.account_id, request.name, value)
    await call.store.transact(lambda tx: tx.put(ACCOUNT_SETTINGS, held))
    return shapes.PutAccountSettingResponse(name=held.name, value=held.value)


@api.operation("RegisterPullTimeUpdateExclusion", resource=ANY_RESOURCE)
async def register_pull_time_update_exclusion(
    call: Call, request: shapes.RegisterPullTimeUpdateExclusionRequest
) -> shapes.RegisterPullTimeUpdateExclusionResponse:
    exclusion = PullTimeExclusion(call.region, call.account_id, request.principal_arn, call.clock.now())

    def register(tx: Tx) -> None:
        if tx.get(PULL_TIME_EXCLUSIONS, PULL_TIME_EXCLUSIONS.key(exclusion)) is not None:
            raise ExclusionAlreadyExistsException
        if tx.count(PULL_TIME_EXCLUSIONS, "scope", f"{call.region}:{call.account_id}") >= MOST_EXCLUSIONS:
            raise LimitExceededException(f"The maximum number of pull time update exclusions in a registry is {MOST_EXCLUSIONS}.")
        tx.create(PULL_TIME_EXCLUSIONS, exclusion)

    await call.store.transact(register)
    return shapes.RegisterPullTimeUpdateExclusionResponse(principal_arn=exclusion.principal_arn, created_at=exclusion.created_at)


@api.operation("DeregisterPullTimeUpdateExclusion", resource=ANY_RESOURCE)
async def deregister_pull_time_update_exclusion(
    call: Call, request: shapes.DeregisterPullTimeUpdateExclusionRequest
) -> shapes.DeregisterPullTimeUpdateExclusionResponse:
    key = exclusion_key(call.region, call.account_id, request.principal_arn)

    def deregister(tx: Tx) -> None:
        if tx.get(PULL_TIME_EXCLUSIONS, key) is None:
            raise ExclusionNotFoundException
        tx.delete(PULL_TIME_EXCLUSIONS, key)

    await call.store.transact(deregister)
    return shapes.DeregisterPullTimeUpdateExclusionResponse(principal_arn=request.principal_arn)


@api.operation("ListPullTimeUpdateExclusions", resource=ANY_RESOURCE)
async def list_pull_time_update_exclusions(
    call: Call, request: shapes.ListPullTimeUpdateExclusionsRequest
) -> shapes.ListPullTimeUpdateExclusionsResponse:
    scope = f"{call.region}:{call.account_id}"
    question = ("ListPullTimeUpdateExclusions", scope)
    invalid = InvalidParameterException("Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'")
    found, after = page(
        lambda after, limit: call.store.list(PULL_TIME_EXCLUSIONS, "scope", scope, after=after, limit=limit),
        PULL_TIME_EXCLUSIONS.key,
        after=unseal(call.secret_for_signing, question, request.next_token, invalid),
        limit=request.max_results or _PAGE,
    )
    return shapes.ListPullTimeUpdateExclusionsResponse(
        pull_time_update_exclusions=tuple(each.principal_arn for each in found),
        next_token=seal(call.secret_for_signing, question, after) if after else None,
    )
