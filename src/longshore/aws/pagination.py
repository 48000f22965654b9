"""Pages of a sorted listing, and the tokens that lead from one to the next.

A token says after which key to go on. It is opaque, and sealed with the installation's secret together with the question it
belongs to (operation, account, region, filters): a token that was changed, or that another question handed out, is refused
with the error the API has for it. Nothing is kept for it on the server, so it stays good while resources come and go.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable
from typing import TypeVar

from longshore.aws.errors import AwsError
from longshore.kit.sealing import Keys, newest, secrets_of

T = TypeVar("T")

_SEAL_BYTES = 12
#: Longest token looked at; keys are ARNs and names.
_MOST_TOKEN = 4096
#: Resources read at a time where a filter may leave only few of them.
_STRIDE = 500


def seal(secret: Keys, question: Iterable[object], after: str) -> str:
    """The token for going on after the key `after` in the listing that `question` asks for."""
    key = after.encode()
    return urlsafe_b64encode(_seal_of(newest(secret), question, key) + key).decode().rstrip("=")


def unseal(secret: Keys, question: Iterable[object], token: str | None, refusal: AwsError) -> str | None:
    """The key to go on after, None without a token; raises `refusal` for a token that `question` did not give out."""
    if not token:
        return None
    if len(token) > _MOST_TOKEN or not token.isascii():
        raise refusal
    try:
        # Only the very text that was given out is taken, not all that decodes to the same bytes.
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        if urlsafe_b64encode(raw).decode().rstrip("=") != token:
            raise refusal
        after = raw[_SEAL_BYTES:].decode()
    except (Base64Error, UnicodeDecodeError):
        raise refusal from None
    if not any(hmac.compare_digest(raw[:_SEAL_BYTES], _seal_of(one, question, raw[_SEAL_BYTES:])) for one in secrets_of(secret)):
        raise refusal
    return after


def _seal_of(secret: bytes, question: Iterable[object], key: bytes) -> bytes:
    # repr keeps the parts apart, so that ("a", "b") and ("ab", "") are different questions.
    return hmac.digest(secret, repr(tuple(question)).encode() + b"\0" + key, "sha256")[:_SEAL_BYTES]


def page(
    read: Callable[[str | None, int], list[T]],
    key: Callable[[T], str],
    *,
    after: str | None,
    limit: int,
    keep: Callable[[T], bool] | None = None,
    size: Callable[[T], int] | None = None,
    most_size: int = 0,
) -> tuple[list[T], str | None]:
    """Up to `limit` items that `keep` accepts, and the key to go on after, None at the end.

    Where items have a `size`, those on a page have at most `most_size` together; one alone may be larger.

    `read(after, limit)` gives items in key order, as in `lambda after, limit: store.list(KIND, after=after, limit=limit)`.
    """
    found: list[T] = []
    room = most_size
    stride = limit + 1 if keep is None else max(limit + 1, _STRIDE)
    while True:
        batch = read(after, stride)
        for item in batch:
            if keep is None or keep(item):
                room -= size(item) if size is not None else 0
                if len(found) == limit or (room < 0 and found):
                    return found, key(found[-1])
                found.append(item)
        if len(batch) < stride:
            return found, None
        after = key(batch[-1])
