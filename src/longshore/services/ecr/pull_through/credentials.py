"""What a rule signs in with at its upstream: a secret that the rule names, of the form {"username": …, "accessToken": …}."""

from __future__ import annotations

import msgspec

from longshore.kit.sealing import Keys
from longshore.services.ecr.errors import (
    SecretNotFoundException,
    UnableToAccessSecretException,
    UnableToDecryptSecretValueException,
)
from longshore.services.ecr.pull_through.model import PullThroughRule
from longshore.services.ecr.remote.connection import Credentials
from longshore.services.secretsmanager.values import SecretMissing, SecretUnreadable, secret_string
from longshore.store.base import Reader


class _Document(msgspec.Struct, frozen=True, rename="camel"):
    username: str
    access_token: str


def credentials_of(reader: Reader, rule: PullThroughRule, installation_secret: Keys) -> Credentials | None:
    """None for a rule without a secret. Raises SecretNotFoundException, UnableToDecryptSecretValueException and
    UnableToAccessSecretException (for one of another form)."""
    if not rule.credential_arn:
        return None
    try:
        text = secret_string(reader, rule.region, rule.account_id, rule.credential_arn, installation_secret)
    except SecretMissing:
        raise SecretNotFoundException from None
    except SecretUnreadable:
        raise UnableToDecryptSecretValueException from None
    try:
        found = msgspec.json.decode(text, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnableToAccessSecretException(
            "The secret that the pull through cache rule names must be a JSON document with the members username and accessToken."
        ) from None
    return Credentials(found.username, found.access_token)
