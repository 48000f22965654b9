"""Records to write."""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.audit.record import Record, Resource, line_of, moment


def made(at: float, event_id: str, **more: Any) -> bytes:
    """A line. `more` are fields of Record; `who` is its userIdentity."""
    who = more.pop("who", {"type": "Root", "arn": "arn:aws:iam::000000000000:root", "accountId": "000000000000", "accessKeyId": "AKIA1"})
    resources = tuple(Resource(arn, arn.split(":")[4], kind) for arn, kind in more.pop("resources", ()))
    fields: dict[str, Any] = {
        "event_version": "1.11",
        "user_identity": msgspec.Raw(msgspec.json.encode(who)),
        "event_time": moment(int(at)),
        "event_source": "ecs.amazonaws.com",
        "event_name": "ListClusters",
        "region": "us-east-1",
        "source_ip": "127.0.0.1",
        "user_agent": "tests",
        "request_parameters": None,
        "response_elements": None,
        "request_id": f"r-{event_id}",
        "event_id": event_id,
        "read_only": True,
        "event_type": "AwsApiCall",
        "management_event": True,
        "recipient": "000000000000",
        "event_category": "Management",
        "resources": resources,
    }
    return line_of(Record(**{**fields, **more}))
