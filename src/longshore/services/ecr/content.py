"""Where the bytes of a repository lie. Whoever reads or writes a repository's layers or manifests asks here for the blob store."""

from __future__ import annotations

from longshore.services.ecr.model import Repository
from longshore.store.blobs import BlobStore


def content_of(blobs: BlobStore, repository: Repository) -> BlobStore:
    """The blob store as `repository` sees it."""
    return blobs
