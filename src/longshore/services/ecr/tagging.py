"""Tags on repositories: what is allowed, and what policies may ask about them."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.shapes import ecr as shapes
from longshore.services.ecr.errors import InvalidParameterException, InvalidTagParameterException, TooManyTagsException
from longshore.services.ecr.model import Tag

MOST_TAGS = 50
_LONGEST_KEY, _LONGEST_VALUE = 128, 256


def checked_tags(tags: Iterable[shapes.Tag]) -> tuple[Tag, ...]:
    """Raises InvalidTagParameterException, InvalidParameterException and TooManyTagsException."""
    checked: dict[str, Tag] = {}
    for tag in tags:
        if not 1 <= len(tag.key) <= _LONGEST_KEY or len(tag.value) > _LONGEST_VALUE:
            raise InvalidTagParameterException
        if tag.key.lower().startswith("aws:"):
            raise InvalidTagParameterException("Tag keys that begin with 'aws:' are reserved for system use.")
        if tag.key in checked:
            raise InvalidParameterException(f"Invalid parameter at 'tags' failed to satisfy constraint: 'Duplicate tag key {tag.key}'")
        checked[tag.key] = Tag(key=tag.key, value=tag.value)
    return within_limit(checked.values())


def within_limit(tags: Iterable[Tag]) -> tuple[Tag, ...]:
    """Raises TooManyTagsException."""
    kept = tuple(tags)
    if len(kept) > MOST_TAGS:
        raise TooManyTagsException
    return kept


def merged(held: Iterable[Tag], given: Iterable[Tag]) -> tuple[Tag, ...]:
    """Tags of `held` and `given` together, where the given win; raises TooManyTagsException."""
    return within_limit({tag.key: tag for tag in (*held, *given)}.values())


def request_tag_conditions(tags: Iterable[shapes.Tag]) -> dict[str, list[str]]:
    """`aws:RequestTag/KEY` and `aws:TagKeys`."""
    conditions = {f"aws:RequestTag/{tag.key}": [tag.value] for tag in tags}
    if conditions:
        conditions["aws:TagKeys"] = [tag.key for tag in tags]
    return conditions
