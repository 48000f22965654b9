"""Carrying images to registries elsewhere, over the OCI protocol: what they lack of the layers, then manifests, children first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping

from longshore.services.ecr.content import content_of
from longshore.services.ecr.model import Image, Repository
from longshore.services.ecr.remote.client import RemoteClient
from longshore.services.ecr.remote.errors import (
    RemoteBusy,
    RemoteDenied,
    RemoteError,
    RemoteInvalid,
    RemoteNotFound,
    RemoteRefused,
    RemoteUnavailable,
)
from longshore.services.ecr.replication.model import Withdrawal
from longshore.store.blobs import BlobStore, NoSuchBlob

#: what DescribeImageReplicationStatus shows as failureCode
CODES: Mapping[type[RemoteError], str] = {
    RemoteDenied: "RemoteAccessDenied",
    RemoteBusy: "RemoteTooManyRequests",
    RemoteUnavailable: "RemoteUnavailable",
    RemoteNotFound: "RemoteRepositoryNotFound",
    RemoteInvalid: "RemoteInvalid",
    RemoteRefused: "RemoteRefused",
}


async def push(
    client: RemoteClient, blobs: BlobStore, source: Repository, images: Iterable[Image], digest: str, tags: Iterable[str]
) -> None:
    """`images` in this order; the last of them, `digest`, gets the tags. Raises RemoteError and NoSuchBlob."""
    content = content_of(blobs, source)
    for image in images:
        for reference in image.references:
            if reference.is_manifest or reference.foreign or await client.has_blob(source.name, reference.digest):
                continue

            def pieces(digest: str = reference.digest, size: int = reference.size) -> AsyncIterator[bytes]:
                return content.stream(digest, 0, size - 1)

            await client.push_blob(source.name, reference.digest, reference.size, pieces)
        manifest = await content.read(image.digest)
        if manifest is None:
            raise NoSuchBlob(image.digest)
        await client.put_manifest(source.name, image.digest, manifest, image.media_type)
        for tag in tags if image.digest == digest else ():
            await client.put_manifest(source.name, tag, manifest, image.media_type)


async def withdraw(client: RemoteClient, withdrawal: Withdrawal) -> None:
    """Delete there what was deleted here. Raises RemoteError; nothing there to delete is fine."""
    if withdrawal.tag and await client.manifest_digest(withdrawal.name, withdrawal.tag) not in (withdrawal.digest, None):
        return  # the tag stands for another image by now
    await client.delete_manifest(withdrawal.name, withdrawal.tag or withdrawal.digest)
