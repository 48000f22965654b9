"""Account settings as they are kept: one for each principal that has set it, the account's own under its root user."""

from __future__ import annotations

import msgspec

from longshore.kit.resource import Kind


class AccountSetting(msgspec.Struct, frozen=True, gc=False):
    region: str
    account_id: str
    #: arn:aws:iam::ACCOUNT:root, :user/NAME or :role/NAME
    principal_arn: str
    name: str
    value: str


def setting_key(region: str, account_id: str, principal_arn: str, name: str) -> str:
    return f"{region}:{account_id}|{principal_arn}|{name}"


ACCOUNT_SETTINGS: Kind[AccountSetting] = Kind(
    name="ecs.account_setting",
    type=AccountSetting,
    key=lambda setting: setting_key(setting.region, setting.account_id, setting.principal_arn, setting.name),
    indexes={"principal": lambda setting: (f"{setting.region}:{setting.account_id}|{setting.principal_arn}",)},
    recurring=("region", "account_id", "principal_arn", "name", "value"),
)
