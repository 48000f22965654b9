"""Marker, MaxItems and IsTruncated, the same in every IAM listing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from longshore.aws.errors import Validation
from longshore.aws.pagination import page, seal, unseal
from longshore.services.call import Call
from longshore.services.iam.model import Tag

T = TypeVar("T")

DEFAULT_ITEMS = 100


class Page(NamedTuple, Generic[T]):
    items: list[T]
    is_truncated: bool
    marker: str | None


def paged(
    call: Call,
    question: tuple[object, ...],
    marker: str | None,
    max_items: int | None,
    read: Callable[[str | None, int], list[T]],
    key: Callable[[T], str],
    keep: Callable[[T], bool] | None = None,
) -> Page[T]:
    """One page of a listing in key order; `question` tells listings (and their filters) apart. Raises Validation for a foreign marker."""
    asked = ("iam", call.account_id, *question)
    after = unseal(call.secret_for_signing, asked, marker, Validation("Invalid Marker."))
    items, last = page(read, key, after=after, limit=max_items or DEFAULT_ITEMS, keep=keep)
    return Page(items, last is not None, None if last is None else seal(call.secret_for_signing, asked, last))


def tags_page(call: Call, operation: str, whose: str, tags: tuple[Tag, ...], marker: str | None, max_items: int | None) -> Page[Tag]:
    """Of the tags of one resource, by their keys."""
    ordered = sorted(tags, key=lambda tag: tag.key)
    return paged(
        call,
        (operation, whose),
        marker,
        max_items,
        lambda after, limit: [tag for tag in ordered if after is None or tag.key > after][:limit],
        lambda tag: tag.key,
    )
