"""Account settings and pull-time exclusions of a registry (an account in a Region)."""

from __future__ import annotations

import re

import msgspec

from longshore.kit.resource import Kind

_PRINCIPAL = re.compile(r"arn:aws[a-z-]*:(?:iam::([0-9]{12}):(user|role)/(?:.+/)?([^/]+)|sts::([0-9]{12}):assumed-role/([^/]+)/.+)")


class AccountSetting(msgspec.Struct, frozen=True, gc=False):
    """A setting that was put. What never was has its default."""

    region: str
    account_id: str
    name: str
    value: str


def setting_key(region: str, account_id: str, name: str) -> str:
    return f"{region}:{account_id}:{name}"


ACCOUNT_SETTINGS: Kind[AccountSetting] = Kind(
    name="ecr.account_setting",
    type=AccountSetting,
    key=lambda setting: setting_key(setting.region, setting.account_id, setting.name),
)


class PullTimeExclusion(msgspec.Struct, frozen=True, gc=False):
    """Pulls by this principal do not change when an image was last pulled."""

    region: str
    account_id: str
    #: arn:aws:iam::ACCOUNT:user/… or arn:aws:iam::ACCOUNT:role/…
    principal_arn: str
    created_at: float


def exclusion_key(region: str, account_id: str, principal_arn: str) -> str:
    return f"{region}:{account_id}:{principal_arn}"


def identity_of(principal_arn: str) -> str | None:
    """The user or role behind an ARN, be it that of a role's session; None for a root.

    Paths are left out: names are unique in their account, and the ARN of a session does not tell its role's path.
    """
    found = _PRINCIPAL.fullmatch(principal_arn)
    if found is None:
        return None
    return f"{found[1]}:{found[2]}:{found[3]}" if found[1] else f"{found[4]}:role:{found[5]}"


PULL_TIME_EXCLUSIONS: Kind[PullTimeExclusion] = Kind(
    name="ecr.pull_time_exclusion",
    type=PullTimeExclusion,
    key=lambda exclusion: exclusion_key(exclusion.region, exclusion.account_id, exclusion.principal_arn),
    indexes={
        "scope": lambda exclusion: (f"{exclusion.region}:{exclusion.account_id}",),
        "identity": lambda exclusion: (f"{exclusion.region}:{exclusion.account_id}:{identity_of(exclusion.principal_arn)}",),
    },
)
