"""Questions out of refusals that there were: the encoded message of one, or its event in the audit log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from longshore.cli.client import Platform
from longshore.cli.outcome import Failure

_STS_VERSION = "2011-06-15"
_REFUSAL = re.compile(r"User: (\S+) is not authorized to perform: (\S+) on resource: (\S+)")


class Refused(NamedTuple):
    """Who asked for what, in which circumstances as far as they are told."""

    principal: str
    action: str
    resource: str
    context: Mapping[str, list[str]]
    #: it is known to have been refused
    was_refused: bool = False


class _Decoded(msgspec.Struct, frozen=True, rename="pascal"):
    decoded_message: str


class _Event(msgspec.Struct, frozen=True, rename="pascal"):
    cloud_trail_event: str = ""


class _Events(msgspec.Struct, frozen=True, rename="pascal"):
    events: tuple[_Event, ...] = ()


def decoded(platform: Platform, message: str) -> Refused:
    """Raises Failure where it may not, or cannot, be decoded."""
    text = message.strip().rpartition("message: ")[2]
    answer = platform.query("sts", _STS_VERSION, "DecodeAuthorizationMessage", {"EncodedMessage": text}, _Decoded)
    return read_message(answer.decoded_message)


def read_message(text: str) -> Refused:
    """The question in a decoded message. Raises Failure."""
    try:
        about: dict[str, Any] = msgspec.json.decode(text)["context"]
        conditions = about.get("conditions", {}).get("items", ())
        context = {one["key"]: [value["value"] for value in one["values"]["items"]] for one in conditions}
        return Refused(about["principal"]["arn"], about["action"], about["resource"], context, True)
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise Failure(f"the message does not say what was refused ({error!r})") from error


def of_event(platform: Platform, identifier: str) -> Refused:
    """Raises Failure where there is no such event, or nobody to speak of in it."""
    request: dict[str, object] = {"LookupAttributes": [{"AttributeKey": "EventId", "AttributeValue": identifier}]}
    found = platform.cloudtrail("LookupEvents", request, _Events).events
    if not found:
        raise Failure(f"the audit log has no event {identifier}", "`longshore audit` shows what there is")
    return read_event(found[0].cloud_trail_event)


def read_event(text: str) -> Refused:
    """The question behind a record: what was refused, or what was done. Raises Failure."""
    try:
        event: dict[str, Any] = msgspec.json.decode(text)
        who = event.get("userIdentity", {}).get("arn", "")
        refusal = _REFUSAL.search(event.get("errorMessage") or "")
        context = {
            key: [str(event[member])]
            for key, member in (("aws:SourceIp", "sourceIPAddress"), ("aws:UserAgent", "userAgent"), ("aws:RequestedRegion", "awsRegion"))
            if event.get(member)
        }
        if refusal is not None:
            return Refused(refusal[1], refusal[2], refusal[3], context, True)
        resources = [one["ARN"] for one in event.get("resources") or () if one.get("ARN")]
        action = f"{event['eventSource'].partition('.')[0]}:{event['eventName']}"
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise Failure(f"the event does not say what was asked ({error!r})") from error
    if not who:
        raise Failure("the event names nobody: its request was not signed rightly")
    return Refused(who, action, resources[0] if resources else "*", context)
