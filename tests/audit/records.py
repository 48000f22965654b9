"""Records to write."""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.audit.record import Known, Particular, Resource, known_of, line_of, moment


def made(at: float, event_id: str, **more: Any) -> bytes:
    """A line. `more` are fields of Known and Particular; `who` is its userIdentity."""
    who = more.pop("who", {"type": "Root", "arn": "arn:aws:iam::000000000000:root", "accountId": "000000000000", "accessKeyId": "AKIA1"})
    resources = tuple(Resource(arn, arn.split(":")[4], kind) for arn, kind in more.pop("resources", ()))
    known: dict[str, Any] = {
        "user_identity": msgspec.Raw(msgspec.json.encode(who)),
        "event_source": "ecs.amazonaws.com",
        "event_name": "ListClusters",
        "region": "us-east-1",
        "source_ip": "127.0.0.1",
        "user_agent": "tests",
        "read_only": True,
        "recipient": "000000000000",
    }
    own: dict[str, Any] = {
        "event_time": moment(int(at)),
        "request_parameters": None,
        "response_elements": None,
        "request_id": f"r-{event_id}",
        "event_id": event_id,
        "resources": resources,
    }
    own |= {name: more.pop(name) for name in list(more) if name in Particular.__struct_fields__}
    return line_of(known_of(Known(**(known | more))), Particular(**own))
