"""Secrets in transactions: how they are found, and what happens to the stages of their versions."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from longshore.aws.arn import parse_arn
from longshore.services.secretsmanager.errors import (
    InvalidParameterException,
    InvalidRequestException,
    ResourceExistsException,
    ResourceNotFoundException,
)
from longshore.services.secretsmanager.model import CURRENT, PREVIOUS, SECRETS, Secret, Tag, Version, secret_key
from longshore.store.base import Reader, Tx

_NAME = re.compile(r"[A-Za-z0-9/_+=.@!-]{1,512}")
_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}$")
MOST_TAGS = 50
#: versions without a stage that are kept, the newest; nobody finds the others but by their ids
_MOST_UNSTAGED = 20
_DAY_S = 24 * 3600.0


def checked_name(name: str) -> str:
    """`name` itself; raises InvalidParameterException."""
    if not _NAME.fullmatch(name):
        raise InvalidParameterException(
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
        )
    return name


def checked_tags(tags: Iterable[Tag]) -> tuple[Tag, ...]:
    """Each key once, sorted; raises InvalidParameterException."""
    named = {tag.key: tag for tag in tags}
    if len(named) > MOST_TAGS:
        raise InvalidParameterException(f"A secret can have at most {MOST_TAGS} tags.")
    if any(key.startswith("aws:") for key in named):
        raise InvalidParameterException("Tag keys must not begin with aws:")
    return tuple(named[key] for key in sorted(named))


def find(reader: Reader, region: str, account_id: str, secret_id: str, now: float) -> Secret | None:
    """By name, by ARN, or by an ARN without its last seven characters. One that waits for its deletion is found, too."""
    held: Secret | None
    if not secret_id.startswith("arn:"):
        held = reader.get(SECRETS, secret_key(region, account_id, secret_id))
    else:
        arn = parse_arn(secret_id)
        if arn is None or (arn.service, arn.region, arn.account_id) != ("secretsmanager", region, account_id):
            return None
        exact = reader.list(SECRETS, "arn", secret_id, limit=1)
        held = exact[0] if exact else reader.get(SECRETS, secret_key(region, account_id, arn.resource.removeprefix("secret:")))
    return held if held is not None and not is_gone(held, now) else None


def is_gone(secret: Secret, now: float) -> bool:
    return secret.gone_at is not None and secret.gone_at <= now


def existing(reader: Reader, region: str, account_id: str, secret_id: str, now: float) -> Secret:
    """Raises ResourceNotFoundException."""
    found = find(reader, region, account_id, secret_id, now)
    if found is None:
        raise ResourceNotFoundException
    return found


def usable(reader: Reader, region: str, account_id: str, secret_id: str, now: float) -> Secret:
    """Raises ResourceNotFoundException, and InvalidRequestException for one that waits for its deletion."""
    found = existing(reader, region, account_id, secret_id, now)
    if found.deleted_at is not None:
        raise InvalidRequestException("You can't perform this operation on the secret because it was marked for deletion.")
    return found


def name_in(arn_resource: str) -> str:
    """The secret's name in the resource of its ARN."""
    return _SUFFIX.sub("", arn_resource.removeprefix("secret:"))


def with_version(secret: Secret, version: Version, now: float) -> Secret:
    """The secret with a further version, which takes its stages away from others; the last current one becomes the previous one.

    A version of the same id is told apart by its value, which the caller has compared. Raises ResourceExistsException.
    """
    if any(each.id == version.id for each in secret.versions):
        raise ResourceExistsException(f"You can't use ClientRequestToken {version.id} because that value is already in use for a version.")
    taken = set(version.stages)
    if CURRENT in taken:
        taken.add(PREVIOUS)
    before = []
    for each in secret.versions:
        stages = tuple(stage for stage in each.stages if stage not in taken)
        if CURRENT in version.stages and CURRENT in each.stages:
            stages = (*stages, PREVIOUS)
        before.append(msgspec.structs.replace(each, stages=stages))
    unstaged = [each.id for each in before if not each.stages]
    forgotten = set(unstaged[: max(0, len(unstaged) - _MOST_UNSTAGED)])
    kept = tuple(each for each in before if each.id not in forgotten)
    return msgspec.structs.replace(secret, versions=(*kept, version), changed_at=now)


def forget_the_gone(tx: Tx, scope: str, now: float) -> None:
    """Secrets whose recovery window has passed; nobody can see them any more."""
    for secret in tx.list(SECRETS, "scope", scope):
        if is_gone(secret, now):
            tx.delete(SECRETS, secret.key)


def day_of(now: float) -> float:
    """Secrets Manager tells when a secret was last read to the day."""
    return now - now % _DAY_S
