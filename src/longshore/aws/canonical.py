"""The texts that Signature Version 4 signs: canonical path, query and request, the string to sign, and the key.

There is one canonical form of everything that means the same, so that what a proxy or a library rewrites on the way
(escapes, the order of parameters, blanks in headers) does not break a signature.
"""

from __future__ import annotations

import hmac
import re
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote, unquote, unquote_plus

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"

_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9_~.-]*)+/?")
#: pairs whose escapes are exactly the ones canonicalisation would write
_UNIT = r"(?:[A-Za-z0-9_.~-]|%(?:[0189A-F][0-9A-F]|2[0-9A-CF]|3[A-F]|40|5[B-E]|60|7[B-DF]))*"
_CANONICAL_QUERY = re.compile(rf"{_UNIT}={_UNIT}(?:&{_UNIT}={_UNIT})*")


class Claim(NamedTuple):
    """A signature's claims, from the header or the query."""

    access_key_id: str
    #: YYYYMMDD
    date: str
    region: str
    service: str
    #: DATE/REGION/SERVICE/aws4_request
    scope: str
    signed_headers: tuple[str, ...]


def canonical_request(method: str, path: str, query: str, headers: dict[str, str], claim: Claim, payload: str) -> str:
    names = claim.signed_headers
    lines = "\n".join([f"{name}:{headers[name]}" for name in names])
    if "  " in lines or ": " in lines or " \n" in lines or lines[-1] == " " or not lines.replace("\n", "", len(names) - 1).isprintable():
        lines = "\n".join([f"{name}:{folded(headers[name])}" for name in names])
    uri = "/" if path in ("/", "") else canonical_path(path, claim.service)
    return f"{method}\n{uri}\n{query}\n{lines}\n\n{';'.join(names)}\n{payload}"


def canonical_path(path: str, service: str) -> str:
    """The path as it is signed: normalised and encoded once more on top of how it was sent; for S3 neither."""
    if service == "s3":
        return quote(unquote(path, errors="surrogateescape"), safe="/-_.~", errors="surrogateescape")
    if _PLAIN_PATH.fullmatch(path):
        return path
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            segments[-1:] = []
        elif segment not in ("", "."):
            segments.append(quote(segment, safe="-_.~", errors="surrogateescape"))
    trailing = "/" if segments and path.endswith("/") else ""
    return f"/{'/'.join(segments)}{trailing}"


def canonical_query(query: str) -> str:
    """Pairs decoded, encoded in the one way of RFC 3986 and sorted."""
    return "&".join(["".join(pair) for pair in canonical_pairs(query)])


def canonical_pairs(query: str) -> list[tuple[str, str, str]]:
    """(name, "=", value), canonically encoded and sorted by name, then value."""
    if not query:
        return []
    if _CANONICAL_QUERY.fullmatch(query):
        return sorted([pair.partition("=") for pair in query.split("&")])
    pairs = []
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            pairs.append((_encoded(name), "=", _encoded(value)))
    return sorted(pairs)


def _encoded(text: str) -> str:
    return quote(unquote_plus(text, errors="surrogateescape"), safe="-_.~", errors="surrogateescape")


def string_to_sign(canonical: str, timestamp: str, claim: Claim) -> str:
    digest = sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{ALGORITHM}\n{timestamp}\n{claim.scope}\n{digest}"


def signature_of(string_to_sign: str, claim: Claim, secret_access_key: str) -> str:
    key = signing_key(secret_access_key, claim.date, claim.region, claim.service)
    return hmac.digest(key, string_to_sign.encode(), "sha256").hex()


@lru_cache(maxsize=1024)
def signing_key(secret_access_key: str, date: str, region: str, service: str) -> bytes:
    """The key of one day, region and service; kept under the secret itself, so a replaced secret cannot meet an old key."""
    key = f"AWS4{secret_access_key}".encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def folded(value: str) -> str:
    """The value as it is signed: blanks trimmed, and every run of them one blank."""
    return " ".join(value.split())
