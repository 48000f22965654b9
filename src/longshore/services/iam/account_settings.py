"""What an account says once for all of its people: what passwords are like, what it is called, which session tokens it wants."""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.kit.resource import Kind

DAY_S = 86_400.0


class PasswordPolicy(msgspec.Struct, frozen=True, gc=False):
    account_id: str
    minimum_length: int = 6
    require_symbols: bool = False
    require_numbers: bool = False
    require_uppercase: bool = False
    require_lowercase: bool = False
    #: kinds of characters (lower case, upper case, digits, symbols) of which there must be so many, whichever they are
    kinds_of_characters: int = 0
    #: whether users may change their own password where they sign in
    allow_users_to_change_password: bool = False
    #: days after which a password has expired; 0: never
    max_password_age: int = 0
    #: how many of the last passwords, the present one included, are not taken again
    reuse_prevention: int = 0
    #: whether who comes with an expired password cannot even set another
    hard_expiry: bool = False


def default_policy(account_id: str) -> PasswordPolicy:
    """What holds where an account has no policy of its own."""
    return PasswordPolicy(account_id, minimum_length=8, kinds_of_characters=3, allow_users_to_change_password=True)


PASSWORD_POLICIES: Kind[PasswordPolicy] = Kind(name="iam.password_policy", type=PasswordPolicy, key=lambda policy: policy.account_id)


class AccountAlias(msgspec.Struct, frozen=True, gc=False):
    """A name for an account; no two accounts have the same."""

    alias: str
    account_id: str
    created_at: float


ACCOUNT_ALIASES: Kind[AccountAlias] = Kind(
    name="iam.account_alias",
    type=AccountAlias,
    key=lambda alias: alias.alias,
    indexes={"account": lambda alias: (alias.account_id,)},
    unique=frozenset({"account"}),
)


class StsPreferences(msgspec.Struct, frozen=True, gc=False):
    account_id: str
    #: 1 or 2. It is kept and shown; tokens are the same in every Region of an installation
    global_endpoint_token_version: int = 1


STS_PREFERENCES: Kind[StsPreferences] = Kind(name="iam.sts_preferences", type=StsPreferences, key=lambda kept: kept.account_id)

KINDS: tuple[Kind[Any], ...] = (PASSWORD_POLICIES, ACCOUNT_ALIASES, STS_PREFERENCES)
