"""Pages of listings, with ECS's bounds and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from longshore.aws.pagination import page, seal, unseal
from longshore.kit.resource import Kind
from longshore.services.call import Call
from longshore.services.ecs.errors import InvalidParameterException

T = TypeVar("T")

MOST_RESULTS = 100


def page_limit(wanted: int | None, most: int = MOST_RESULTS) -> int:
    if wanted is None:
        return most
    if not 1 <= wanted <= most:
        raise InvalidParameterException(f"maxResults must be between 1 and {most}.")
    return wanted


def list_page(
    call: Call,
    kind: Kind[T],
    index: str,
    value: str,
    *,
    token: str | None,
    max_results: int | None,
    question: tuple[object, ...],
    keep: Callable[[T], bool] | None = None,
    most: int = MOST_RESULTS,
    descending: bool = False,
) -> tuple[list[T], str | None]:
    """One page of `kind` under `value` in `index`, and the token of the next.

    `question` holds what else decides on the listing (filters): a token is good for its own question only.
    """
    asked = (call.account_id, call.region, kind.name, index, value, descending, *question)
    after = unseal(call.secret_for_signing, asked, token, InvalidParameterException("Invalid token."))

    def forwards(start: str | None, limit: int) -> list[T]:
        return call.store.list(kind, index, value, after=start, limit=limit)

    def backwards(start: str | None, limit: int) -> list[T]:
        # the store keeps keys in one order only; whoever wants the other pays for reading them all
        everything = call.store.list(kind, index, value)
        before = [one for one in reversed(everything) if start is None or kind.key(one) < start]
        return before[:limit]

    found, last = page(
        backwards if descending else forwards,
        kind.key,
        after=after,
        limit=page_limit(max_results, most),
        keep=keep,
    )
    return found, seal(call.secret_for_signing, asked, last) if last is not None else None
