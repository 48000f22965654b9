"""Tags on EC2's resources: from TagSpecification at creation, later by CreateTags and DeleteTags. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.shapes import ec2 as shapes
from longshore.services.ec2.errors import InvalidParameterValue, TagLimitExceeded
from longshore.services.ec2.model import Tag

MOST_TAGS = 50
MOST_KEY_LENGTH = 128
MOST_VALUE_LENGTH = 256


def merged(existing: Iterable[Tag], added: Iterable[shapes.Tag]) -> tuple[Tag, ...]:
    tags = {tag.key: tag for tag in existing}
    seen: set[str] = set()
    for tag in added:
        key, value = tag.key or "", tag.value or ""
        _check(key, value)
        if key in seen:
            raise InvalidParameterValue(f"Duplicate tag key '{key}' specified.")
        seen.add(key)
        tags[key] = Tag(key, value)
    if len(tags) > MOST_TAGS:
        raise TagLimitExceeded
    return tuple(sorted(tags.values(), key=lambda tag: tag.key))


def without(existing: Iterable[Tag], removed: Iterable[shapes.Tag] | None) -> tuple[Tag, ...]:
    """Without the tags of those keys; a value narrows it to the tag that has it. None removes all that is the user's."""
    if removed is None:
        return ()
    wanted = [(tag.key or "", tag.value) for tag in removed]
    for key, _ in wanted:
        _check(key, "")
    return tuple(tag for tag in existing if not any(tag.key == key and (value is None or value == tag.value) for key, value in wanted))


def at_creation(specifications: Iterable[shapes.TagSpecification] | None, resource_type: str) -> tuple[Tag, ...]:
    """The tags that a request gives to what it creates."""
    found: list[shapes.Tag] = []
    for specification in specifications or ():
        if specification.resource_type != resource_type:
            raise InvalidParameterValue(f"'{specification.resource_type}' is not a valid taggable resource type for this operation.")
        found.extend(specification.tags or ())
    return merged((), found)


def _check(key: str, value: str) -> None:
    if not key:
        raise InvalidParameterValue("Tag key cannot be empty")
    if key.lower().startswith("aws:"):
        raise InvalidParameterValue("Tag keys starting with 'aws:' are reserved for internal use")
    if len(key) > MOST_KEY_LENGTH:
        raise InvalidParameterValue(f"Tag key exceeds the maximum length of {MOST_KEY_LENGTH} characters")
    if len(value) > MOST_VALUE_LENGTH:
        raise InvalidParameterValue(f"Tag value exceeds the maximum length of {MOST_VALUE_LENGTH} characters")
