"""What the plan is made from: an image with all below it, and whether its destination takes it."""

from __future__ import annotations

from longshore.control.replication.plan import Snapshot
from longshore.services.ecr.model import IMAGE_TAGS, IMAGES, REPOSITORIES, REPOSITORY_BLOBS, Image, image_key, tag_key
from longshore.services.ecr.replication.destinations import refusal
from longshore.services.ecr.replication.model import Replication
from longshore.services.ecr.replication.wanted import wishes_for
from longshore.store.base import Reader


def snapshot_of(reader: Reader, replication: Replication, now: float) -> Snapshot:
    source = reader.get(REPOSITORIES, replication.repository)
    images = with_all_below(reader, replication.repository, replication.digest)
    tags = {tag: reader.get(IMAGE_TAGS, tag_key(replication.repository, tag)) for tag in replication.tags}
    named = {r.digest for image in images.values() for r in image.references if not r.is_manifest}
    layers = {digest for digest in named if reader.get(REPOSITORY_BLOBS, image_key(replication.repository, digest)) is not None}
    return Snapshot(
        now=now,
        replication=replication,
        images=images,
        tags={tag: held.digest for tag, held in tags.items() if held is not None},
        layers=frozenset(layers),
        configured=source is not None
        and any(wish.destination == replication.destination for wish in wishes_for(reader, source.region, source.account_id, source.name)),
        refusal=refusal(reader, source, replication.destination) if source is not None else "",
    )


def with_all_below(reader: Reader, repository: str, digest: str) -> dict[str, Image]:
    """The image and what it consists of, as far as it is here, by digest; empty without the image."""
    found: dict[str, Image] = {}
    wanted = [digest]
    while wanted:
        image = reader.get(IMAGES, image_key(repository, wanted.pop()))
        if image is not None and image.digest not in found:
            found[image.digest] = image
            wanted.extend(reference.digest for reference in image.references if reference.is_manifest)
    return found
