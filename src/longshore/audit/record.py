"""One record: an event as CloudTrail writes it, a line of JSON in the log.

Names and meaning are those of "CloudTrail record contents" (eventVersion 1.11). What AWS's records always have stands in every one,
`null` where there is nothing to say; the rest is left out where it is empty. Who makes a record has removed the secrets: this
module writes what it is given, and cuts what is too long.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

VERSION = "1.11"
#: bytes of a record; what a request asked for and what it was answered give way (CloudTrail cuts its records, too)
MOST_BYTES = 100_000
#: characters of one value within them, and of a message
MOST_VALUE = 8_192
_CUT = "… [cut]"

Value = Any


class Resource(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, rename={"arn": "ARN", "account_id": "accountId"}):
    """What was acted on; `type` is CloudFormation's name of its kind, "" where it has none."""

    arn: str
    account_id: str = ""
    type: str = ""


class Record(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    rename={
        "event_version": "eventVersion",
        "user_identity": "userIdentity",
        "event_time": "eventTime",
        "event_source": "eventSource",
        "event_name": "eventName",
        "region": "awsRegion",
        "source_ip": "sourceIPAddress",
        "user_agent": "userAgent",
        "error_code": "errorCode",
        "error_message": "errorMessage",
        "request_parameters": "requestParameters",
        "response_elements": "responseElements",
        "additional": "additionalEventData",
        "request_id": "requestID",
        "event_id": "eventID",
        "read_only": "readOnly",
        "event_type": "eventType",
        "management_event": "managementEvent",
        "recipient": "recipientAccountId",
        "shared_event_id": "sharedEventID",
        "event_category": "eventCategory",
        "tls": "tlsDetails",
    },
):
    event_version: str
    user_identity: msgspec.Raw
    event_time: str
    event_source: str
    event_name: str
    region: str
    source_ip: str
    user_agent: str
    error_code: str | None = None
    error_message: str | None = None
    request_parameters: Value
    response_elements: Value
    additional: dict[str, Value] | None = None
    request_id: str
    event_id: str
    read_only: bool
    resources: tuple[Resource, ...] = ()
    event_type: str
    management_event: bool
    recipient: str
    shared_event_id: str | None = None
    event_category: str
    tls: dict[str, str] | None = None


_encode = msgspec.json.Encoder().encode


def line_of(record: Record) -> bytes:
    """The record as it stands in the log, line feed included."""
    content = _encode(record)
    if len(content) > MOST_BYTES:
        content = _encode(msgspec.structs.replace(record, **_without_what_is_long(record)))
    return content + b"\n"


def _without_what_is_long(record: Record) -> dict[str, Value]:
    """First what was answered goes, then what was asked for, then most of the resources."""
    changed: dict[str, Value] = {}
    left = len(_encode(record))
    for name in ("response_elements", "request_parameters", "additional"):
        value = getattr(record, name)
        if value is None or left <= MOST_BYTES:
            continue
        size = len(_encode(value))
        changed[name] = {"omitted": True, "originalSize": size, "reason": "too large"}
        left -= size
    if left > MOST_BYTES:
        changed["resources"] = record.resources[:20]
    return changed


def cut(text: str, most: int = MOST_VALUE) -> str:
    return text if len(text) <= most else text[:most] + _CUT


@lru_cache(16)
def moment(seconds: int) -> str:
    """eventTime of whole seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(256)
def seconds_of(event_time: str) -> float:
    """Raises ValueError."""
    return datetime.strptime(event_time, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
