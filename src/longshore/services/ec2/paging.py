"""MaxResults and NextToken: a token names the last thing shown."""

from __future__ import annotations

import base64
import binascii
import bisect
from collections.abc import Callable, Sequence
from typing import TypeVar

from longshore.services.ec2.errors import InvalidPaginationToken, InvalidParameterCombination

T = TypeVar("T")

DEFAULT_MAX_RESULTS = 1000


def page_of(
    items: Sequence[T], key: Callable[[T], str], next_token: str | None, max_results: int | None, *, named: bool = False
) -> tuple[Sequence[T], str | None]:
    """The page after `next_token` and the next page's token (None: that was the last). `items` are in the order of their keys.

    `named` says that ids were given, which cannot go together with MaxResults.
    """
    if named and max_results is not None:
        raise InvalidParameterCombination("The parameter MaxResults cannot be used with ids in the same request")
    after = _key_of(next_token)
    start = 0 if after is None else bisect.bisect_right(items, after, key=key)
    page = items[start : start + max(1, max_results or DEFAULT_MAX_RESULTS)]
    more = start + len(page) < len(items)
    return page, base64.urlsafe_b64encode(key(page[-1]).encode()).decode() if more else None


def _key_of(token: str | None) -> str | None:
    if not token:
        return None
    try:
        return base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True).decode()
    except (UnicodeError, binascii.Error):
        raise InvalidPaginationToken from None
