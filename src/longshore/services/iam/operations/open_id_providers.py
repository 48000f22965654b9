"""OpenID Connect providers: issuers of identity tokens that an account trusts, and for which audiences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from msgspec.structs import replace

from longshore.aws.arn import parse_arn
from longshore.aws.errors import Validation
from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import iam as shapes
from longshore.kit.fetching import is_private_way
from longshore.services.call import Call
from longshore.services.iam.api import api
from longshore.services.iam.entities import asked_tags
from longshore.services.iam.errors import EntityAlreadyExists, InvalidInput, LimitExceeded, NoSuchEntity
from longshore.services.iam.federation import OPEN_ID_PROVIDERS, OpenIdProvider, provider_arn
from longshore.services.iam.lookup import checked_tags, tagged, untagged
from longshore.services.iam.paging import tags_page
from longshore.services.iam.views import tag_shapes
from longshore.store.base import Reader, Tx

_MOST_PROVIDERS, _MOST_CLIENTS, _MOST_THUMBPRINTS = 100, 100, 5
_THUMBPRINT = re.compile(r"[0-9A-Fa-f]{40}\Z")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62}))*(:\d{1,5})?\Z")
_PATH = re.compile(r"(/[\w.~!$&'()*+,;=:@%-]+)*/?\Z", re.ASCII)

_Named = (
    shapes.GetOpenIDConnectProviderRequest
    | shapes.DeleteOpenIDConnectProviderRequest
    | shapes.AddClientIDToOpenIDConnectProviderRequest
    | shapes.RemoveClientIDFromOpenIDConnectProviderRequest
    | shapes.UpdateOpenIDConnectProviderThumbprintRequest
    | shapes.TagOpenIDConnectProviderRequest
    | shapes.UntagOpenIDConnectProviderRequest
    | shapes.ListOpenIDConnectProviderTagsRequest
)


def _new(call: Call, request: shapes.CreateOpenIDConnectProviderRequest) -> Iterable[str]:
    return (provider_arn(call.account_id, request.url.partition("://")[2]),)


def _named(call: Call, request: _Named) -> Iterable[str]:
    return (request.open_id_connect_provider_arn,)


def _brought(
    call: Call, request: shapes.CreateOpenIDConnectProviderRequest | shapes.TagOpenIDConnectProviderRequest
) -> dict[str, list[str]]:
    return asked_tags(request.tags)


def _taken(call: Call, request: shapes.UntagOpenIDConnectProviderRequest) -> dict[str, list[str]]:
    return {"aws:tagkeys": list(request.tag_keys)}


def _find(reader: Reader, call: Call, arn: str) -> OpenIdProvider:
    parsed = parse_arn(arn)
    if parsed is None or parsed.service != "iam" or parsed.resource_type != "oidc-provider":
        raise InvalidInput(f"ARN {arn} is not valid.")
    found = reader.get(OPEN_ID_PROVIDERS, arn)
    if found is None or found.account_id != call.account_id:
        raise NoSuchEntity(f"OpenIDConnect Provider not found for arn {arn}")
    return found


def _checked_url(url: str) -> str:
    """https://HOST[:PORT][/PATH], as the provider's tokens name it; plain HTTP on this machine alone. Raises Validation."""
    rest = url.partition("://")[2]
    host, _, _ = rest.partition("/")
    if not is_private_way(url) or not _HOST.match(host) or not _PATH.match(rest[len(host) :]):
        raise Validation("Invalid Open ID Connect Provider URL")
    try:
        urlsplit(url).port  # noqa: B018 - raises where the number is none
    except ValueError:
        raise Validation("Invalid Open ID Connect Provider URL") from None
    return url


def _checked_clients(clients: Sequence[str]) -> tuple[str, ...]:
    once = tuple(dict.fromkeys(clients))
    if len(once) > _MOST_CLIENTS:
        raise LimitExceeded(f"Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {_MOST_CLIENTS}")
    return once


def _checked_thumbprints(thumbprints: Sequence[str]) -> tuple[str, ...]:
    if len(thumbprints) > _MOST_THUMBPRINTS:
        raise InvalidInput(f"Thumbprint list must contain fewer than {_MOST_THUMBPRINTS + 1} entries.")
    if not all(_THUMBPRINT.match(each) for each in thumbprints):
        raise InvalidInput("Invalid thumbprint: it must be the SHA-1 of a certificate in 40 hexadecimal digits.")
    return tuple(dict.fromkeys(each.lower() for each in thumbprints))


# ── the providers ────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("CreateOpenIDConnectProvider", resource=_new, conditions=_brought)
async def create_open_id_connect_provider(
    call: Call, request: shapes.CreateOpenIDConnectProviderRequest
) -> shapes.CreateOpenIDConnectProviderResponse:
    provider = OpenIdProvider(
        call.account_id,
        _checked_url(request.url),
        call.clock.now(),
        client_ids=_checked_clients(request.client_id_list or ()),
        thumbprints=_checked_thumbprints(request.thumbprint_list or ()),
        tags=checked_tags((tag.key, tag.value) for tag in request.tags or ()),
    )

    def create(tx: Tx) -> None:
        if tx.get(OPEN_ID_PROVIDERS, provider.arn) is not None:
            raise EntityAlreadyExists(f"Provider with url {provider.url} already exists.")
        if tx.count(OPEN_ID_PROVIDERS, "account", call.account_id) >= _MOST_PROVIDERS:
            raise LimitExceeded(f"Cannot exceed quota for OpenIdConnectProvidersPerAccount: {_MOST_PROVIDERS}")
        tx.create(OPEN_ID_PROVIDERS, provider)

    await call.store.transact(create)
    return shapes.CreateOpenIDConnectProviderResponse(open_id_connect_provider_arn=provider.arn, tags=tag_shapes(provider.tags) or None)


@api.operation("GetOpenIDConnectProvider", resource=_named)
async def get_open_id_connect_provider(
    call: Call, request: shapes.GetOpenIDConnectProviderRequest
) -> shapes.GetOpenIDConnectProviderResponse:
    found = _find(call.store, call, request.open_id_connect_provider_arn)
    return shapes.GetOpenIDConnectProviderResponse(
        url=found.host_and_path,
        client_id_list=found.client_ids,
        thumbprint_list=found.thumbprints,
        create_date=found.created_at,
        tags=tag_shapes(found.tags),
    )


@api.operation("ListOpenIDConnectProviders", resource=ANY_RESOURCE)
async def list_open_id_connect_providers(
    call: Call, request: shapes.ListOpenIDConnectProvidersRequest
) -> shapes.ListOpenIDConnectProvidersResponse:
    found = call.store.list(OPEN_ID_PROVIDERS, "account", call.account_id)
    entries = tuple(shapes.OpenIDConnectProviderListEntry(arn=provider.arn) for provider in found)
    return shapes.ListOpenIDConnectProvidersResponse(open_id_connect_provider_list=entries)


@api.operation("DeleteOpenIDConnectProvider", resource=_named)
async def delete_open_id_connect_provider(call: Call, request: shapes.DeleteOpenIDConnectProviderRequest) -> None:
    """Roles that name it stay as they are: whoever comes with a token of it is refused. What is not there is gone already."""

    def delete(tx: Tx) -> None:
        try:
            tx.delete(OPEN_ID_PROVIDERS, _find(tx, call, request.open_id_connect_provider_arn).arn)
        except NoSuchEntity:
            return

    await call.store.transact(delete)


@api.operation("AddClientIDToOpenIDConnectProvider", resource=_named)
async def add_client_id(call: Call, request: shapes.AddClientIDToOpenIDConnectProviderRequest) -> None:
    def add(tx: Tx) -> None:
        found = _find(tx, call, request.open_id_connect_provider_arn)
        tx.put(OPEN_ID_PROVIDERS, replace(found, client_ids=_checked_clients((*found.client_ids, request.client_id))))

    await call.store.transact(add)


@api.operation("RemoveClientIDFromOpenIDConnectProvider", resource=_named)
async def remove_client_id(call: Call, request: shapes.RemoveClientIDFromOpenIDConnectProviderRequest) -> None:
    def remove(tx: Tx) -> None:
        found = _find(tx, call, request.open_id_connect_provider_arn)
        tx.put(OPEN_ID_PROVIDERS, replace(found, client_ids=tuple(each for each in found.client_ids if each != request.client_id)))

    await call.store.transact(remove)


@api.operation("UpdateOpenIDConnectProviderThumbprint", resource=_named)
async def update_thumbprint(call: Call, request: shapes.UpdateOpenIDConnectProviderThumbprintRequest) -> None:
    thumbprints = _checked_thumbprints(request.thumbprint_list)

    def update(tx: Tx) -> None:
        found = _find(tx, call, request.open_id_connect_provider_arn)
        tx.put(OPEN_ID_PROVIDERS, replace(found, thumbprints=thumbprints))

    await call.store.transact(update)


# ── tags ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("TagOpenIDConnectProvider", resource=_named, conditions=_brought)
async def tag_open_id_connect_provider(call: Call, request: shapes.TagOpenIDConnectProviderRequest) -> None:
    def put(tx: Tx) -> None:
        found = _find(tx, call, request.open_id_connect_provider_arn)
        tx.put(OPEN_ID_PROVIDERS, replace(found, tags=tagged(found.tags, ((tag.key, tag.value) for tag in request.tags))))

    await call.store.transact(put)


@api.operation("UntagOpenIDConnectProvider", resource=_named, conditions=_taken)
async def untag_open_id_connect_provider(call: Call, request: shapes.UntagOpenIDConnectProviderRequest) -> None:
    def take(tx: Tx) -> None:
        found = _find(tx, call, request.open_id_connect_provider_arn)
        tx.put(OPEN_ID_PROVIDERS, replace(found, tags=untagged(found.tags, request.tag_keys)))

    await call.store.transact(take)


@api.operation("ListOpenIDConnectProviderTags", resource=_named)
async def list_open_id_connect_provider_tags(
    call: Call, request: shapes.ListOpenIDConnectProviderTagsRequest
) -> shapes.ListOpenIDConnectProviderTagsResponse:
    whose = _find(call.store, call, request.open_id_connect_provider_arn)
    found = tags_page(call, "ListOpenIDConnectProviderTags", whose.arn, whose.tags, request.marker, request.max_items)
    return shapes.ListOpenIDConnectProviderTagsResponse(
        tags=tag_shapes(tuple(found.items)), is_truncated=found.is_truncated, marker=found.marker
    )
