"""The registry's stream of events: what happened to images, told as Amazon EventBridge tells it.

Events are written in the transaction that makes them true, so there is none without its cause and no cause without it.
Whoever wants to follow them watches their kind. https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from longshore.services.ecr.model import REGISTRY_EVENTS, RegistryEvent, Repository
from longshore.store.base import Tx

Action = Literal["PUSH", "DELETE", "UPDATE_STORAGE_CLASS"]


def image_action(
    tx: Tx, repository: Repository, action: Action, digest: str, tag: str, now: float, more: Mapping[str, Any] | None = None
) -> None:
    """`ECR Image Action`: an image was pushed, deleted or moved between storage classes. `more` are further members of the detail."""
    detail = {
        "action-type": action,
        "result": "SUCCESS",
        "repository-name": repository.name,
        "image-digest": digest,
        "image-tag": tag,
        **(more or {}),
    }
    record(tx, repository, "ECR Image Action", detail, now, ordinal=f"{action}:{digest}:{tag}")


def record(tx: Tx, repository: Repository, detail_type: str, detail: Mapping[str, Any], now: float, *, ordinal: str) -> None:
    """`ordinal` tells this event from others of the repository at the same moment; the same one again is no second event."""
    event = RegistryEvent(
        region=repository.region,
        account_id=repository.account_id,
        at=now,
        detail_type=detail_type,
        resources=(repository.arn,),
        detail=dict(detail),
        ordinal=f"{repository.name}:{ordinal}",
    )
    tx.put(REGISTRY_EVENTS, event)
