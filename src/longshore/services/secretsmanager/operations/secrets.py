"""Secrets: create, describe, update, delete and restore."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from longshore.aws.shapes import secretsmanager as shapes
from longshore.kit.sealing import seal
from longshore.services.call import Call
from longshore.services.secretsmanager.api import api
from longshore.services.secretsmanager.errors import InvalidParameterException, InvalidRequestException, ResourceExistsException
from longshore.services.secretsmanager.model import CURRENT, PURPOSE, SECRETS, Secret, Tag, Version
from longshore.services.secretsmanager.scope import arn_of, asked_conditions, secret_conditions, secret_resource
from longshore.services.secretsmanager.secrets import checked_name, checked_tags, existing, forget_the_gone, is_gone, usable, with_version
from longshore.services.secretsmanager.views import tags_of
from longshore.store.base import Tx

_SHORTEST_WINDOW_DAYS, _LONGEST_WINDOW_DAYS = 7, 30
_DAY_S = 24 * 3600.0


def _new_secret(call: Call, request: shapes.CreateSecretRequest) -> Iterable[str]:
    return (arn_of(call, request.name),)


def _creation_conditions(call: Call, request: shapes.CreateSecretRequest) -> dict[str, list[str]]:
    tags = request.tags or ()
    found = {f"aws:RequestTag/{tag.key}": [tag.value or ""] for tag in tags if tag.key}
    named = {"aws:TagKeys": [tag.key for tag in tags if tag.key], "secretsmanager:Name": [request.name]}
    return asked_conditions(request) | found | named


def _tagging_at_creation(call: Call, request: shapes.CreateSecretRequest) -> Iterable[tuple[str, str]]:
    return [("secretsmanager:TagResource", arn_of(call, request.name))] if request.tags else ()


def version_of(call: Call, text: str | None, binary: bytes | None, token: str | None, stages: tuple[str, ...]) -> Version | None:
    """None where no value is given; raises InvalidParameterException where two are."""
    if text is not None and binary is not None:
        raise InvalidParameterException("You can't specify both a binary secret value and a string secret value in the same secret.")
    if text is None and binary is None:
        return None
    content = text.encode() if text is not None else binary or b""
    return Version(
        id=token or call.ids.uuid(),
        created_at=call.clock.now(),
        value=seal(call.secret_for_signing, PURPOSE, content),
        is_text=text is not None,
        stages=stages,
    )


@api.operation("CreateSecret", resource=_new_secret, conditions=_creation_conditions, also=_tagging_at_creation)
async def create_secret(call: Call, request: shapes.CreateSecretRequest) -> shapes.CreateSecretResponse:
    if request.add_replica_regions or request.type is not None or request.cross_account_primary_arn is not None:
        raise InvalidParameterException("Replicas, managed external secrets and primaries in other accounts are not supported.")
    now = call.clock.now()
    name = checked_name(request.name)
    version = version_of(call, request.secret_string, request.secret_binary, request.client_request_token, (CURRENT,))
    secret = Secret(
        arn=arn_of(call, name, call.ids.hex(6)),
        region=call.region,
        account_id=call.account_id,
        name=name,
        created_at=now,
        changed_at=now,
        description=request.description or "",
        kms_key_id=request.kms_key_id or "",
        versions=(version,) if version is not None else (),
        tags=checked_tags(Tag(each.key or "", each.value or "") for each in request.tags or ()),
    )

    def create(tx: Tx) -> None:
        held = tx.get(SECRETS, secret.key)
        if held is not None and not is_gone(held, now):
            if held.deleted_at is not None:
                raise InvalidRequestException(
                    "You can't create this secret because a secret with this name is already scheduled for deletion."
                )
            raise ResourceExistsException(f"The operation failed because the secret {name} already exists.")
        forget_the_gone(tx, f"{call.region}:{call.account_id}", now)
        tx.create(SECRETS, secret)

    await call.store.transact(create)
    return shapes.CreateSecretResponse(arn=secret.arn, name=name, version_id=version.id if version is not None else None)


@api.operation("DescribeSecret", resource=secret_resource, conditions=secret_conditions)
async def describe_secret(call: Call, request: shapes.DescribeSecretRequest) -> shapes.DescribeSecretResponse:
    held = existing(call.store, call.region, call.account_id, request.secret_id, call.clock.now())
    return shapes.DescribeSecretResponse(
        arn=held.arn,
        name=held.name,
        description=held.description or None,
        kms_key_id=held.kms_key_id or None,
        last_changed_date=held.changed_at,
        last_accessed_date=held.accessed_at,
        deleted_date=held.deleted_at,
        tags=tags_of(held),
        version_ids_to_stages={version.id: version.stages for version in held.versions if version.stages} or None,
        created_date=held.created_at,
    )


@api.operation("UpdateSecret", resource=secret_resource, conditions=secret_conditions)
async def update_secret(call: Call, request: shapes.UpdateSecretRequest) -> shapes.UpdateSecretResponse:
    if request.type is not None:
        raise InvalidParameterException("Managed external secrets are not supported.")
    now = call.clock.now()
    version = version_of(call, request.secret_string, request.secret_binary, request.client_request_token, (CURRENT,))

    def update(tx: Tx) -> Secret:
        held = usable(tx, call.region, call.account_id, request.secret_id, now)
        if version is not None:
            held = with_version(held, version, now)
        changed = msgspec.structs.replace(
            held,
            description=held.description if request.description is None else request.description,
            kms_key_id=held.kms_key_id if request.kms_key_id is None else request.kms_key_id,
            changed_at=now,
        )
        return tx.put(SECRETS, changed)

    held = await call.store.transact(update)
    return shapes.UpdateSecretResponse(arn=held.arn, name=held.name, version_id=version.id if version is not None else None)


@api.operation("DeleteSecret", resource=secret_resource, conditions=secret_conditions)
async def delete_secret(call: Call, request: shapes.DeleteSecretRequest) -> shapes.DeleteSecretResponse:
    """After 30 days unless said otherwise, in which it can be restored; at once where that is forced."""
    now = call.clock.now()
    force, days = bool(request.force_delete_without_recovery), request.recovery_window_in_days
    if force and days is not None:
        raise InvalidParameterException("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
    if days is not None and not _SHORTEST_WINDOW_DAYS <= days <= _LONGEST_WINDOW_DAYS:
        raise InvalidParameterException("The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
    window_s = 0.0 if force else (days or _LONGEST_WINDOW_DAYS) * _DAY_S

    def delete(tx: Tx) -> Secret:
        if force:
            held = existing(tx, call.region, call.account_id, request.secret_id, now)
            tx.delete(SECRETS, held.key)
            return held
        held = usable(tx, call.region, call.account_id, request.secret_id, now)
        return tx.put(SECRETS, msgspec.structs.replace(held, deleted_at=now, gone_at=now + window_s))

    held = await call.store.transact(delete)
    return shapes.DeleteSecretResponse(arn=held.arn, name=held.name, deletion_date=now + window_s)


@api.operation("RestoreSecret", resource=secret_resource, conditions=secret_conditions)
async def restore_secret(call: Call, request: shapes.RestoreSecretRequest) -> shapes.RestoreSecretResponse:
    now = call.clock.now()

    def restore(tx: Tx) -> Secret:
        held = existing(tx, call.region, call.account_id, request.secret_id, now)
        return tx.put(SECRETS, msgspec.structs.replace(held, deleted_at=None, gone_at=None))

    held = await call.store.transact(restore)
    return shapes.RestoreSecretResponse(arn=held.arn, name=held.name)
