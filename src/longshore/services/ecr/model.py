"""What ECR keeps: repositories, images, tags, and which layers a repository may show.

Manifest and layer bytes lie in the blob store; here are only names, digests and sizes. A blob is readable in a repository
only through a `RepositoryBlob`; tags point at digests; images point at what they consist of (`references`).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from longshore.kit.data_keys import SealedKey
from longshore.kit.resource import Kind, Total


class Tag(msgspec.Struct, frozen=True, gc=False):
    key: str
    value: str = ""


def repository_key(region: str, account_id: str, name: str) -> str:
    return f"{region}:{account_id}:{name}"


class Repository(msgspec.Struct, frozen=True, gc=False):
    arn: str
    region: str
    account_id: str
    name: str
    created_at: float
    image_tag_mutability: str = "MUTABLE"
    #: wildcard filters of the …_WITH_EXCLUSION settings
    mutability_exclusions: tuple[str, ...] = ()
    scan_on_push: bool = False
    #: as asked for
    encryption_type: Literal["AES256", "KMS", "KMS_DSSE"] = "AES256"
    kms_key: str = ""
    tags: tuple[Tag, ...] = ()
    #: what its bytes are encrypted with on the disk, for life; None: they are plain files
    data_key: SealedKey | None = None

    @property
    def key(self) -> str:
        return repository_key(self.region, self.account_id, self.name)


REPOSITORIES: Kind[Repository] = Kind(
    name="ecr.repository",
    type=Repository,
    key=lambda repository: repository.key,
    indexes={
        "scope": lambda repository: (f"{repository.region}:{repository.account_id}",),
        "data_key": lambda repository: (repository.data_key.id,) if repository.data_key else (),
    },
    recurring=("region", "account_id", "image_tag_mutability", "encryption_type"),
)


class Reference(msgspec.Struct, frozen=True, gc=False):
    """Something a manifest names: a config or layer blob, or (in an index) another manifest."""

    digest: str
    size: int
    media_type: str = ""
    is_manifest: bool = False
    #: non-distributable layers need not exist here
    foreign: bool = False


class Image(msgspec.Struct, frozen=True, gc=False):
    """One manifest of a repository. Its bytes are the blob `digest`, served exactly as pushed."""

    repository: str  # key of the repository
    digest: str
    media_type: str
    manifest_size: int
    #: compressed size of config and layers in bytes; of an index: that of the largest image in it
    size: int
    pushed_at: float
    #: what its manifest declares, else the media type of its config; "" where an index says nothing
    artifact_media_type: str = ""
    #: digest of the manifest this one is about (a signature, an SBOM)
    subject: str = ""
    references: tuple[Reference, ...] = ()
    annotations: dict[str, str] = {}
    last_pulled_at: float | None = None
    #: an archived image is kept and described, but cannot be pulled
    archived: bool = False
    last_archived_at: float | None = None
    #: when it last came back from the archive
    last_activated_at: float | None = None


def image_key(repository: str, digest: str) -> str:
    return f"{repository}@{digest}"


IMAGES: Kind[Image] = Kind(
    name="ecr.image",
    type=Image,
    key=lambda image: image_key(image.repository, image.digest),
    indexes={
        "repository": lambda image: (image.repository,),
        "subject": lambda image: (image_key(image.repository, image.subject),) if image.subject else (),
        # who names this manifest or blob: for deletion guards and for garbage collection
        "references": lambda image: {image_key(image.repository, reference.digest) for reference in image.references},
        "blob": lambda image: {image.digest, *(r.digest for r in image.references if not r.is_manifest)},
        # which of them cannot be pulled for being archived
        "archived_references": lambda image: (
            {image_key(image.repository, reference.digest) for reference in image.references} if image.archived else ()
        ),
    },
    totals={
        # a sum over a repository that is another one once its images, or what rules see of them, are others; pulls do not matter
        "contents": Total(
            width=1,
            group=lambda image: image.repository,
            amounts=lambda image: (hash((image.digest, image.pushed_at, image.archived, image.last_activated_at)),),
        )
    },
    recurring=("repository", "media_type", "artifact_media_type"),
)


class ImageTag(msgspec.Struct, frozen=True, gc=False):
    repository: str
    tag: str
    digest: str
    tagged_at: float


def tag_key(repository: str, tag: str) -> str:
    return f"{repository}:{tag}"


IMAGE_TAGS: Kind[ImageTag] = Kind(
    name="ecr.image_tag",
    type=ImageTag,
    key=lambda tag: tag_key(tag.repository, tag.tag),
    indexes={
        "repository": lambda tag: (tag.repository,),
        "image": lambda tag: (image_key(tag.repository, tag.digest),),
    },
    # likewise
    totals={"contents": Total(width=1, group=lambda tag: tag.repository, amounts=lambda tag: (hash((tag.tag, tag.digest)),))},
    recurring=("repository",),
)


class RepositoryBlob(msgspec.Struct, frozen=True, gc=False):
    """A layer or config uploaded to, or mounted into, a repository."""

    repository: str
    digest: str
    size: int
    uploaded_at: float


REPOSITORY_BLOBS: Kind[RepositoryBlob] = Kind(
    name="ecr.repository_blob",
    type=RepositoryBlob,
    key=lambda blob: image_key(blob.repository, blob.digest),
    indexes={
        "repository": lambda blob: (blob.repository,),
        "digest": lambda blob: (blob.digest,),
    },
    recurring=("repository",),
)


class RegistryEvent(msgspec.Struct, frozen=True, gc=False):
    """Something that happened in a registry, in the members that Amazon EventBridge tells it with."""

    region: str
    account_id: str
    #: seconds since the epoch
    at: float
    #: "ECR Image Action", "ECR Image Scan", "ECR Replication Action", "ECR Pull Through Cache Action"
    detail_type: str
    #: ARNs of the repositories concerned
    resources: tuple[str, ...]
    detail: dict[str, Any]
    #: tells apart what happened at one moment
    ordinal: str = ""

    @property
    def key(self) -> str:
        return f"{self.region}:{self.account_id}:{self.at:017.6f}:{self.ordinal}"


REGISTRY_EVENTS: Kind[RegistryEvent] = Kind(
    name="ecr.event",
    type=RegistryEvent,
    key=lambda event: event.key,
    indexes={"scope": lambda event: (f"{event.region}:{event.account_id}",)},
)
