"""Which account settings there are, what they may be, and which of them is in effect for whom.

A user or role has what it has set for itself, or else what the account's root user has set, or else the default. Sessions of
a role are the role. Settings of an own form (Fargate, GuardDuty) are kept and shown; nothing here acts by them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from longshore.services.call import Principal
from longshore.services.ecs.errors import InvalidParameterException
from longshore.services.ecs.settings.model import ACCOUNT_SETTINGS, setting_key
from longshore.store.base import Reader


class Rule(NamedTuple):
    default: str
    values: tuple[str, ...]
    #: GuardDuty's, which sets it by itself
    read_only: bool = False
    #: is the whole account's, so only its root user may set it
    of_the_account: bool = False


_ON_OFF = ("enabled", "disabled")
#: long ARNs are all there are since 2021: they can be asked for and not refused
_LONG = Rule("enabled", ("enabled",))

RULES: dict[str, Rule] = {
    "serviceLongArnFormat": _LONG,
    "taskLongArnFormat": _LONG,
    "containerInstanceLongArnFormat": _LONG,
    "awsvpcTrunking": Rule("disabled", _ON_OFF),
    "containerInsights": Rule("disabled", (*_ON_OFF, "enhanced")),
    "fargateFIPSMode": Rule("disabled", _ON_OFF),
    "tagResourceAuthorization": Rule("on", ("on", "off")),
    "fargateTaskRetirementWaitPeriod": Rule("7", ("0", "7", "14"), of_the_account=True),
    "guardDutyActivate": Rule("off", ("on", "off"), read_only=True),
    "defaultLogDriverMode": Rule("blocking", ("blocking", "non-blocking")),
    "fargateEventWindows": Rule("disabled", _ON_OFF),
}
_PRINCIPAL = re.compile(r"arn:aws:iam::(?P<account>[0-9]{12}):(root|(user|role)/[\x21-\x7e]{1,576})")


def root_arn(account_id: str) -> str:
    return f"arn:aws:iam::{account_id}:root"


def checked_value(name: str, value: str) -> str:
    """Raises InvalidParameterException for what the setting cannot be, and for one that is not the caller's to set."""
    rule = RULES[name]
    if rule.read_only:
        raise InvalidParameterException(f"The account setting {name} is read-only: Amazon GuardDuty sets it.")
    if value not in rule.values:
        if rule is _LONG and value == "disabled":
            raise InvalidParameterException(f"The account setting {name} can no longer be disabled: all resources have long ARNs.")
        raise InvalidParameterException(f"Invalid value for the account setting {name}. Valid values: {', '.join(rule.values)}.")
    return value


def checked_principal(account_id: str, arn: str) -> str:
    """Raises InvalidParameterException for what is no user, role or root of the account."""
    found = _PRINCIPAL.fullmatch(arn)
    if found is None or found["account"] != account_id:
        raise InvalidParameterException("principalArn must be the ARN of a user, a role or the root user of the account.")
    return arn


def kept_value(reader: Reader, region: str, account_id: str, principal_arn: str, name: str) -> str | None:
    """What the principal itself has set; None when it has set nothing."""
    kept = reader.get(ACCOUNT_SETTINGS, setting_key(region, account_id, principal_arn, name))
    return kept.value if kept is not None else None


def effective_value(reader: Reader, region: str, account_id: str, principal_arn: str, name: str) -> str:
    """The principal's own value, or else the account's, or else the default."""
    for arn in (principal_arn, root_arn(account_id)):
        value = kept_value(reader, region, account_id, arn, name)
        if value is not None:
            return value
    return RULES[name].default


def setting_for(reader: Reader, region: str, principal: Principal, name: str) -> str:
    return effective_value(reader, region, principal.account_id, principal.identity_arn, name)
