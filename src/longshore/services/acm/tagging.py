"""Tags of certificates: checked, merged and removed, and what policies may ask about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from longshore.aws.shapes import acm as shapes
from longshore.services.acm.errors import InvalidTagException, TooManyTagsException
from longshore.services.acm.model import CERTIFICATES, Tag
from longshore.store.base import Reader

_MOST_TAGS = 50


def merged(existing: Iterable[Tag], added: Iterable[shapes.Tag] | None) -> tuple[Tag, ...]:
    """`existing` with `added` on top, in order of first appearance."""
    tags = {tag.key: tag for tag in existing}
    seen: set[str] = set()
    for tag in added or ():
        _refuse_reserved(tag.key)
        if tag.key in seen:
            raise InvalidTagException(f"The tag key '{tag.key}' is specified more than once.")
        seen.add(tag.key)
        tags[tag.key] = Tag(tag.key, tag.value or "")
    if len(tags) > _MOST_TAGS:
        raise TooManyTagsException
    return tuple(tags.values())


def without(existing: Iterable[Tag], removed: Iterable[shapes.Tag]) -> tuple[Tag, ...]:
    """A tag that is named with a value goes only where it has that value."""
    gone = {(tag.key, tag.value) for tag in removed}
    return tuple(tag for tag in existing if (tag.key, None) not in gone and (tag.key, tag.value) not in gone)


def shown(tags: Iterable[Tag]) -> tuple[shapes.Tag, ...]:
    return tuple(shapes.Tag(key=tag.key, value=tag.value) for tag in tags)


def asked_tags(tags: Iterable[shapes.Tag] | None) -> dict[str, list[str]]:
    """aws:RequestTag/KEY and aws:TagKeys of a request that brings tags."""
    given = tuple(tags or ())
    found = {f"aws:requesttag/{tag.key.lower()}": [tag.value or ""] for tag in given}
    if given:
        found["aws:tagkeys"] = [tag.key for tag in given]
    return found


def resource_conditions(reader: Reader, arn: str) -> Mapping[str, Sequence[str]]:
    """aws:ResourceTag/KEY of a certificate; nothing for what is not there."""
    found = reader.get(CERTIFICATES, arn)
    return {f"aws:resourcetag/{tag.key.lower()}": [tag.value] for tag in found.tags} if found is not None else {}


def _refuse_reserved(key: str) -> None:
    if key.lower().startswith("aws:"):
        raise InvalidTagException(f"The tag key '{key}' is reserved: aws: prefixed tag key names are not allowed for external use.")
