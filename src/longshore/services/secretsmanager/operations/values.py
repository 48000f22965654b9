"""Values of secrets: put, get, and which versions there are."""

from __future__ import annotations

import msgspec

from longshore.aws.shapes import secretsmanager as shapes
from longshore.kit.sealing import SealBroken, unseal
from longshore.services.call import Call
from longshore.services.secretsmanager.api import api
from longshore.services.secretsmanager.errors import (
    DecryptionFailure,
    InvalidParameterException,
    ResourceExistsException,
    ResourceNotFoundException,
)
from longshore.services.secretsmanager.model import CURRENT, PURPOSE, SECRETS, Secret, Version
from longshore.services.secretsmanager.operations.secrets import version_of
from longshore.services.secretsmanager.scope import secret_conditions, secret_resource
from longshore.services.secretsmanager.secrets import day_of, existing, usable, with_version
from longshore.services.secretsmanager.values import version_at
from longshore.store.base import Tx


@api.operation("PutSecretValue", resource=secret_resource, conditions=secret_conditions)
async def put_secret_value(call: Call, request: shapes.PutSecretValueRequest) -> shapes.PutSecretValueResponse:
    """The same value again under the same ClientRequestToken changes nothing."""
    now = call.clock.now()
    stages = request.version_stages or (CURRENT,)
    version = version_of(call, request.secret_string, request.secret_binary, request.client_request_token, tuple(dict.fromkeys(stages)))
    if version is None:
        raise InvalidParameterException("You must provide either SecretString or SecretBinary.")

    def put(tx: Tx) -> tuple[Secret, Version]:
        held = usable(tx, call.region, call.account_id, request.secret_id, now)
        same = next((each for each in held.versions if each.id == version.id), None)
        if same is not None:
            if _opened(call, same) == _opened(call, version) and same.is_text == version.is_text:
                return held, same
            raise ResourceExistsException(
                f"You can't use ClientRequestToken {version.id} because that value is already in use for a version of secret {held.arn}."
            )
        return tx.put(SECRETS, with_version(held, version, now)), version

    held, put_version = await call.store.transact(put)
    return shapes.PutSecretValueResponse(arn=held.arn, name=held.name, version_id=put_version.id, version_stages=put_version.stages)


def _opened(call: Call, version: Version) -> bytes:
    """Raises DecryptionFailure."""
    try:
        return unseal(call.secret_for_signing, PURPOSE, version.value)
    except SealBroken:
        raise DecryptionFailure from None


@api.operation("GetSecretValue", resource=secret_resource, conditions=secret_conditions)
async def get_secret_value(call: Call, request: shapes.GetSecretValueRequest) -> shapes.GetSecretValueResponse:
    now = call.clock.now()
    held = usable(call.store, call.region, call.account_id, request.secret_id, now)
    version = _asked(held, request.version_id, request.version_stage)
    content = _opened(call, version)
    if held.accessed_at != day_of(now):
        await call.store.transact(lambda tx: _note_access(tx, held.key, day_of(now)))
    return shapes.GetSecretValueResponse(
        arn=held.arn,
        name=held.name,
        version_id=version.id,
        secret_string=content.decode() if version.is_text else None,
        secret_binary=None if version.is_text else content,
        version_stages=version.stages or None,
        created_date=version.created_at,
    )


def _asked(secret: Secret, version_id: str | None, stage: str | None) -> Version:
    """Raises ResourceNotFoundException, and InvalidParameterException where id and stage mean different versions."""
    if version_id is None:
        found = version_at(secret, stage or CURRENT)
        if found is None:
            raise ResourceNotFoundException(f"Secrets Manager can't find the specified secret value for staging label: {stage or CURRENT}")
        return found
    found = next((version for version in secret.versions if version.id == version_id), None)
    if found is None:
        raise ResourceNotFoundException(f"Secrets Manager can't find the specified secret value for VersionId: {version_id}")
    if stage is not None and stage not in found.stages:
        raise InvalidParameterException("You provided a VersionStage that is not associated to the provided VersionId.")
    return found


def _note_access(tx: Tx, key: str, day: float) -> None:
    held = tx.get(SECRETS, key)
    if held is not None:
        tx.put(SECRETS, msgspec.structs.replace(held, accessed_at=day))


@api.operation("ListSecretVersionIds", resource=secret_resource, conditions=secret_conditions)
async def list_secret_version_ids(call: Call, request: shapes.ListSecretVersionIdsRequest) -> shapes.ListSecretVersionIdsResponse:
    """All at once: a secret has a handful of versions."""
    held = existing(call.store, call.region, call.account_id, request.secret_id, call.clock.now())
    return shapes.ListSecretVersionIdsResponse(
        arn=held.arn,
        name=held.name,
        versions=tuple(
            shapes.SecretVersionsListEntry(version_id=version.id, version_stages=version.stages or None, created_date=version.created_at)
            for version in held.versions
            if version.stages or request.include_deprecated
        ),
    )
