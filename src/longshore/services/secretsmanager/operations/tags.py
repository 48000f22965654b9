"""Tags of secrets."""

from __future__ import annotations

import msgspec

from longshore.aws.shapes import secretsmanager as shapes
from longshore.services.call import Call
from longshore.services.secretsmanager.api import api
from longshore.services.secretsmanager.model import SECRETS, Tag
from longshore.services.secretsmanager.scope import secret_conditions, secret_resource
from longshore.services.secretsmanager.secrets import checked_tags, usable
from longshore.store.base import Tx


def _tagging_conditions(call: Call, request: shapes.TagResourceRequest) -> dict[str, list[str]]:
    found = {f"aws:RequestTag/{tag.key}": [tag.value or ""] for tag in request.tags if tag.key}
    return secret_conditions(call, request) | found | {"aws:TagKeys": [tag.key for tag in request.tags if tag.key]}


@api.operation("TagResource", resource=secret_resource, conditions=_tagging_conditions)
async def tag_resource(call: Call, request: shapes.TagResourceRequest) -> None:
    now = call.clock.now()
    given = tuple(Tag(each.key or "", each.value or "") for each in request.tags)

    def tag(tx: Tx) -> None:
        held = usable(tx, call.region, call.account_id, request.secret_id, now)
        tx.put(SECRETS, msgspec.structs.replace(held, tags=checked_tags((*held.tags, *given))))

    await call.store.transact(tag)


def _untagging_conditions(call: Call, request: shapes.UntagResourceRequest) -> dict[str, list[str]]:
    return secret_conditions(call, request) | {"aws:TagKeys": list(request.tag_keys)}


@api.operation("UntagResource", resource=secret_resource, conditions=_untagging_conditions)
async def untag_resource(call: Call, request: shapes.UntagResourceRequest) -> None:
    now = call.clock.now()

    def untag(tx: Tx) -> None:
        held = usable(tx, call.region, call.account_id, request.secret_id, now)
        tx.put(SECRETS, msgspec.structs.replace(held, tags=tuple(each for each in held.tags if each.key not in request.tag_keys)))

    await call.store.transact(untag)
