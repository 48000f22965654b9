"""What deletions leave behind: layers and blobs to be looked at, noted as the store tells of the changes. A report that another
one takes the place of is left behind, too.

A note says no more than that it is worth a look from some moment on; the collector decides. Should very much be deleted at
once, single notes are not kept: it is said that everything has to be looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from longshore.registry.naming import PLAIN, set_of
from longshore.services.ecr.model import REPOSITORIES, Image, Repository, RepositoryBlob, image_key
from longshore.services.ecr.scanning.model import ImageScanReport
from longshore.store.base import Batch, Reader

#: notes kept: some MiB of memory
MOST = 100_000


class LeftBlob(NamedTuple):
    #: the set it is in: a data key's id, or PLAIN
    key_id: str
    digest: str


class Leavings:
    def __init__(self, grace_s: float, most: int = MOST) -> None:
        self._grace_s = grace_s
        self._most = most
        #: `image_key` of a layer -> when to look at it
        self._layers: dict[str, float] = {}
        self._blobs: dict[LeftBlob, float] = {}
        #: ids of data keys whose repository is gone
        self._keys: set[str] = set()
        self._everything = False

    def __repr__(self) -> str:
        return f"Leavings({len(self._layers)} layers, {len(self._blobs)} blobs, {len(self._keys)} keys)"

    def __bool__(self) -> bool:
        return bool(self._layers or self._blobs or self._keys or self._everything)

    # -- noting ----------------------------------------------------------------------------------------------------------------

    def note(self, reader: Reader, batch: Batch, now: float) -> bool:
        """Whether the batch left something behind."""
        if batch.lost:
            self._everything = True
            return True
        before = len(self._layers) + len(self._blobs) + len(self._keys)
        deleted = [change.old for change in batch.changes if change.new is None or isinstance(change.old, ImageScanReport)]
        gone = {each.key: each for each in deleted if isinstance(each, Repository)}
        self._keys.update(repository.data_key.id for repository in gone.values() if repository.data_key)
        for each in deleted:
            if isinstance(each, Image):
                self._note_image(each, _set_read_by(reader, each.repository, gone), now)
            elif isinstance(each, RepositoryBlob):
                self._note_layer(each, _set_read_by(reader, each.repository, gone), now)
            elif isinstance(each, ImageScanReport):
                self.look_at_blob(LeftBlob(_set_read_by(reader, each.repository, gone), each.content), now)
        if len(self._layers) + len(self._blobs) > self._most:
            self._layers.clear()
            self._blobs.clear()
            self._everything = True
        return self._everything or len(self._layers) + len(self._blobs) + len(self._keys) > before

    def _note_image(self, image: Image, key_id: str, now: float) -> None:
        for reference in image.references:
            if not reference.is_manifest:
                self._layers.setdefault(image_key(image.repository, reference.digest), now)
        self.look_at_blob(LeftBlob(key_id, image.digest), max(now, image.pushed_at + self._grace_s))

    def _note_layer(self, layer: RepositoryBlob, key_id: str, now: float) -> None:
        self.look_at_blob(LeftBlob(key_id, layer.digest), max(now, layer.uploaded_at + self._grace_s))

    def look_at_layer(self, key: str, at: float) -> None:
        self._layers[key] = at

    def look_at_blob(self, blob: LeftBlob, at: float) -> None:
        self._blobs[blob] = at

    # -- taking ----------------------------------------------------------------------------------------------------------------

    def take_everything(self) -> bool:
        """Whether everything is to be looked at."""
        everything, self._everything = self._everything, False
        return everything

    def take_keys(self) -> set[str]:
        keys, self._keys = self._keys, set()
        return keys

    def take_layers(self, now: float) -> list[str]:
        """Those that are due."""
        due = [key for key, at in self._layers.items() if at <= now]
        for key in due:
            del self._layers[key]
        return due

    def take_blobs(self, now: float) -> list[LeftBlob]:
        due = [blob for blob, at in self._blobs.items() if at <= now]
        for blob in due:
            del self._blobs[blob]
        return due


def _set_read_by(reader: Reader, key: str, gone: Mapping[str, Repository]) -> str:
    """The set of blobs that a repository reads, or read before it was deleted."""
    repository = gone.get(key) or reader.get(REPOSITORIES, key)
    return PLAIN if repository is None else set_of(repository)
