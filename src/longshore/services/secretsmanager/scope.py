"""What authorisation is asked about a secret."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from longshore.services.call import Call
from longshore.services.secretsmanager.secrets import find

#: member of a request -> the condition key that tells it
_ASKED = {
    "description": "Description",
    "type": "Type",
    "version_id": "VersionId",
    "version_stage": "VersionStage",
    "force_delete_without_recovery": "ForceDeleteWithoutRecovery",
    "recovery_window_in_days": "RecoveryWindowInDays",
    "force_overwrite_replica_secret": "ForceOverwriteReplicaSecret",
}


class _NamesSecret(Protocol):
    @property
    def secret_id(self) -> str: ...


def arn_of(call: Call, name: str, suffix: str = "??????") -> str:
    """Without its suffix known, an ARN is one that policies with six `?` or a `*` match."""
    return call.arn("secretsmanager", f"secret:{name}-{suffix}")


def secret_resource(call: Call, request: _NamesSecret) -> Iterable[str]:
    held = find(call.store, call.region, call.account_id, request.secret_id, call.clock.now())
    if held is not None:
        return (held.arn,)
    return (request.secret_id,) if request.secret_id.startswith("arn:") else (arn_of(call, request.secret_id),)


def secret_conditions(call: Call, request: _NamesSecret) -> dict[str, list[str]]:
    """Of the secret that is named, and of what is asked about it."""
    held = find(call.store, call.region, call.account_id, request.secret_id, call.clock.now())
    if held is None:
        return asked_conditions(request)
    tags = {f"{prefix}:ResourceTag/{tag.key}": [tag.value] for tag in held.tags for prefix in ("aws", "secretsmanager")}
    return asked_conditions(request) | tags | {"secretsmanager:SecretId": [held.arn]}


def asked_conditions(request: object) -> dict[str, list[str]]:
    """What a request says of itself, as far as it does."""
    found: dict[str, list[str]] = {}
    for member, key in _ASKED.items():
        value = getattr(request, member, None)
        if value is not None:
            found[f"secretsmanager:{key}"] = [str(value).lower() if isinstance(value, bool) else str(value)]
    kms_key: str | None = getattr(request, "kms_key_id", None)
    if kms_key is not None:
        found["secretsmanager:KmsKeyId"] = [kms_key]
        if kms_key.startswith("arn:"):
            found["secretsmanager:KmsKeyArn"] = [kms_key]
    replicas = getattr(request, "add_replica_regions", None)
    if replicas:
        found["secretsmanager:AddReplicaRegions"] = [replica.region or "" for replica in replicas]
    return found
