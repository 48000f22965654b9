"""Long listings in pages: a marker names the last thing shown, so that pages stay right while the list changes."""

from __future__ import annotations

import base64
import binascii
import bisect
from collections.abc import Callable, Sequence
from typing import TypeVar

from longshore.services.elbv2.errors import Validation

T = TypeVar("T")

DEFAULT_PAGE_SIZE = 400


def marker_of(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def key_of(marker: str | None) -> str | None:
    """The key inside a marker; None for no marker. What we never gave out is refused."""
    if not marker:
        return None
    try:
        return base64.b64decode(marker.encode("ascii"), altchars=b"-_", validate=True).decode()
    except (UnicodeError, binascii.Error):
        raise Validation(f"Invalid marker: '{marker}'") from None


def page_of(items: Sequence[T], key: Callable[[T], str], marker: str | None, size: int | None) -> tuple[Sequence[T], str | None]:
    """The page after `marker` and the next page's marker (None: that was the last). `items` are in the order of their keys."""
    after = key_of(marker)
    start = 0 if after is None else bisect.bisect_right(items, after, key=key)
    page = items[start : start + (size or DEFAULT_PAGE_SIZE)]
    more = start + len(page) < len(items)
    return page, marker_of(key(page[-1])) if more else None
