"""One record: an event as CloudTrail writes it, a line of JSON in the log.

The larger part of most records is the same as in the one before; it is written down once (`Known`), and what is new (`Particular`)
put behind it.

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


class Known(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    rename={
        "event_version": "eventVersion",
        "user_identity": "userIdentity",
        "event_source": "eventSource",
        "event_name": "eventName",
        "region": "awsRegion",
        "source_ip": "sourceIPAddress",
        "user_agent": "userAgent",
        "read_only": "readOnly",
        "event_type": "eventType",
        "management_event": "managementEvent",
        "recipient": "recipientAccountId",
        "event_category": "eventCategory",
        "tls": "tlsDetails",
    },
):
    """What is the same in all records of one caller and one operation, over one connection."""

    event_version: str = msgspec.field(default_factory=lambda: VERSION)
    user_identity: msgspec.Raw
    event_source: str
    event_name: str
    region: str
    source_ip: str
    user_agent: str
    read_only: bool
    event_type: str = msgspec.field(default_factory=lambda: "AwsApiCall")
    management_event: bool = msgspec.field(default_factory=lambda: True)
    recipient: str
    event_category: str = msgspec.field(default_factory=lambda: "Management")
    tls: dict[str, str] | None = None


class Particular(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    rename={
        "event_time": "eventTime",
        "error_code": "errorCode",
        "error_message": "errorMessage",
        "request_parameters": "requestParameters",
        "response_elements": "responseElements",
        "additional": "additionalEventData",
        "request_id": "requestID",
        "event_id": "eventID",
        "shared_event_id": "sharedEventID",
    },
):
    """What is this record's own."""

    event_time: str
    error_code: str | None = None
    error_message: str | None = None
    request_parameters: Value
    response_elements: Value
    additional: dict[str, Value] | None = None
    request_id: str
    event_id: str
    resources: tuple[Resource, ...] = ()
    shared_event_id: str | None = None


_encode = msgspec.json.Encoder().encode


def known_of(known: Known) -> bytes:
    """As a record begins with it: to be kept, and given to `line_of` again and again."""
    return _encode(known)[:-1] + b","


def line_of(known: bytes, particular: Particular) -> bytes:
    """The record as it stands in the log, line feed included."""
    content = _encode(particular)
    if len(known) + len(content) > MOST_BYTES:
        content = _encode(msgspec.structs.replace(particular, **_without_what_is_long(particular, len(known))))
    return known + content[1:] + b"\n"


def _without_what_is_long(particular: Particular, known: int) -> dict[str, Value]:
    """First what was answered goes, then what was asked for, then most of the resources."""
    changed: dict[str, Value] = {}
    left = known + len(_encode(particular))
    for name in ("response_elements", "request_parameters", "additional"):
        value = getattr(particular, name)
        if value is None or left <= MOST_BYTES:
            continue
        size = len(_encode(value))
        changed[name] = {"omitted": True, "originalSize": size, "reason": "too large"}
        left -= size
    if left > MOST_BYTES:
        changed["resources"] = particular.resources[:20]
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
