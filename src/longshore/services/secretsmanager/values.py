"""Values of secrets, opened for those of our own services that were given a secret's ARN."""

from __future__ import annotations

from longshore.kit.sealing import Keys, SealBroken, unseal
from longshore.services.secretsmanager.model import CURRENT, PURPOSE, SECRETS, Secret, Version
from longshore.store.base import Reader


class SecretMissing(Exception):
    """There is no such secret, it waits for its deletion, or it has no value yet."""


class SecretUnreadable(Exception):
    """It was sealed by another installation, or is no text."""


def version_at(secret: Secret, stage: str) -> Version | None:
    return next((version for version in secret.versions if stage in version.stages), None)


def secret_string(reader: Reader, region: str, account_id: str, arn: str, installation_secret: Keys) -> str:
    """The current text of a secret of this account and region. Raises SecretMissing and SecretUnreadable."""
    found = [each for each in reader.list(SECRETS, "arn", arn) if (each.region, each.account_id) == (region, account_id)]
    version = version_at(found[0], CURRENT) if found and found[0].deleted_at is None else None
    if version is None:
        raise SecretMissing(arn)
    if not version.is_text:
        raise SecretUnreadable(arn)
    try:
        return unseal(installation_secret, PURPOSE, version.value).decode()
    except (SealBroken, UnicodeDecodeError):
        raise SecretUnreadable(arn) from None
