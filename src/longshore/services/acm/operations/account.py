"""What an account has set for all of its certificates in a region."""

from __future__ import annotations

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import acm as shapes
from longshore.services.acm.api import api
from longshore.services.acm.errors import ConflictException, Validation
from longshore.services.acm.lookup import scope_of_call
from longshore.services.acm.model import ACCOUNT_CONFIGURATIONS, AccountConfiguration
from longshore.services.acm.operations.certificates import TOKEN_S
from longshore.services.call import Call
from longshore.store.base import Tx

DAYS_BEFORE_EXPIRY = 45


@api.operation("GetAccountConfiguration", resource=ANY_RESOURCE)
async def get_account_configuration(call: Call, request: shapes.GetAccountConfigurationRequest) -> shapes.GetAccountConfigurationResponse:
    known = call.store.get(ACCOUNT_CONFIGURATIONS, scope_of_call(call))
    days = known.days_before_expiry if known is not None else DAYS_BEFORE_EXPIRY
    return shapes.GetAccountConfigurationResponse(expiry_events=shapes.ExpiryEventsConfiguration(days_before_expiry=days))


@api.operation("PutAccountConfiguration", resource=ANY_RESOURCE)
async def put_account_configuration(call: Call, request: shapes.PutAccountConfigurationRequest) -> None:
    events = request.expiry_events
    days = DAYS_BEFORE_EXPIRY if events is None or events.days_before_expiry is None else events.days_before_expiry
    if days > 45:
        raise Validation("DaysBeforeExpiry must be between 1 and 45.")
    now, scope = call.clock.now(), scope_of_call(call)

    def put(tx: Tx) -> None:
        known = tx.get(ACCOUNT_CONFIGURATIONS, scope)
        if known is not None and known.idempotency_token == request.idempotency_token and now - known.changed_at < TOKEN_S:
            if known.days_before_expiry != days:
                raise ConflictException("The idempotency token was used for another configuration within the last hour.")
            return
        tx.put(ACCOUNT_CONFIGURATIONS, AccountConfiguration(scope, days, request.idempotency_token, now))

    await call.store.transact(put)
