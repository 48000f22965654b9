"""The access key ids of sessions: from one of them its account can be told, as from AWS's."""

from __future__ import annotations

import base64

from longshore.kit.ids import Ids

# Where AWS's key ids have the account: forty bits, the first of eighty being set and the rest drawn.
_ID_BYTES, _ACCOUNT_BYTES, _ACCOUNT_SHIFT = 10, 6, 7
_SET, _ACCOUNT_MASK = 1 << 47, ((1 << 40) - 1) << _ACCOUNT_SHIFT


def session_key_id(ids: Ids, account_id: str) -> str:
    """ASIA…, from which the account can be told, as from AWS's."""
    drawn = bytes.fromhex(ids.hex(2 * _ID_BYTES))
    first = int.from_bytes(drawn[:_ACCOUNT_BYTES], "big") & ~_ACCOUNT_MASK | _SET | int(account_id) << _ACCOUNT_SHIFT
    return "ASIA" + base64.b32encode(first.to_bytes(_ACCOUNT_BYTES, "big") + drawn[_ACCOUNT_BYTES:]).decode()


def account_in(session_key_id: str) -> str | None:
    """The account of a session's access key id; None where it says none."""
    try:
        raw = base64.b32decode(session_key_id.removeprefix("ASIA"))
    except ValueError:
        return None
    if len(raw) != _ID_BYTES or not raw[0] & 0x80:
        return None
    number = (int.from_bytes(raw[:_ACCOUNT_BYTES], "big") & _ACCOUNT_MASK) >> _ACCOUNT_SHIFT
    return f"{number:012d}" if number < 10**12 else None
