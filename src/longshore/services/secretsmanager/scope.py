"""What authorisation is asked about a secret."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from longshore.services.call import Call
from longshore.services.secretsmanager.secrets import find


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
    held = find(call.store, call.region, call.account_id, request.secret_id, call.clock.now())
    if held is None:
        return {}
    tags = {f"{prefix}:ResourceTag/{tag.key}": [tag.value] for tag in held.tags for prefix in ("aws", "secretsmanager")}
    return tags | {"secretsmanager:SecretId": [held.arn]}
