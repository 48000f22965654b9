"""What is said once for a whole account: its password policy, its alias, and which session tokens its people want."""

from __future__ import annotations

from longshore.aws.errors import Validation
from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam.account_settings import (
    ACCOUNT_ALIASES,
    PASSWORD_POLICIES,
    STS_PREFERENCES,
    AccountAlias,
    PasswordPolicy,
    StsPreferences,
)
from longshore.services.iam.api import api
from longshore.services.iam.errors import EntityAlreadyExists, InvalidInput, NoSuchEntity
from longshore.services.iam.paging import paged
from longshore.store.base import Tx

# ── passwords ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _no_policy(account_id: str) -> NoSuchEntity:
    return NoSuchEntity(f"The Password Policy with domain name {account_id} cannot be found.")


@api.operation("UpdateAccountPasswordPolicy", resource=ANY_RESOURCE)
async def update_account_password_policy(call: Call, request: shapes.UpdateAccountPasswordPolicyRequest) -> None:
    """What is not given becomes what it is by default."""
    policy = PasswordPolicy(
        call.account_id,
        minimum_length=request.minimum_password_length or 6,
        require_symbols=bool(request.require_symbols),
        require_numbers=bool(request.require_numbers),
        require_uppercase=bool(request.require_uppercase_characters),
        require_lowercase=bool(request.require_lowercase_characters),
        allow_users_to_change_password=bool(request.allow_users_to_change_password),
        max_password_age=request.max_password_age or 0,
        reuse_prevention=request.password_reuse_prevention or 0,
        hard_expiry=bool(request.hard_expiry),
    )
    await call.store.transact(lambda tx: tx.put(PASSWORD_POLICIES, policy))


@api.operation("GetAccountPasswordPolicy", resource=ANY_RESOURCE)
async def get_account_password_policy(
    call: Call, request: shapes.GetAccountPasswordPolicyRequest
) -> shapes.GetAccountPasswordPolicyResponse:
    policy = call.store.get(PASSWORD_POLICIES, call.account_id)
    if policy is None:
        raise _no_policy(call.account_id)
    return shapes.GetAccountPasswordPolicyResponse(
        password_policy=shapes.PasswordPolicy(
            minimum_password_length=policy.minimum_length,
            require_symbols=policy.require_symbols,
            require_numbers=policy.require_numbers,
            require_uppercase_characters=policy.require_uppercase,
            require_lowercase_characters=policy.require_lowercase,
            allow_users_to_change_password=policy.allow_users_to_change_password,
            expire_passwords=policy.max_password_age > 0,
            max_password_age=policy.max_password_age or None,
            password_reuse_prevention=policy.reuse_prevention or None,
            hard_expiry=policy.hard_expiry,
        )
    )


@api.operation("DeleteAccountPasswordPolicy", resource=ANY_RESOURCE)
async def delete_account_password_policy(call: Call, request: shapes.DeleteAccountPasswordPolicyRequest) -> None:
    """From then on what holds where there is none."""

    def delete(tx: Tx) -> None:
        if tx.get(PASSWORD_POLICIES, call.account_id) is None:
            raise _no_policy(call.account_id)
        tx.delete(PASSWORD_POLICIES, call.account_id)

    await call.store.transact(delete)


# ── the alias ────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("CreateAccountAlias", resource=ANY_RESOURCE)
async def create_account_alias(call: Call, request: shapes.CreateAccountAliasRequest) -> None:
    """It takes the place of the one before: an account has one at most."""
    alias = AccountAlias(request.account_alias, call.account_id, call.clock.now())
    if alias.alias.isdigit() and len(alias.alias) == 12:
        raise InvalidInput("An account alias cannot look like the id of an account.")

    def create(tx: Tx) -> None:
        if tx.get(ACCOUNT_ALIASES, alias.alias) is not None:
            raise EntityAlreadyExists(f"The account alias {alias.alias} already exists.")
        for before in tx.list(ACCOUNT_ALIASES, "account", call.account_id):
            tx.delete(ACCOUNT_ALIASES, before.alias)
        tx.create(ACCOUNT_ALIASES, alias)

    await call.store.transact(create)


@api.operation("ListAccountAliases", resource=ANY_RESOURCE)
async def list_account_aliases(call: Call, request: shapes.ListAccountAliasesRequest) -> shapes.ListAccountAliasesResponse:
    found = paged(
        call,
        ("ListAccountAliases",),
        request.marker,
        request.max_items,
        lambda after, limit: call.store.list(ACCOUNT_ALIASES, "account", call.account_id, after=after, limit=limit),
        lambda alias: alias.alias,
    )
    names = tuple(alias.alias for alias in found.items)
    return shapes.ListAccountAliasesResponse(account_aliases=names, is_truncated=found.is_truncated, marker=found.marker)


@api.operation("DeleteAccountAlias", resource=ANY_RESOURCE)
async def delete_account_alias(call: Call, request: shapes.DeleteAccountAliasRequest) -> None:
    def delete(tx: Tx) -> None:
        alias = tx.get(ACCOUNT_ALIASES, request.account_alias)
        if alias is None or alias.account_id != call.account_id:
            raise NoSuchEntity(f"The account alias {request.account_alias} cannot be found.")
        tx.delete(ACCOUNT_ALIASES, alias.alias)

    await call.store.transact(delete)


# ── session tokens ───────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("SetSecurityTokenServicePreferences", resource=ANY_RESOURCE)
async def set_security_token_service_preferences(call: Call, request: shapes.SetSecurityTokenServicePreferencesRequest) -> None:
    version = {"v1Token": 1, "v2Token": 2}.get(request.global_endpoint_token_version)
    if version is None:
        raise Validation("GlobalEndpointTokenVersion must be v1Token or v2Token.")
    await call.store.transact(lambda tx: tx.put(STS_PREFERENCES, StsPreferences(call.account_id, version)))
