"""Events as Amazon EventBridge hands them on: what stands around `detail`.

https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html. The `version` out here is always "0"; what counts up
is `detail.version`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from longshore.services.ecs.events.times import iso_seconds
from longshore.store.event_log import Entry

SOURCE = "aws.ecs"
TASK_CHANGE = "ECS Task State Change"
INSTANCE_CHANGE = "ECS Container Instance State Change"
SERVICE_ACTION = "ECS Service Action"
DEPLOYMENT_CHANGE = "ECS Deployment State Change"
DETAIL_TYPES = (TASK_CHANGE, INSTANCE_CHANGE, SERVICE_ACTION, DEPLOYMENT_CHANGE)

_encode = msgspec.json.Encoder().encode


def entry_of(
    *,
    event_id: str,
    detail_type: str,
    resource: str,
    now: float,
    detail: dict[str, Any],
    labels: Sequence[str],
    subject: str,
    version: int,
) -> Entry:
    """`resource` is the ARN that the event is about, in whose account and region it happened; `labels` are all it is found by."""
    _, _, _, region, account, _ = resource.split(":", 5)
    body = {
        "version": "0",
        "id": event_id,
        "detail-type": detail_type,
        "source": SOURCE,
        "account": account,
        "time": iso_seconds(now),
        "region": region,
        "resources": [resource],
        "detail": detail,
    }
    found_by = tuple(dict.fromkeys(label for label in (resource, *labels) if label))
    return Entry(f"{region}:{account}", SOURCE, detail_type, found_by, _encode(body), subject, version)
