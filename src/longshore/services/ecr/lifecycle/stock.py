"""What a repository holds, as rules look at it: its images, and their tags by image and in alphabetical order."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from longshore.services.ecr.model import Image

#: so many tags are put into their places one by one; more are sorted in with all the others
_FEW = 32
_NO_TAGS: tuple[str, ...] = ()


@dataclass(slots=True)
class Stock:
    """Of one repository."""

    #: by digest
    images: dict[str, Image] = field(default_factory=dict)
    #: digest -> its tags; images without tags do not appear
    tags: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: every tag, in alphabetical order, and in the same places the digests they point at
    names: list[str] = field(default_factory=list)
    holders: list[str] = field(default_factory=list)

    @staticmethod
    def of(images: Iterable[Image], tags: Mapping[str, Iterable[str]]) -> Stock:
        stock = Stock({image.digest: image for image in images})
        for tag, digest in sorted((tag, digest) for digest, of in tags.items() for tag in of):
            stock.add_tag(tag, digest)
        return stock

    def add_tag(self, tag: str, digest: str) -> None:
        """None that sorts after it may have been added before."""
        self.names.append(tag)
        self.holders.append(digest)
        held = self.tags.get(digest)
        self.tags[digest] = (tag,) if held is None else (*held, tag)

    def copy(self) -> Stock:
        return Stock(dict(self.images), dict(self.tags), list(self.names), list(self.holders))

    def add(self, images: Iterable[tuple[Image, tuple[str, ...]]]) -> None:
        """More images with their tags."""
        pairs: list[tuple[str, str]] = []
        for image, tags in images:
            self.images[image.digest] = image
            if tags:
                self.tags[image.digest] = tags
                pairs += [(tag, image.digest) for tag in tags]
        if len(pairs) > _FEW:
            pairs = sorted([*zip(self.names, self.holders, strict=True), *pairs])
            self.names, self.holders = [tag for tag, _ in pairs], [digest for _, digest in pairs]
            return
        for tag, digest in pairs:
            at = bisect_right(self.names, tag)
            self.names.insert(at, tag)
            self.holders.insert(at, digest)

    def remove(self, digest: str) -> None:
        """Its names stay among `names`: what they point at is not there any more."""
        del self.images[digest]
        self.tags.pop(digest, None)

    def tags_of(self, digest: str) -> tuple[str, ...]:
        return self.tags.get(digest, _NO_TAGS)
