"""Shapes of the operations by which the contents of trust stores come into the installation; AWS has S3 for that."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from longshore.aws.protocol import form
from longshore.aws.protocol.model import Members, Node, OperationShape, Out
from longshore.aws.protocol.xml import escape
from longshore.services.elbv2.trust_stores import MOST_FILE

Bucket = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\A[A-Za-z0-9._-]+\Z")]
Key = Annotated[str, Meta(min_length=1, max_length=1024)]
#: PEM
Content = Annotated[str, Meta(min_length=1, max_length=MOST_FILE)]


class PutFileRequest(
    Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"bucket": "Bucket", "key": "Key", "content": "Content"}
):
    bucket: Bucket
    key: Key
    content: Content


class PutFileResponse(Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class DeleteFileRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"bucket": "Bucket", "key": "Key"}):
    bucket: Bucket
    key: Key


class DeleteFileResponse(Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class ListFilesRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class File(
    Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"bucket": "Bucket", "key": "Key", "size": "Size", "put_at": "PutAt"}
):
    bucket: str
    key: str
    #: bytes
    size: int
    #: seconds since the epoch
    put_at: float


class ListFilesResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"files": "Files"}):
    files: tuple[File, ...] = ()


_NAMED: Members = {"Bucket": ("Bucket", form.text), "Key": ("Key", form.text)}
_PUT: Members = {**_NAMED, "Content": ("Content", form.text)}


def _read_put(node: Node) -> dict[str, object]:
    return form.members(node, _PUT)


def _read_named(node: Node) -> dict[str, object]:
    return form.members(node, _NAMED)


def _read_nothing(node: Node) -> dict[str, object]:
    return {}


def _write_nothing(out: Out, value: PutFileResponse | DeleteFileResponse) -> None:
    pass


def _write_files(out: Out, value: ListFilesResponse) -> None:
    out("<Files>")
    for each in value.files:
        out(f"<member><Bucket>{escape(each.bucket)}</Bucket><Key>{escape(each.key)}</Key>")
        out(f"<Size>{each.size}</Size><PutAt>{each.put_at}</PutAt></member>")
    out("</Files>")


PUT = OperationShape(
    "LongshorePutTrustStoreFile",
    PutFileRequest,
    PutFileResponse,
    result_wrapper="LongshorePutTrustStoreFileResult",
    read=_read_put,
    write=_write_nothing,
)
DELETE = OperationShape(
    "LongshoreDeleteTrustStoreFile",
    DeleteFileRequest,
    DeleteFileResponse,
    result_wrapper="LongshoreDeleteTrustStoreFileResult",
    read=_read_named,
    write=_write_nothing,
)
LIST = OperationShape(
    "LongshoreListTrustStoreFiles",
    ListFilesRequest,
    ListFilesResponse,
    result_wrapper="LongshoreListTrustStoreFilesResult",
    read=_read_nothing,
    write=_write_files,
)
