"""Tags: checked as they come in, and turned into the shapes that go out."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.errors import InvalidParameterException
from longshore.services.ecs.model import Tag
from longshore.services.ecs.settings.rules import setting_for

MOST_TAGS = 50
_LONGEST_KEY, _LONGEST_VALUE = 128, 256
_RESERVED = "aws:"


def tags_from(given: Iterable[shapes.Tag] | None) -> tuple[Tag, ...]:
    """Raises InvalidParameterException for a key given twice and for keys that only AWS's own services set."""
    tags: dict[str, Tag] = {}
    for tag in given or ():
        key = tag.key or ""
        if not key:
            raise InvalidParameterException("Tag keys must not be null or empty.")
        if key.lower().startswith(_RESERVED):
            raise InvalidParameterException("System tags cannot be added or updated by requester: tag keys must not begin with aws:.")
        if key in tags:
            raise InvalidParameterException("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
        tags[key] = Tag(key, tag.value or "")
    if len(tags) > MOST_TAGS:
        raise InvalidParameterException(f"The number of tags must not be more than {MOST_TAGS}.")
    return tuple(tags.values())


def tagging_rights(call: Call, tags: Iterable[shapes.Tag] | None, arn: str) -> list[tuple[str, str]]:
    """What else whoever creates `arn` with tags must be allowed to do, unless the account setting tagResourceAuthorization is off."""
    if not tags or setting_for(call.store, call.region, call.principal, "tagResourceAuthorization") == "off":
        return []
    return [("ecs:TagResource", arn)]


def merged(old: tuple[Tag, ...], new: tuple[Tag, ...]) -> tuple[Tag, ...]:
    """`old` with `new` laid over. Raises InvalidParameterException when they are too many."""
    tags = {tag.key: tag for tag in old} | {tag.key: tag for tag in new}
    if len([key for key in tags if not key.startswith(_RESERVED)]) > MOST_TAGS:
        raise InvalidParameterException(f"The number of tags must not be more than {MOST_TAGS}.")
    return tuple(tags.values())


def tags_view(tags: Iterable[Tag]) -> tuple[shapes.Tag, ...]:
    return tuple(shapes.Tag(key=tag.key, value=tag.value) for tag in tags)
