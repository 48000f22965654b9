"""Tags: checked, merged and removed, in ELB's words."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.shapes import elbv2 as shapes
from longshore.services.elbv2.errors import DuplicateTagKeys, TooManyTags, Validation
from longshore.services.elbv2.model import Tag
from longshore.services.elbv2.quotas import TAGS_PER_RESOURCE


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
    if len(tags) > TAGS_PER_RESOURCE:
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
