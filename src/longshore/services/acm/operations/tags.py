"""Tags of certificates, in ACM's old words and in its new ones."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.shapes import acm as shapes
from longshore.services.acm.api import api
from longshore.services.acm.lookup import find
from longshore.services.acm.model import CERTIFICATES
from longshore.services.acm.tagging import asked_tags, merged, shown, without
from longshore.services.call import Call
from longshore.store.base import Tx

_Tagged = shapes.AddTagsToCertificateRequest | shapes.RemoveTagsFromCertificateRequest | shapes.ListTagsForCertificateRequest
_Resource = shapes.TagResourceRequest | shapes.UntagResourceRequest | shapes.ListTagsForResourceRequest


def _certificate(call: Call, request: _Tagged) -> Iterable[str]:
    return (request.certificate_arn,)


def _resource(call: Call, request: _Resource) -> Iterable[str]:
    return (request.resource_arn,)


def _brought(
    call: Call, request: shapes.AddTagsToCertificateRequest | shapes.TagResourceRequest | shapes.RemoveTagsFromCertificateRequest
) -> dict[str, list[str]]:
    return asked_tags(request.tags)


def _taken(call: Call, request: shapes.UntagResourceRequest) -> dict[str, list[str]]:
    return {"aws:tagkeys": list(request.tag_keys)}


async def _add(call: Call, arn: str, tags: tuple[shapes.Tag, ...]) -> None:
    def add(tx: Tx) -> None:
        found = find(tx, call, arn)
        tx.put(CERTIFICATES, replace(found, tags=merged(found.tags, tags)))

    await call.store.transact(add)


async def _remove(call: Call, arn: str, tags: tuple[shapes.Tag, ...]) -> None:
    def remove(tx: Tx) -> None:
        found = find(tx, call, arn)
        tx.put(CERTIFICATES, replace(found, tags=without(found.tags, tags)))

    await call.store.transact(remove)


@api.operation("AddTagsToCertificate", resource=_certificate, conditions=_brought)
async def add_tags_to_certificate(call: Call, request: shapes.AddTagsToCertificateRequest) -> None:
    await _add(call, request.certificate_arn, request.tags)


@api.operation("RemoveTagsFromCertificate", resource=_certificate, conditions=_brought)
async def remove_tags_from_certificate(call: Call, request: shapes.RemoveTagsFromCertificateRequest) -> None:
    await _remove(call, request.certificate_arn, request.tags)


@api.operation("ListTagsForCertificate", resource=_certificate)
async def list_tags_for_certificate(call: Call, request: shapes.ListTagsForCertificateRequest) -> shapes.ListTagsForCertificateResponse:
    return shapes.ListTagsForCertificateResponse(tags=shown(find(call.store, call, request.certificate_arn).tags))


@api.operation("TagResource", resource=_resource, conditions=_brought)
async def tag_resource(call: Call, request: shapes.TagResourceRequest) -> None:
    await _add(call, request.resource_arn, request.tags)


@api.operation("UntagResource", resource=_resource, conditions=_taken)
async def untag_resource(call: Call, request: shapes.UntagResourceRequest) -> None:
    await _remove(call, request.resource_arn, tuple(shapes.Tag(key=key) for key in request.tag_keys))


@api.operation("ListTagsForResource", resource=_resource)
async def list_tags_for_resource(call: Call, request: shapes.ListTagsForResourceRequest) -> shapes.ListTagsForResourceResponse:
    return shapes.ListTagsForResourceResponse(tags=shown(find(call.store, call, request.resource_arn).tags))
