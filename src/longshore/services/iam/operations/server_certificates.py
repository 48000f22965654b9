"""Server certificates: uploaded with their keys, for load balancers. The key is sealed at once and never shown again.

Who renames one takes the listeners along that have it, in the same transaction, so that none ever names what is not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.shapes import iam as shapes
from longshore.kit.sealing import seal
from longshore.services.acm.model import PURPOSE
from longshore.services.acm.uploads import NotUsable, checked
from longshore.services.call import Call
from longshore.services.elb.records import rename_certificate
from longshore.services.elbv2.certificates import take_along
from longshore.services.elbv2.model import LISTENERS
from longshore.services.iam.api import api
from longshore.services.iam.entities import asked_tags
from longshore.services.iam.errors import (
    DeleteConflict,
    EntityAlreadyExists,
    KeyPairMismatch,
    LimitExceeded,
    MalformedCertificate,
    NoSuchEntity,
)
from longshore.services.iam.lookup import checked_tags, new_id, tagged, untagged
from longshore.services.iam.model import SERVER_CERTIFICATES, ServerCertificate, Tag, user_key
from longshore.services.iam.paging import paged
from longshore.services.iam.views import tag_shapes
from longshore.store.base import Reader, Tx

MOST_CERTIFICATES = 20

_Named = (
    shapes.GetServerCertificateRequest
    | shapes.DeleteServerCertificateRequest
    | shapes.TagServerCertificateRequest
    | shapes.UntagServerCertificateRequest
    | shapes.ListServerCertificateTagsRequest
)


def _arn_for(call: Call, name: str) -> str:
    """Of one that may not be there (yet): what authorisation needs before the operation looks."""
    known = call.store.get(SERVER_CERTIFICATES, user_key(call.account_id, name))
    return known.arn if known else f"arn:aws:iam::{call.account_id}:server-certificate/{name}"


def _named(call: Call, request: _Named) -> Iterable[str]:
    return (_arn_for(call, request.server_certificate_name),)


def _new(call: Call, request: shapes.UploadServerCertificateRequest) -> Iterable[str]:
    return (f"arn:aws:iam::{call.account_id}:server-certificate{request.path or '/'}{request.server_certificate_name}",)


def _old_and_new(call: Call, request: shapes.UpdateServerCertificateRequest) -> Iterable[str]:
    """Both names: one takes nothing away that one may not, nor puts it where one may not."""
    old = _arn_for(call, request.server_certificate_name)
    path = request.new_path or old.partition(":server-certificate")[2].rpartition("/")[0] + "/"
    return dict.fromkeys(
        (old, f"arn:aws:iam::{call.account_id}:server-certificate{path}{request.new_server_certificate_name or old.rpartition('/')[2]}")
    )


def _all(call: Call, request: shapes.ListServerCertificatesRequest) -> Iterable[str]:
    return (f"arn:aws:iam::{call.account_id}:server-certificate{request.path_prefix or '/'}*",)


def _asked(call: Call, request: shapes.UploadServerCertificateRequest | shapes.TagServerCertificateRequest) -> dict[str, list[str]]:
    return asked_tags(request.tags)


def _taken(call: Call, request: shapes.UntagServerCertificateRequest) -> dict[str, list[str]]:
    return {"aws:tagkeys": list(request.tag_keys)}


def _find(reader: Reader, call: Call, name: str) -> ServerCertificate:
    found = reader.get(SERVER_CERTIFICATES, user_key(call.account_id, name))
    if found is None:
        raise NoSuchEntity(f"The Server Certificate with name {name} cannot be found.")
    return found


def _metadata(certificate: ServerCertificate) -> shapes.ServerCertificateMetadata:
    return shapes.ServerCertificateMetadata(
        path=certificate.path,
        server_certificate_name=certificate.name,
        server_certificate_id=certificate.certificate_id,
        arn=certificate.arn,
        upload_date=certificate.uploaded_at,
        expiration=certificate.not_after,
    )


@api.operation("UploadServerCertificate", resource=_new, conditions=_asked)
async def upload_server_certificate(call: Call, request: shapes.UploadServerCertificateRequest) -> shapes.UploadServerCertificateResponse:
    now = call.clock.now()
    tags = checked_tags((tag.key, tag.value) for tag in request.tags or ())
    parts = (request.certificate_body.encode(), request.private_key.encode(), (request.certificate_chain or "").encode())
    try:
        brought = await asyncio.to_thread(checked, *parts, now)
    except NotUsable as problem:
        raise (KeyPairMismatch if problem.part == "pair" else MalformedCertificate)(str(problem)) from None
    certificate = ServerCertificate(
        call.account_id,
        request.server_certificate_name,
        new_id(call.ids, "ASCA", 21),
        now,
        path=request.path or "/",
        certificate=brought.certificate,
        chain=brought.chain,
        sealed_key=seal(call.secret_for_signing, PURPOSE, brought.key),
        not_after=brought.details.not_after,
        tags=tags,
    )

    def keep(tx: Tx) -> None:
        _refuse_known(tx, call, certificate.name)
        if tx.count(SERVER_CERTIFICATES, "account", call.account_id) >= MOST_CERTIFICATES:
            raise LimitExceeded(f"Cannot exceed quota for ServerCertificatesPerAccount: {MOST_CERTIFICATES}")
        tx.create(SERVER_CERTIFICATES, certificate)

    await call.store.transact(keep)
    return shapes.UploadServerCertificateResponse(
        server_certificate_metadata=_metadata(certificate), tags=tag_shapes(certificate.tags) if certificate.tags else None
    )


def _refuse_known(reader: Reader, call: Call, name: str) -> None:
    if reader.get(SERVER_CERTIFICATES, user_key(call.account_id, name)) is not None:
        raise EntityAlreadyExists(f"The Server Certificate with name {name} already exists.")


@api.operation("GetServerCertificate", resource=_named)
async def get_server_certificate(call: Call, request: shapes.GetServerCertificateRequest) -> shapes.GetServerCertificateResponse:
    found = _find(call.store, call, request.server_certificate_name)
    return shapes.GetServerCertificateResponse(
        server_certificate=shapes.ServerCertificate(
            server_certificate_metadata=_metadata(found),
            certificate_body=found.certificate.decode(),
            certificate_chain=found.chain.decode() or None,
            tags=tag_shapes(found.tags),
        )
    )


@api.operation("ListServerCertificates", resource=_all)
async def list_server_certificates(call: Call, request: shapes.ListServerCertificatesRequest) -> shapes.ListServerCertificatesResponse:
    prefix = request.path_prefix or "/"
    found = paged(
        call,
        ("ListServerCertificates", prefix),
        request.marker,
        request.max_items,
        lambda after, limit: call.store.list(SERVER_CERTIFICATES, "account", call.account_id, after=after, limit=limit),
        SERVER_CERTIFICATES.key,
        keep=lambda certificate: certificate.path.startswith(prefix),
    )
    shown = tuple(_metadata(certificate) for certificate in found.items)
    return shapes.ListServerCertificatesResponse(
        server_certificate_metadata_list=shown, is_truncated=found.is_truncated, marker=found.marker
    )


@api.operation("UpdateServerCertificate", resource=_old_and_new)
async def update_server_certificate(call: Call, request: shapes.UpdateServerCertificateRequest) -> None:
    def rename(tx: Tx) -> None:
        found = _find(tx, call, request.server_certificate_name)
        name = request.new_server_certificate_name or found.name
        if user_key(call.account_id, name) != SERVER_CERTIFICATES.key(found):
            _refuse_known(tx, call, name)
            tx.delete(SERVER_CERTIFICATES, SERVER_CERTIFICATES.key(found))
        renamed = tx.put(SERVER_CERTIFICATES, replace(found, name=name, path=request.new_path or found.path))
        if renamed.arn != found.arn:
            rename_certificate(tx, found.arn, renamed.arn)
            take_along(tx, found.arn, renamed.arn)

    await call.store.transact(rename)


@api.operation("DeleteServerCertificate", resource=_named)
async def delete_server_certificate(call: Call, request: shapes.DeleteServerCertificateRequest) -> None:
    def delete(tx: Tx) -> None:
        found = _find(tx, call, request.server_certificate_name)
        users = sorted({listener.load_balancer_arn for listener in tx.list(LISTENERS, "certificate", found.arn)})
        if users:
            raise DeleteConflict(f"Certificate: {found.certificate_id} is currently in use by {', '.join(users)}. Please remove it first.")
        tx.delete(SERVER_CERTIFICATES, SERVER_CERTIFICATES.key(found))

    await call.store.transact(delete)


# ── tags ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("TagServerCertificate", resource=_named, conditions=_asked)
async def tag_server_certificate(call: Call, request: shapes.TagServerCertificateRequest) -> None:
    def put(tx: Tx) -> None:
        found = _find(tx, call, request.server_certificate_name)
        tx.put(SERVER_CERTIFICATES, replace(found, tags=tagged(found.tags, ((tag.key, tag.value) for tag in request.tags))))

    await call.store.transact(put)


@api.operation("UntagServerCertificate", resource=_named, conditions=_taken)
async def untag_server_certificate(call: Call, request: shapes.UntagServerCertificateRequest) -> None:
    def take(tx: Tx) -> None:
        found = _find(tx, call, request.server_certificate_name)
        tx.put(SERVER_CERTIFICATES, replace(found, tags=untagged(found.tags, request.tag_keys)))

    await call.store.transact(take)


@api.operation("ListServerCertificateTags", resource=_named)
async def list_server_certificate_tags(
    call: Call, request: shapes.ListServerCertificateTagsRequest
) -> shapes.ListServerCertificateTagsResponse:
    whose = _find(call.store, call, request.server_certificate_name)
    ordered: list[Tag] = sorted(whose.tags, key=lambda tag: tag.key)
    found = paged(
        call,
        ("ListServerCertificateTags", whose.arn),
        request.marker,
        request.max_items,
        lambda after, limit: [tag for tag in ordered if after is None or tag.key > after][:limit],
        lambda tag: tag.key,
    )
    return shapes.ListServerCertificateTagsResponse(
        tags=tag_shapes(tuple(found.items)), is_truncated=found.is_truncated, marker=found.marker
    )
