"""The credential report: one line of CSV for the root and for every user of an account, in AWS's columns.

Pure: what stands in it follows from what is read. Dates are those of ISO 8601 with their offset, as in AWS's reports.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from longshore.services.iam.devices import devices_of
from longshore.services.iam.model import ACCESS_KEY_USES, ACCESS_KEYS, USERS, AccessKey, User, root_arn
from longshore.services.iam.sign_in import LOGIN_PROFILES, expires_at, policy_of
from longshore.store.base import Reader

_KEY = ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")
COLUMNS = (
    *("user", "arn", "user_creation_time"),
    *("password_enabled", "password_last_used", "password_last_changed", "password_next_rotation", "mfa_active"),
    *(f"access_key_{number}_{what}" for number in (1, 2) for what in _KEY),
    *(f"cert_{number}_{what}" for number in (1, 2) for what in ("active", "last_rotated")),
)
_NONE, _UNKNOWN, _NOT_THERE = "N/A", "no_information", "not_supported"
#: of signing certificates, which nobody has here
_NO_CERTIFICATES = ("false", _NONE, "false", _NONE)


def credential_lines(reader: Reader, account_id: str) -> Iterator[Sequence[str]]:
    """One after the other, so that who makes a report of thousands may let others have their turn."""
    yield COLUMNS
    yield _root(reader, account_id)
    for user in sorted(reader.list(USERS, "account", account_id), key=lambda user: user.key):
        yield _user(reader, user)


def written(lines: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode()


def _root(reader: Reader, account_id: str) -> Sequence[str]:
    """It has no password here, and is as old as its first key."""
    arn = root_arn(account_id)
    keys = _keys(reader, arn)
    since = _date(keys[0].created_at) if keys else _NONE
    mfa = _yes(bool(devices_of(reader, arn)))
    return ("<root_account>", arn, since, _NOT_THERE, _UNKNOWN, _NOT_THERE, _NOT_THERE, mfa, *_both(reader, keys), *_NO_CERTIFICATES)


def _user(reader: Reader, user: User) -> Sequence[str]:
    mfa = _yes(bool(devices_of(reader, user.arn)))
    keys = _both(reader, _keys(reader, user.arn))
    return (user.name, user.arn, _date(user.created_at), *_password(reader, user), mfa, *keys, *_NO_CERTIFICATES)


def _password(reader: Reader, user: User) -> Sequence[str]:
    profile = reader.get(LOGIN_PROFILES, user.arn)
    if profile is None:
        return ("false", _NONE, _NONE, _NONE)
    end = expires_at(profile, policy_of(reader, user.account_id))
    used = _date(profile.last_used_at) if profile.last_used_at else _UNKNOWN
    return ("true", used, _date(profile.changed_at), _NONE if end is None else _date(end))


def _keys(reader: Reader, owner_arn: str) -> list[AccessKey]:
    return sorted(reader.list(ACCESS_KEYS, "principal", owner_arn), key=lambda key: (key.created_at, key.access_key_id))


def _both(reader: Reader, keys: list[AccessKey]) -> Sequence[str]:
    found = [column for key in keys[:2] for column in _key(reader, key)]
    return (*found, *(("false", _NONE, _NONE, _NONE, _NONE) * (2 - len(keys[:2]))))


def _key(reader: Reader, key: AccessKey) -> Sequence[str]:
    use = reader.get(ACCESS_KEY_USES, key.access_key_id)
    used = (_NONE, _NONE, _NONE) if use is None else (_date(use.used_at), use.region, use.service)
    return (_yes(key.status == "Active"), _date(key.changed_at or key.created_at), *used)


def _yes(value: bool) -> str:
    return "true" if value else "false"


def _date(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).isoformat()
