"""Client tokens: who asks twice with the same one, because the first answer never came, gets what the first request made.

What is kept is the token with a digest of everything that was asked with it, so that nothing of the request needs to be compared,
and nothing it names needs to be there any more. A token that comes with another request is a mistake of its sender.
"""

from __future__ import annotations

import re
from hashlib import sha256

import msgspec

from longshore.services.ecs.errors import InvalidParameterException

_TOKEN = re.compile(r"[\x21-\x7e]{1,64}")


def kept_token(token: str | None, request: msgspec.Struct, *, most: int = 64) -> str:
    """As it is kept; empty without one. Raises InvalidParameterException."""
    if not token:
        return ""
    if not _TOKEN.fullmatch(token) or len(token) > most:
        raise InvalidParameterException(f"The clientToken is up to {most} ASCII characters without blanks.")
    return f"{token}|{sha256(msgspec.json.encode(request)).hexdigest()[:16]}"


def bare_token(kept: str) -> str:
    """The client's own, without the digest."""
    return kept.rpartition("|")[0]
