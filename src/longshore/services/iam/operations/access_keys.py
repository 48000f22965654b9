"""Access keys: what requests are signed with. The secret is shown once, when the key is made."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from longshore.aws.errors import AccessDenied
from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam.api import api
from longshore.services.iam.errors import InvalidInput, LimitExceeded, no_such_access_key
from longshore.services.iam.lookup import new_id, new_secret, owner_arn, user_arn_for
from longshore.services.iam.model import ACCESS_KEY_USES, ACCESS_KEYS, USERS, AccessKey, root_arn
from longshore.services.iam.paging import paged
from longshore.services.iam.views import access_key_shape
from longshore.store.base import Reader, Tx

_MOST_KEYS = 2

_Request = shapes.CreateAccessKeyRequest | shapes.ListAccessKeysRequest | shapes.UpdateAccessKeyRequest | shapes.DeleteAccessKeyRequest


def _owner(call: Call, request: _Request) -> Iterable[str]:
    return (user_arn_for(call, request.user_name),)


def _owner_name(reader: Reader, key: AccessKey) -> str | None:
    """The user's name; the root has none."""
    users = reader.list(USERS, "arn", key.principal_arn)
    return users[0].name if users else None


def _find_key(reader: Reader, owner: str, access_key_id: str) -> AccessKey:
    """A key is found only among its owner's."""
    key = reader.get(ACCESS_KEYS, access_key_id)
    if key is None or key.principal_arn != owner:
        raise no_such_access_key(access_key_id)
    return key


@api.operation("CreateAccessKey", resource=_owner)
async def create_access_key(call: Call, request: shapes.CreateAccessKeyRequest) -> shapes.CreateAccessKeyResponse:
    access_key_id, secret, now = new_id(call.ids, "AKIA", 20), new_secret(call.ids), call.clock.now()

    def create(tx: Tx) -> tuple[AccessKey, str | None]:
        owner = owner_arn(tx, call, request.user_name)
        if tx.count(ACCESS_KEYS, "principal", owner) >= _MOST_KEYS:
            raise LimitExceeded(f"Cannot exceed quota for AccessKeysPerUser: {_MOST_KEYS}")
        key = tx.create(ACCESS_KEYS, AccessKey(access_key_id, call.account_id, owner, secret, now))
        return key, _owner_name(tx, key)

    key, user_name = await call.store.transact(create)
    made = shapes.AccessKey(
        user_name=user_name,
        access_key_id=key.access_key_id,
        status=key.status,
        secret_access_key=key.secret_access_key,
        create_date=key.created_at,
    )
    return shapes.CreateAccessKeyResponse(access_key=made)


@api.operation("ListAccessKeys", resource=_owner)
async def list_access_keys(call: Call, request: shapes.ListAccessKeysRequest) -> shapes.ListAccessKeysResponse:
    owner = owner_arn(call.store, call, request.user_name)
    found = paged(
        call,
        ("ListAccessKeys", owner),
        request.marker,
        request.max_items,
        lambda after, limit: call.store.list(ACCESS_KEYS, "principal", owner, after=after, limit=limit),
        lambda key: key.access_key_id,
    )
    keys = tuple(access_key_shape(key, _owner_name(call.store, key)) for key in found.items)
    return shapes.ListAccessKeysResponse(access_key_metadata=keys, is_truncated=found.is_truncated, marker=found.marker)


@api.operation("UpdateAccessKey", resource=_owner)
async def update_access_key(call: Call, request: shapes.UpdateAccessKeyRequest) -> None:
    if request.status not in ("Active", "Inactive"):
        raise InvalidInput("Status must be Active or Inactive.")

    def update(tx: Tx) -> None:
        key = _find_key(tx, owner_arn(tx, call, request.user_name), request.access_key_id)
        tx.put(ACCESS_KEYS, msgspec.structs.replace(key, status=request.status, changed_at=call.clock.now()))

    await call.store.transact(update)


@api.operation("DeleteAccessKey", resource=_owner)
async def delete_access_key(call: Call, request: shapes.DeleteAccessKeyRequest) -> None:
    def delete(tx: Tx) -> None:
        key = _find_key(tx, owner_arn(tx, call, request.user_name), request.access_key_id)
        tx.delete(ACCESS_KEYS, key.access_key_id)
        tx.delete(ACCESS_KEY_USES, key.access_key_id)

    await call.store.transact(delete)


def _whose(call: Call, request: shapes.GetAccessKeyLastUsedRequest) -> Iterable[str]:
    """The user's; whoever asks about a key that is not the account's asks about any."""
    key = call.store.get(ACCESS_KEYS, request.access_key_id)
    own = key is not None and key.account_id == call.account_id and key.principal_arn != root_arn(key.account_id)
    return (key.principal_arn if key is not None and own else "*",)


@api.operation("GetAccessKeyLastUsed", resource=_whose)
async def get_access_key_last_used(call: Call, request: shapes.GetAccessKeyLastUsedRequest) -> shapes.GetAccessKeyLastUsedResponse:
    key = call.store.get(ACCESS_KEYS, request.access_key_id)
    if key is None or key.account_id != call.account_id:
        # Whether another account has such a key is not ours to say.
        raise AccessDenied(
            f"User: {call.principal.arn} is not authorized to perform: iam:GetAccessKeyLastUsed "
            f"on resource: access key {request.access_key_id}"
        )
    use = call.store.get(ACCESS_KEY_USES, key.access_key_id)
    if use is None:
        last = shapes.AccessKeyLastUsed(service_name="N/A", region="N/A")
    else:
        last = shapes.AccessKeyLastUsed(last_used_date=use.used_at, service_name=use.service, region=use.region)
    name = None if key.principal_arn == root_arn(key.account_id) else _owner_name(call.store, key)
    return shapes.GetAccessKeyLastUsedResponse(user_name=name, access_key_last_used=last)
