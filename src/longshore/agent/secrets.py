"""Secrets of a task's containers, fetched with the task's execution role just before a container is created.

They live in the create request and nowhere else: not in the journal, not in logs, not in what is reported. (Docker Engine keeps
a container's environment, and shows it to whoever may inspect containers; so it is in ECS.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from longshore.agent import messages
from longshore.agent.api import CallRefused, PlatformUnreachable
from longshore.agent.container_spec import Fetched
from longshore.agent.images import registry_of
from longshore.runtime.base import RegistryAuth

#: names in one request
MOST_PARAMETERS = 10
#: parts of a secret's ARN; what follows names a key, a stage and a version
_ARN_PARTS = 7


class CannotFetch(Exception):
    """A secret cannot be had; `reason` begins with the name of the failure."""

    def __init__(self, store: str, text: str) -> None:
        failed = f"unable to retrieve secret from {store}: {text}"
        self.reason = f"ResourceInitializationError: unable to pull secrets or registry auth: {failed}"
        super().__init__(self.reason)


class SecretStores(Protocol):
    """Raise CallRefused and PlatformUnreachable."""

    async def secret_value(self, role: messages.RoleCredentials, secret_id: str, *, stage: str, version: str, region: str) -> str: ...

    async def parameters(self, role: messages.RoleCredentials, names: Sequence[str], *, region: str) -> dict[str, str]:
        """Those that are there, by the names asked for."""


async def fetch(stores: SecretStores, secrets: Sequence[messages.Secret], role: messages.RoleCredentials) -> Fetched:
    """Raises CannotFetch, and PlatformUnreachable where another try may help."""
    values: dict[str, str] = {}
    texts: dict[tuple[str, ...], str] = {}
    for secret in secrets:
        if secret.provider == "asm" and secret.value_from not in values:
            values[secret.value_from] = await _secret(stores, role, secret, texts)
    for region in dict.fromkeys(secret.region for secret in secrets if secret.provider == "ssm"):
        names = list(dict.fromkeys(secret.value_from for secret in secrets if secret.provider == "ssm" and secret.region == region))
        values |= await _parameters(stores, role, names, region)
    of_logs = [secret for secret in secrets if secret.target == "LOG_DRIVER"]
    return Fetched(
        environment={secret.name: values[secret.value_from] for secret in secrets if secret not in of_logs},
        log_options={secret.name: values[secret.value_from] for secret in of_logs},
    )


async def registry_login(stores: SecretStores, image: str, given: messages.AsmAuth, role: messages.RoleCredentials) -> RegistryAuth:
    """Of a private registry. Raises as `fetch` does."""
    text = await _value(stores, role, given.credentials_parameter, "", "", given.region)
    try:
        content = msgspec.json.decode(text, type=dict[str, str])
        return RegistryAuth(content["username"], content["password"], registry_of(image))
    except (msgspec.MsgspecError, KeyError):
        text = f'{given.credentials_parameter} is not of the form {{"username": …, "password": …}}'
        raise CannotFetch("asm", text) from None


async def _secret(stores: SecretStores, role: messages.RoleCredentials, secret: messages.Secret, texts: dict[tuple[str, ...], str]) -> str:
    """`texts` are those fetched already: one secret may have several keys."""
    parts = secret.value_from.split(":")
    key, stage, version = (*parts[_ARN_PARTS:], "", "", "")[:3]
    asked = (":".join(parts[:_ARN_PARTS]), stage, version, secret.region)
    if asked not in texts:
        texts[asked] = await _value(stores, role, *asked)
    text = texts[asked]
    if not key:
        return text
    try:
        found = msgspec.json.decode(text, type=dict[str, object]).get(key)
    except msgspec.MsgspecError:
        raise CannotFetch("asm", f"{secret.value_from}: the secret is no JSON object") from None
    if found is None:
        raise CannotFetch("asm", f"{secret.value_from}: retrieved secret from Secrets Manager did not contain json key {key}")
    return found if isinstance(found, str) else msgspec.json.encode(found).decode()


async def _value(stores: SecretStores, role: messages.RoleCredentials, secret_id: str, stage: str, version: str, region: str) -> str:
    try:
        return await stores.secret_value(role, secret_id, stage=stage, version=version, region=region)
    except CallRefused as error:
        if error.may_pass:
            raise PlatformUnreachable(str(error)) from error
        raise CannotFetch("asm", f"failed to fetch secret {secret_id} from secrets manager: {error.code}: {error.message}") from error


async def _parameters(stores: SecretStores, role: messages.RoleCredentials, names: list[str], region: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for start in range(0, len(names), MOST_PARAMETERS):
        try:
            found |= await stores.parameters(role, names[start : start + MOST_PARAMETERS], region=region)
        except CallRefused as error:
            if error.may_pass:
                raise PlatformUnreachable(str(error)) from error
            raise CannotFetch("ssm", f"{error.code}: {error.message}") from error
    missing = [name for name in names if name not in found]
    if missing:
        raise CannotFetch("ssm", f"invalid ssm parameters: {', '.join(missing)}")
    return found
