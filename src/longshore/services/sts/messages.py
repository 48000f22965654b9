"""The encoded part of refusals: what was decided about what and in which circumstances, for those alone who may decode it.

A refusal goes to whoever was refused; what stands in the policies, and what the request's condition keys were, is not for them. So it
says the rest sealed with the installation's secret, and DecodeAuthorizationMessage opens it for the account of who was refused. What
belongs to another account is left out by whoever fills a `Refused` in.

An encoded message is short: numbers and names instead of JSON, packed with a dictionary of the words that all of them have. Of what is
too long or too many the rest is left out, and `…` stands at the end.
"""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from longshore.kit.sealing import Keys, SealBroken, seal, unseal
from longshore.services.call import Principal
from longshore.services.sts.errors import InvalidAuthorizationMessageException

_PURPOSE = "sts-authorization-message-2"
#: characters of one value, values of one key or element, and characters of all keys and values together
_LONGEST, _MOST_VALUES, _MOST_IN_ALL = 160, 8, 2_500
_MOST_STATEMENTS = 4
_CUT = "…"
_NOT_OURS = "The message was not encoded for this account by this installation, or it is not whole."

#: key -> values
_Pairs = tuple[tuple[str, tuple[str, ...]], ...]


class Said(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A statement that denied."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    #: its conditions, as keys with the policy's values
    conditions: _Pairs


class Refused(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A request that was refused."""

    account_id: str
    explicit: bool
    #: id and ARN of who asked, and the id that the policies hang on
    user_id: str
    arn: str
    identity_id: str
    action: str
    resource: str
    conditions: _Pairs
    statements: tuple[Said, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Refused).decode
#: what stands in nearly every message, the most frequent last; changing it takes a new purpose
_WORDS = (
    b"sts:RoleSessionName aws:RequestTag/ aws:TagKeys iam:PassedToService ecs-tasks.amazonaws.com ecr:ResourceTag/ aws:ResourceTag/Name "
    b"elasticloadbalancing: secretsmanager: ssm:parameter/ iam:: ecr:repository/ ecs:cluster ecs:task-definition/ ecs:service/ "
    b"aws:MultiFactorAuthPresent aws:TokenIssueTime aws:PrincipalTag/ aws:username 127.0.0.1 Boto3/1. md/Botocore# ua/2.1 os/linux "
    b"md/arch#x86_64 lang/python#3. md/pyimpl#CPython cfg/retry-mode# aws-cli/2. AssumedRole User Account 2026- T00:00:00Z true false "
    b"aws:currenttime aws:epochtime aws:principalaccount aws:principalarn aws:principaltype aws:requestedregion aws:resourceaccount "
    b"aws:securetransport aws:sourceip aws:useragent aws:userid aws:viaawsservice us-east-1 arn:aws:sts:: arn:aws:iam::000000000000:user/"
)


def refused(principal: Principal, action: str, resource: str, *, explicit: bool, context: Mapping[str, Sequence[str]]) -> Refused:
    """What is to be said of a refusal, but for the statements that denied."""
    return Refused(
        principal.account_id,
        explicit,
        principal.user_id,
        principal.arn,
        principal.identity_id,
        _cut(action),
        _cut(resource, 4 * _LONGEST),
        _pairs(sorted(context.items())),
        (),
    )


def said(written: Mapping[str, Any]) -> Said:
    """A statement of a policy, which is well-formed, as JSON has it."""
    conditions = [(key, _listed(values)) for block in written.get("Condition", {}).values() for key, values in block.items()]
    return Said(
        _cut(str(written.get("Sid", ""))),
        _values(_listed(written.get("Action", written.get("NotAction")))),
        _values(_listed(written.get("Resource", written.get("NotResource", [])))),
        _pairs(conditions),
    )


def _listed(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _cut(text: str, most: int = _LONGEST) -> str:
    return text if len(text) <= most else text[: most - 1] + _CUT


def _values(values: Sequence[str]) -> tuple[str, ...]:
    kept = tuple(_cut(value) for value in values[:_MOST_VALUES])
    return kept if len(values) <= _MOST_VALUES else (*kept, _CUT)


def _pairs(items: Iterable[tuple[str, Sequence[str]]]) -> _Pairs:
    found: list[tuple[str, tuple[str, ...]]] = []
    length = 0
    for key, given in items:
        values = _values(given)
        length += len(key) + sum(map(len, values))
        if length > _MOST_IN_ALL:
            found.append((_CUT, ()))
            break
        found.append((_cut(key), values))
    return tuple(found)


def encoded_message(secret: Keys, message: Refused) -> str:
    """URL-safe characters."""
    few = msgspec.structs.replace(message, statements=message.statements[:_MOST_STATEMENTS])
    packer = zlib.compressobj(6, wbits=-15, zdict=_WORDS)
    packed = packer.compress(_encode(few)) + packer.flush()
    return urlsafe_b64encode(seal(secret, _PURPOSE, packed)).decode().rstrip("=")


def decoded_message(secret: Keys, account_id: str, encoded: str) -> str:
    """What was said about somebody of the account, in the shape of AWS's. Raises InvalidAuthorizationMessageException."""
    try:
        raw = urlsafe_b64decode(encoded.encode("ascii") + b"=" * (-len(encoded) % 4))
        packed = unseal(secret, _PURPOSE, raw, handed_out=True)
        message = _decode(zlib.decompressobj(wbits=-15, zdict=_WORDS).decompress(packed))
    except (ValueError, SealBroken, zlib.error, msgspec.MsgspecError):
        raise InvalidAuthorizationMessageException(_NOT_OURS) from None
    if message.account_id != account_id:
        raise InvalidAuthorizationMessageException(_NOT_OURS)
    return msgspec.json.encode(_shown(message)).decode()


def _shown(message: Refused) -> dict[str, Any]:
    name = {} if ":assumed-role/" in message.arn else {"name": message.arn.rpartition("/")[2] if "/" in message.arn else "root"}
    return {
        "allowed": False,
        "explicitDeny": message.explicit,
        "matchedStatements": {
            "items": [
                {
                    "statementId": one.sid,
                    "effect": "DENY",
                    "principals": _items([message.identity_id]),
                    "principalGroups": _items([]),
                    "actions": _items(one.actions),
                    "resources": _items(one.resources),
                    "conditions": _keyed(one.conditions),
                }
                for one in message.statements
            ]
        },
        "failures": {"items": []},
        "context": {
            "principal": {"id": message.user_id, **name, "arn": message.arn},
            "action": message.action,
            "resource": message.resource,
            "conditions": _keyed(message.conditions),
        },
    }


def _items(values: Iterable[str]) -> dict[str, list[dict[str, str]]]:
    return {"items": [{"value": value} for value in values]}


def _keyed(pairs: _Pairs) -> dict[str, Any]:
    return {"items": [{"key": key, "values": _items(values)} for key, values in pairs]}
