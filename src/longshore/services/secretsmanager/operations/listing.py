"""The list of secrets, filtered and sorted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.pagination import seal, unseal
from longshore.aws.shapes import secretsmanager as shapes
from longshore.services.call import Call
from longshore.services.secretsmanager.api import api
from longshore.services.secretsmanager.errors import InvalidNextTokenException
from longshore.services.secretsmanager.model import SECRETS, Secret
from longshore.services.secretsmanager.secrets import is_gone
from longshore.services.secretsmanager.views import tags_of

_PAGE = 100

#: filter -> what of a secret its values are compared with
_MEANT: Mapping[str, Callable[[Secret], Iterable[str]]] = {
    "name": lambda secret: (secret.name,),
    "description": lambda secret: (secret.description,),
    "tag-key": lambda secret: (tag.key for tag in secret.tags),
    "tag-value": lambda secret: (tag.value for tag in secret.tags),
    "primary-region": lambda secret: (),
    "owning-service": lambda secret: (),
    "all": lambda secret: (secret.name, secret.description, *(text for tag in secret.tags for text in (tag.key, tag.value))),
}
_ORDERS: Mapping[str, Callable[[Secret], float | str]] = {
    "created-date": lambda secret: secret.created_at,
    "last-accessed-date": lambda secret: secret.accessed_at or 0.0,
    "last-changed-date": lambda secret: secret.changed_at,
    "name": lambda secret: secret.name,
}


@api.operation("ListSecrets", resource=ANY_RESOURCE)
async def list_secrets(call: Call, request: shapes.ListSecretsRequest) -> shapes.ListSecretsResponse:
    scope = f"{call.region}:{call.account_id}"
    now, limit = call.clock.now(), request.max_results or _PAGE
    question = ("ListSecrets", scope, repr(request.filters), request.sort_by, request.sort_order, request.include_planned_deletion)
    after = unseal(call.secret_for_signing, question, request.next_token, InvalidNextTokenException())
    shown = [
        secret
        for secret in call.store.list(SECRETS, "scope", scope)
        if not is_gone(secret, now)
        and (secret.deleted_at is None or request.include_planned_deletion)
        and all(_passes(secret, each) for each in request.filters or ())
    ]
    order, descending = _ORDERS[request.sort_by or "created-date"], request.sort_order == "desc"

    def place(secret: Secret) -> tuple[float | str, str]:
        return order(secret), secret.key

    shown.sort(key=place, reverse=descending)
    if after is not None:
        # The place where the last page ended, which stays one although the secret there may be gone.
        end = msgspec.json.decode(after, type=tuple[float | str, str])
        shown = [secret for secret in shown if (place(secret) < end if descending else place(secret) > end)]
    found, more = shown[:limit], len(shown) > limit
    return shapes.ListSecretsResponse(
        secret_list=tuple(_entry(each) for each in found),
        next_token=seal(call.secret_for_signing, question, msgspec.json.encode(place(found[-1])).decode()) if more else None,
    )


def _passes(secret: Secret, asked: shapes.Filter) -> bool:
    """One of the values must begin something of the secret's; one that begins with `!` must not."""
    texts = [text.lower() for text in _MEANT[asked.key or "all"](secret)]
    return any(
        not any(text.startswith(value[1:].lower()) for text in texts)
        if value.startswith("!")
        else any(text.startswith(value.lower()) for text in texts)
        for value in asked.values or ("",)
    )


def _entry(held: Secret) -> shapes.SecretListEntry:
    return shapes.SecretListEntry(
        arn=held.arn,
        name=held.name,
        description=held.description or None,
        kms_key_id=held.kms_key_id or None,
        last_changed_date=held.changed_at,
        last_accessed_date=held.accessed_at,
        deleted_date=held.deleted_at,
        tags=tags_of(held),
        secret_versions_to_stages={version.id: version.stages for version in held.versions if version.stages} or None,
        created_date=held.created_at,
    )
