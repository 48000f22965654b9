"""Storage classes: an image is in the standard class and can be pulled, or archived and only kept.

What belongs together goes together. An index takes along the images it alone consists of (those that have tags of their own,
or stand in another index, stay), and what refers to an image (a signature, an SBOM) goes with it. An image that an
active index names cannot be archived by itself: that index could not be pulled any more.

Moving costs nothing here, since the bytes stay where they are: an image is active again at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from longshore.services.ecr.errors import ImageStorageClassUpdateNotSupportedException
from longshore.services.ecr.events import image_action
from longshore.services.ecr.model import IMAGE_TAGS, IMAGES, REPOSITORIES, Image, image_key
from longshore.store.base import Reader, Tx

_PAGE = 50


def archive_image(tx: Tx, image: Image, now: float, more: Mapping[str, Any] | None = None) -> list[Image]:
    """The image and what goes along with it, as they are now; nothing for one that is archived. `more` goes into the events.

    Raises ImageStorageClassUpdateNotSupportedException while an active index names the image.
    """
    indexes = active_indexes(tx, image)
    if indexes:
        raise ImageStorageClassUpdateNotSupportedException(
            f"The image with digest '{image.digest}' cannot be archived while it is referenced by manifest list: [{', '.join(indexes)}]"
        )
    return _moved(tx, image, archived=True, now=now, more=more)


def restore_image(tx: Tx, image: Image, now: float, more: Mapping[str, Any] | None = None) -> list[Image]:
    """The image and what comes back with it, as they are now; nothing for one that is active."""
    return _moved(tx, image, archived=False, now=now, more=more)


def active_indexes(reader: Reader, image: Image) -> list[str]:
    """Digests of the indexes that name this image and can be pulled."""
    return [
        index.digest for index in reader.list(IMAGES, "references", image_key(image.repository, image.digest)) if _is_active_index(index)
    ]


def _is_active_index(image: Image) -> bool:
    """What one manifest names is all manifests or all layers, so the first tells."""
    return not image.archived and image.references[0].is_manifest


def _is_in_active_index(reader: Reader, image: Image) -> bool:
    """As `active_indexes`, where thousands may name the image and one is enough."""
    key, after = image_key(image.repository, image.digest), None
    while page := reader.list(IMAGES, "references", key, after=after, limit=_PAGE):
        if any(map(_is_active_index, page)):
            return True
        after = IMAGES.key(page[-1])
    return False


def is_archived_layer(reader: Reader, repository: str, digest: str) -> bool:
    """Whether every image of the repository that consists of this layer is archived. One that no image uses is not."""
    key = image_key(repository, digest)
    archived = reader.count(IMAGES, "archived_references", key)
    return archived > 0 and archived == reader.count(IMAGES, "references", key)


def _moved(tx: Tx, first: Image, *, archived: bool, now: float, more: Mapping[str, Any] | None) -> list[Image]:
    moved: list[Image] = []
    waiting = [first.digest]
    while waiting:
        image = tx.get(IMAGES, image_key(first.repository, waiting.pop(0)))
        if image is None or image.archived == archived:
            continue
        changed = replace(image, archived=True, last_archived_at=now) if archived else replace(image, archived=False, last_activated_at=now)
        moved.append(tx.put(IMAGES, changed))
        _tell(tx, changed, now, more)
        waiting.extend(_companions(tx, changed))
    return moved


def _companions(tx: Tx, image: Image) -> Iterable[str]:
    """Digests of what goes the way that `image` has just gone. Those that are there already are passed over later."""
    for reference in image.references:
        if reference.is_manifest:
            child = tx.get(IMAGES, image_key(image.repository, reference.digest))
            if child is not None and (not image.archived or not _stands_alone(tx, child)):
                yield child.digest
    for referrer in tx.list(IMAGES, "subject", image_key(image.repository, image.digest)):
        # one that an active index names cannot go
        if not image.archived or not _is_in_active_index(tx, referrer):
            yield referrer.digest


def _stands_alone(reader: Reader, child: Image) -> bool:
    tagged = reader.count(IMAGE_TAGS, "image", image_key(child.repository, child.digest)) > 0
    return tagged or _is_in_active_index(reader, child)


def _tell(tx: Tx, image: Image, now: float, more: Mapping[str, Any] | None) -> None:
    repository = tx.get(REPOSITORIES, image.repository)
    if repository is None:
        return
    tags = tx.list(IMAGE_TAGS, "image", image_key(image.repository, image.digest), limit=1)
    target = {"target-storage-class": "ARCHIVE" if image.archived else "STANDARD"}
    image_action(tx, repository, "UPDATE_STORAGE_CLASS", image.digest, tags[0].tag if tags else "", now, target | dict(more or {}))
