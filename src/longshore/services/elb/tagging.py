"""Tags of Classic load balancers: checked, merged and removed."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.shapes import elb as shapes
from longshore.services.elb.errors import DuplicateTagKeys, TooManyTags, Validation
from longshore.services.elb.lookup import TAGS_PER_LOAD_BALANCER
from longshore.services.elb.model import Tag


def merged(existing: Iterable[Tag], added: Iterable[shapes.Tag] | None) -> tuple[Tag, ...]:
    """`existing` with `added` on top, in order of first appearance."""
    tags = {tag.key: tag for tag in existing}
    seen: set[str] = set()
    for tag in added or ():
        if tag.key in seen:
            raise DuplicateTagKeys
        _refuse_reserved(tag.key)
        seen.add(tag.key)
        tags[tag.key] = Tag(tag.key, tag.value or "")
    if len(tags) > TAGS_PER_LOAD_BALANCER:
        raise TooManyTags
    return tuple(tags.values())


def without(existing: Iterable[Tag], keys: Iterable[str]) -> tuple[Tag, ...]:
    removed = set(keys)
    for key in removed:
        _refuse_reserved(key)
    return tuple(tag for tag in existing if tag.key not in removed)


def _refuse_reserved(key: str) -> None:
    if key.lower().startswith("aws:"):
        raise Validation("The request contains restricted keys: aws: prefixed tag key names are not allowed for external use.")
