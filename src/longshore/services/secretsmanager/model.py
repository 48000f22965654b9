"""What Secrets Manager keeps: secrets and their versions. Values are sealed with a key of the installation.

A version is told by its id and found by its stages: one version is AWSCURRENT, the one before it AWSPREVIOUS.
"""

from __future__ import annotations

import msgspec

from longshore.kit.resource import Kind

CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
#: what values are sealed for
PURPOSE = "secretsmanager-value-1"


def secret_key(region: str, account_id: str, name: str) -> str:
    return f"{region}:{account_id}:{name}"


class Tag(msgspec.Struct, frozen=True, gc=False):
    key: str
    value: str = ""


class Version(msgspec.Struct, frozen=True, gc=False):
    id: str
    created_at: float
    #: sealed; text as UTF-8
    value: bytes
    is_text: bool
    stages: tuple[str, ...] = ()


class Secret(msgspec.Struct, frozen=True, gc=False):
    #: ends in six random characters, so that a secret made again under the same name is another one
    arn: str
    region: str
    account_id: str
    name: str
    created_at: float
    changed_at: float
    description: str = ""
    kms_key_id: str = ""
    #: the oldest first
    versions: tuple[Version, ...] = ()
    tags: tuple[Tag, ...] = ()
    #: the day it was last read, seconds since the epoch
    accessed_at: float | None = None
    #: when deletion was asked for, and when it happens
    deleted_at: float | None = None
    gone_at: float | None = None

    @property
    def key(self) -> str:
        return secret_key(self.region, self.account_id, self.name)


SECRETS: Kind[Secret] = Kind(
    name="secretsmanager.secret",
    type=Secret,
    key=lambda secret: secret.key,
    indexes={
        "scope": lambda secret: (f"{secret.region}:{secret.account_id}",),
        "arn": lambda secret: (secret.arn,),
    },
    unique=frozenset({"arn"}),
)

KINDS = (SECRETS,)
