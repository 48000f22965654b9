"""Where the bytes of a repository lie. Whoever reads or writes a repository's layers or manifests asks here for the blob store."""

from __future__ import annotations

from longshore.services.ecr.errors import RepositoryNotFoundException
from longshore.services.ecr.model import REPOSITORIES, Repository
from longshore.store.base import Reader
from longshore.store.blobs import BlobStore


def content_of(blobs: BlobStore, repository: Repository) -> BlobStore:
    """The blob store as `repository` sees it: what it has in plain, or encrypted with its data key."""
    return blobs if repository.data_key is None else blobs.keyed(repository.data_key)


def shares_content(one: Repository, other: Repository) -> bool:
    """Whether bytes that one of them has are the other's, too, without being copied."""
    return (one.data_key and one.data_key.id) == (other.data_key and other.data_key.id)


def check_place(reader: Reader, repository: Repository) -> None:
    """In the transaction that names bytes which were stored for `repository`: that it still looks for them there. It does not where it was
    deleted meanwhile and made again with another key. Raises RepositoryNotFoundException.
    """
    current = reader.get(REPOSITORIES, repository.key)
    if current is None or not shares_content(current, repository):
        raise RepositoryNotFoundException(repository.name, repository.account_id)


async def carry_content(blobs: BlobStore, source: Repository, destination: Repository, digest: str) -> int | None:
    """Have the bytes of a blob of `source` where `destination` looks for them; their size, None when `source` has none.

    What is there already is kept from being collected, so that it can be named afterwards; what is not is copied, and encrypted
    anew where the keys differ. Raises DigestMismatch and BlobBroken when the source's bytes are broken, and BlobStoreFull.
    """
    there = content_of(blobs, destination)
    size = await there.keep(digest)
    if size is not None or shares_content(source, destination):
        return size
    here = content_of(blobs, source)
    size = here.size(digest)
    if size is None:
        return None
    upload = await there.begin()
    try:
        async for chunk in here.stream(digest, 0, size - 1):
            await upload.write(chunk)
        return await upload.commit(digest)
    except BaseException:
        await upload.cancel()
        raise
