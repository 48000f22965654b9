"""Manifests: what kinds there are, and what each names.

A manifest is kept exactly as it was pushed; here it is only read. Docker's schema 2 and the OCI formats have the same
members, so one shape reads them all, and its media type says which of them must be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from longshore.services.ecr.model import Image, Reference
from longshore.services.ecr.names import is_digest

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
#: OCI 1.1 gave it up before its release; some signing tools still write it
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"

IMAGES = frozenset({DOCKER_MANIFEST, OCI_MANIFEST})
INDEXES = frozenset({DOCKER_LIST, OCI_INDEX})
MEDIA_TYPES = IMAGES | INDEXES | {OCI_ARTIFACT}

_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"
#: layers that may not be passed on: clients fetch them elsewhere
_FOREIGN = ("application/vnd.oci.image.layer.nondistributable.", "application/vnd.docker.image.rootfs.foreign.")
#: one manifest names at most so many others: enough for every real image, and a bound on what one request can cost
_MOST_REFERENCES = 10_000
#: bytes that the sizes in one manifest may add up to, 32 TiB; those of all images of a repository then fit into 64 bits
_LARGEST_SIZE = 2**45
#: characters of annotations on a page of referrers: as much as a manifest may have, which clients are prepared to read
MOST_ANNOTATIONS = 4 * 1024 * 1024


class ManifestInvalid(Exception):
    """The manifest cannot be accepted; the message says what is wrong with it."""


class Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    digest: str
    size: Annotated[int, Meta(ge=0, le=2**62)]
    media_type: str = ""


class _Document(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: int | None = None
    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] | None = None
    manifests: tuple[Descriptor, ...] | None = None
    blobs: tuple[Descriptor, ...] | None = None
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class Manifest(msgspec.Struct, frozen=True):
    media_type: str
    references: tuple[Reference, ...]
    #: digest of the manifest this one is about, or ""
    subject: str
    #: what kind of artifact it is: declared, else the media type of its config; "" for an index that says nothing
    artifact_type: str
    annotations: dict[str, str]

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEXES


_document = msgspec.json.Decoder(_Document)
#: names of members as they are spelled, by how programs that do not care for the case see them
_folded: dict[type[msgspec.Struct], dict[str, str]] = {
    shape: {name.casefold(): name for name in shape.__struct_encode_fields__} for shape in (_Document, Descriptor)
}


def parse_manifest(content: bytes, media_type: str | None) -> Manifest:
    """`media_type` is how the client calls it (parameters removed); None takes the manifest's own word. Raises ManifestInvalid."""
    try:
        document = _document.decode(content)
        # All of it once more, because what no member of the document is named by was skipped without a look.
        _check_spelling(msgspec.json.decode(content.decode()))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestInvalid(f"manifest is not valid: {error}") from None
    declared = document.media_type or media_type or ""
    if media_type and document.media_type and media_type != document.media_type:
        raise ManifestInvalid(f"manifest says its media type is {document.media_type!r}, the request says {media_type!r}")
    if declared.startswith(_SCHEMA_1) or document.schema_version == 1:
        raise ManifestInvalid("manifests of Docker's schema 1 are not supported: push with a current client")
    if declared not in MEDIA_TYPES:
        raise ManifestInvalid(f"the media type {declared!r} is not that of a supported manifest" if declared else _no_type(document))
    _check_members(document, declared)
    references = _references(document, declared)
    if document.subject is not None and not is_digest(document.subject.digest):
        raise ManifestInvalid(f"the digest {document.subject.digest[:100]!r} of the subject is not a supported digest")
    return Manifest(
        media_type=declared,
        references=references,
        subject=document.subject.digest if document.subject else "",
        artifact_type=document.artifact_type or (document.config.media_type if document.config else ""),
        annotations=document.annotations or {},
    )


def _check_spelling(tree: Mapping[str, Any]) -> None:
    """Many programs read `Layers` as `layers`: a manifest with both would be one image here and another one there."""
    _check_names(tree, _Document)
    for member in ("config", "layers", "manifests", "blobs", "subject"):
        found = tree.get(member) or ()
        for descriptor in found if isinstance(found, list) else [found] if found else []:
            _check_names(descriptor, Descriptor)


def _check_names(members: Mapping[str, Any], shape: type[msgspec.Struct]) -> None:
    known = _folded[shape]
    for name in members:
        meant = known.get(name.casefold(), name)
        if meant != name:
            raise ManifestInvalid(f"the member {name[:100]!r} could be taken for {meant!r}")


def _no_type(document: _Document) -> str:
    return f"the manifest (schema version {document.schema_version}) names no media type and neither does the request"


def _check_members(document: _Document, media_type: str) -> None:
    """An index is no image and the other way round: what could be read as either is refused, whoever might read it later."""
    if media_type == OCI_ARTIFACT:
        return
    if document.schema_version != 2:
        raise ManifestInvalid(f"schemaVersion must be 2, not {document.schema_version}")
    if media_type in INDEXES:
        if document.manifests is None or document.layers is not None or document.config is not None:
            raise ManifestInvalid("an index must have `manifests` and neither `config` nor `layers`")
    elif document.config is None or document.layers is None or document.manifests is not None:
        raise ManifestInvalid("an image manifest must have `config` and `layers`, and no `manifests`")


def _references(document: _Document, media_type: str) -> tuple[Reference, ...]:
    """Each digest once, in the order in which they stand."""
    if media_type in INDEXES:
        named = document.manifests or ()
    elif media_type == OCI_ARTIFACT:
        named = document.blobs or ()
    else:
        named = ((document.config,) if document.config else ()) + (document.layers or ())
    if len(named) > _MOST_REFERENCES:
        raise ManifestInvalid(f"a manifest may name at most {_MOST_REFERENCES} others, not {len(named)}")
    found: dict[str, Reference] = {}
    for descriptor in named:
        if not is_digest(descriptor.digest):
            raise ManifestInvalid(f"the digest {descriptor.digest[:100]!r} is not a supported digest")
        if descriptor.digest not in found:
            found[descriptor.digest] = Reference(
                digest=descriptor.digest,
                size=descriptor.size,
                media_type=descriptor.media_type,
                is_manifest=media_type in INDEXES,
                foreign=descriptor.media_type.startswith(_FOREIGN),
            )
    if sum(reference.size for reference in found.values()) > _LARGEST_SIZE:
        raise ManifestInvalid(f"the sizes in a manifest may add up to at most {_LARGEST_SIZE} bytes")
    return tuple(found.values())


def size_of_annotations(image: Image) -> int:
    """In characters."""
    return sum(len(key) + len(value) for key, value in image.annotations.items())
