"""Signature Version 4, sans-I/O: who signed a request, and how to sign one of our own.

The steps are AWS's: canonical request → string to sign → HMAC with a key derived from the secret, the day, the region and
the service (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html). A signature stands
in the Authorization header or, presigned, in the query string.

One reading of a request is signed and the same reading is served: `+` in a query is a blank, a repeated header is joined
with commas, and a header or parameter that must stand once is refused when it stands twice. What clients repeat from
request to request (the Authorization header up to its signature, the derived key, the timestamp) is worked out once and
kept in bounded caches; a header verification then costs three SHA-256 runs over short texts and little else.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import unquote

from longshore.aws.canonical import (
    ALGORITHM,
    TERMINATOR,
    Claim,
    canonical_pairs,
    canonical_query,
    canonical_request,
    folded,
    signature_of,
    string_to_sign,
)
from longshore.aws.errors import (
    AwsError,
    IncompleteSignature,
    InvalidClientTokenId,
    MissingAuthenticationToken,
    RequestExpired,
    SignatureDoesNotMatch,
)

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = sha256(b"").hexdigest()
#: how far a client's clock may be from ours
SKEW_S = 15 * 60
#: the longest life of a presigned request
PRESIGNED_MOST_S = 7 * 24 * 3600

#: they must stand at most once, since what reads them later takes one value
_SINGLE = frozenset({"host", "authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "x-amz-target"})
#: x-amz- headers that may stay out of SignedHeaders: the token is checked against the credential, the hash is part of what is signed
_BOUND_OTHERWISE = frozenset({"x-amz-security-token", "x-amz-content-sha256"})

_TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_REGION = re.compile(r"[a-z0-9-]{1,32}")
_SERVICE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")


class ExpiredToken(AwsError):
    """The security token included in the request is expired"""

    status = 403
    spelled = {"json": ("ExpiredTokenException", 400), "ec2": ("RequestExpired", 400)}


class SignedRequest(NamedTuple):
    """A request as it came: the path and the query percent-encoded as sent (without the `?`), headers in their order."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes = b""
    #: lower-case hexadecimal SHA-256 of the body, where it was worked out while the body streamed in
    body_sha256: str | None = None


class Secret(NamedTuple):
    """What belongs to an access key id. A session token and its expiry (epoch seconds) come with temporary credentials."""

    secret_access_key: str
    session_token: str | None = None
    expires_at: float | None = None

    def __repr__(self) -> str:
        return "Secret(…)"


class Identity(NamedTuple):
    """Whose key signed, and for which region and service."""

    access_key_id: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    presigned: bool


Lookup = Callable[[str], Secret | None]


def verify(request: SignedRequest, lookup: Lookup, now: float, *, unsigned_payload: bool = False) -> Identity:
    """Who signed `request`; `now` is epoch seconds, `unsigned_payload` allows UNSIGNED-PAYLOAD.

    Raises MissingAuthenticationToken, IncompleteSignature, InvalidClientTokenId, ExpiredToken, RequestExpired or
    SignatureDoesNotMatch, in AWS's words.
    """
    headers = _single_headers(request.headers)
    authorization = headers.get("authorization")
    if authorization is None:
        if "X-Amz-" in request.query:
            return _verify_presigned(request, headers, lookup, now, unsigned_payload)
        raise MissingAuthenticationToken()
    if "X-Amz-Signature=" in request.query:
        raise IncompleteSignature("Only one auth mechanism allowed; a request is signed in its header or in its query string, not in both.")
    claim, signature = _read_authorization(authorization, "x-amz-date" in headers or "date" in headers)
    timestamp, signed_at = _header_time(headers)
    secret = _secret_of(claim, lookup, headers.get("x-amz-security-token"), now)
    _check_scope_date(claim, timestamp)
    _check_skew(timestamp, signed_at, now)
    _check_signed_headers(claim, headers)
    payload = _payload_hash(request, headers, unsigned_payload)
    query = canonical_query(request.query) if request.query else ""
    canonical = canonical_request(request.method, request.path, query, headers, claim, payload)
    _check_signature(signature, canonical, timestamp, claim, secret)
    return Identity(claim.access_key_id, claim.region, claim.service, claim.signed_headers, False)


def sign(
    method: str,
    path: str,
    query: str,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    *,
    access_key_id: str,
    secret_access_key: str,
    region: str,
    service: str,
    now: float,
    session_token: str | None = None,
) -> dict[str, str]:
    """The headers to add to a request of our own: X-Amz-Date, Authorization and, with a session token, X-Amz-Security-Token.

    Every header given is signed, so give those that arrive unchanged; `Host` (with its port) must be among them. Path and
    query are percent-encoded as they will be sent.
    """
    timestamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    added = {"X-Amz-Date": timestamp}
    if session_token is not None:
        added["X-Amz-Security-Token"] = session_token
    values = _single_headers([*headers, *added.items()])
    if "host" not in values:
        raise ValueError("a signed request needs its Host header")
    scope = f"{timestamp[:8]}/{region}/{service}/{TERMINATOR}"
    claim = Claim(access_key_id, timestamp[:8], region, service, scope, tuple(sorted(values)))
    payload = values.get("x-amz-content-sha256") or sha256(body).hexdigest()
    canonical = canonical_request(method, path, canonical_query(query), values, claim, payload)
    signature = signature_of(string_to_sign(canonical, timestamp, claim), claim, secret_access_key)
    added["Authorization"] = (
        f"{ALGORITHM} Credential={access_key_id}/{scope}, SignedHeaders={';'.join(claim.signed_headers)}, Signature={signature}"
    )
    return added


# ── reading what was sent ────────────────────────────────────────────────────────────────────────────────────────────


def _single_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Values by lower-case name, repeated ones joined."""
    values: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key in values:
            if key in _SINGLE:
                raise IncompleteSignature(f"The header '{key}' must not be repeated.")
            value = f"{folded(values[key])},{folded(value)}"
        values[key] = value
    return values


def _read_authorization(header: str, dated: bool) -> tuple[Claim, str]:
    """The claims and the signature. Clients end with the signature, so all before it repeats and is read once."""
    prefix, found, signature = header.partition("Signature=")
    if found and "," in signature:
        signature, _, rest = signature.partition(",")
        prefix += rest
        found = "" if "Signature=" in rest else found
    claim = _read_prefix(prefix.rstrip(" ,")) if found and dated else None
    if claim is None:
        raise _incomplete(header, dated)
    return claim, signature.strip()


@lru_cache(maxsize=4096)
def _read_prefix(prefix: str) -> Claim | None:
    """The claims in `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…`; None when one of them is missing or stands twice."""
    algorithm, _, rest = prefix.partition(" ")
    if algorithm != ALGORITHM:
        raise IncompleteSignature(f"Unsupported AWS 'algorithm': '{algorithm}'.")
    parts: dict[str, str] = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or name in parts:
            return None
        parts[name] = value
    if set(parts) != {"Credential", "SignedHeaders"} or not parts["Credential"] or not parts["SignedHeaders"]:
        return None
    return _read_claim(parts["Credential"], parts["SignedHeaders"])


def _read_claim(credential: str, signed_headers: str) -> Claim:
    elements = credential.rsplit("/", 4)
    if len(elements) != 5:
        raise IncompleteSignature(
            f"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{credential}'"
        )
    access_key_id, date, region, service, terminator = elements
    if terminator != TERMINATOR:
        raise SignatureDoesNotMatch(f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'.")
    if not _REGION.fullmatch(region):
        raise SignatureDoesNotMatch(f"Credential should be scoped to a valid region, not '{region}'. ")
    if not _SERVICE.fullmatch(service):
        raise SignatureDoesNotMatch("Credential should be scoped to correct service. ")
    names = tuple(signed_headers.split(";"))
    if "host" not in names:
        raise SignatureDoesNotMatch("'Host' must be a 'SignedHeader' in the AWS Authorization.")
    return Claim(access_key_id, date, region, service, f"{date}/{region}/{service}/{terminator}", names)


def _incomplete(header: str, dated: bool) -> IncompleteSignature:
    reasons = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if f"{name}=" not in header
    ]
    if not dated:
        reasons.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if not reasons:
        reasons.append("Authorization header parameters must each stand once, as name=value, separated by commas.")
    shown = sha256(header.encode("utf-8", "surrogateescape")).hexdigest()
    return IncompleteSignature(f"{' '.join(reasons)} (Hashed with SHA-256) Authorization={shown}")


def _header_time(headers: dict[str, str]) -> tuple[str, float]:
    """(ISO 8601 basic timestamp, epoch seconds); X-Amz-Date wins over Date."""
    text = headers.get("x-amz-date")
    if text is not None:
        return text, _epoch(text)
    text = headers["date"]
    if _TIMESTAMP.fullmatch(text):
        return text, _epoch(text)
    try:
        moment = parsedate_to_datetime(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _bad_date(text) from error
    return moment.strftime("%Y%m%dT%H%M%SZ"), moment.timestamp()


@lru_cache(maxsize=1024)
def _epoch(timestamp: str) -> float:
    if not _TIMESTAMP.fullmatch(timestamp):
        raise _bad_date(timestamp)
    year, month, day = int(timestamp[:4]), int(timestamp[4:6]), int(timestamp[6:8])
    try:
        moment = datetime(year, month, day, int(timestamp[9:11]), int(timestamp[11:13]), int(timestamp[13:15]), tzinfo=UTC)
    except ValueError as error:
        raise _bad_date(timestamp) from error
    return moment.timestamp()


def _bad_date(text: str) -> IncompleteSignature:
    return IncompleteSignature(f"Date must be in ISO-8601 'basic format'. Got '{text}'. See http://en.wikipedia.org/wiki/ISO_8601")


# ── the presigned form ───────────────────────────────────────────────────────────────────────────────────────────────

_QUERY_PARAMETERS = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date", "X-Amz-Expires")


def _verify_presigned(request: SignedRequest, headers: dict[str, str], lookup: Lookup, now: float, unsigned_payload: bool) -> Identity:
    pairs = canonical_pairs(request.query)
    given = _presigned_parameters(pairs)
    if given["X-Amz-Algorithm"] != ALGORITHM:
        raise IncompleteSignature(f"Unsupported AWS 'algorithm': '{given['X-Amz-Algorithm']}'.")
    claim = _read_claim(given["X-Amz-Credential"], given["X-Amz-SignedHeaders"])
    timestamp = given["X-Amz-Date"]
    signed_at = _epoch(timestamp)
    secret = _secret_of(claim, lookup, given.get("X-Amz-Security-Token") or headers.get("x-amz-security-token"), now)
    _check_scope_date(claim, timestamp)
    _check_lifetime(timestamp, signed_at, now, _expires_s(given["X-Amz-Expires"]))
    _check_signed_headers(claim, headers)
    if unsigned_payload and claim.service == "s3" and "x-amz-content-sha256" not in headers:
        payload = UNSIGNED_PAYLOAD
    else:
        payload = _payload_hash(request, headers, unsigned_payload)
    query = "&".join([f"{name}={value}" for name, _, value in pairs if name != "X-Amz-Signature"])
    canonical = canonical_request(request.method, request.path, query, headers, claim, payload)
    _check_signature(given["X-Amz-Signature"], canonical, timestamp, claim, secret)
    return Identity(claim.access_key_id, claim.region, claim.service, claim.signed_headers, True)


def _presigned_parameters(pairs: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    """The X-Amz- parameters, decoded; every required one exactly once."""
    given: dict[str, str] = {}
    for name, _, value in pairs:
        if name.startswith("X-Amz-"):
            if name in given:
                raise IncompleteSignature(f"AWS query-string parameters must not repeat '{name}'. Re-examine the query-string parameters.")
            given[name] = unquote(value) if "%" in value else value
    missing = [f"AWS query-string parameters must include '{name}'." for name in _QUERY_PARAMETERS if not given.get(name)]
    if missing:
        raise IncompleteSignature(f"{' '.join(missing)} Re-examine the query-string parameters.")
    return given


def _expires_s(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise IncompleteSignature("X-Amz-Expires should be a number")
    seconds = int(text) if len(text) < 10 else PRESIGNED_MOST_S + 1
    if seconds > PRESIGNED_MOST_S:
        raise IncompleteSignature(
            "X-Amz-Expires must be less than a week (in seconds); that is, "
            f"the given X-Amz-Expires must be less than {PRESIGNED_MOST_S} seconds"
        )
    return seconds


# ── the checks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _secret_of(claim: Claim, lookup: Lookup, token: str | None, now: float) -> Secret:
    secret = lookup(claim.access_key_id)
    if secret is None:
        raise InvalidClientTokenId()
    if secret.session_token is not None or token is not None:
        expected = (secret.session_token or "").encode()
        if not hmac.compare_digest(expected, (token or "").encode("utf-8", "surrogateescape")) or not expected:
            raise InvalidClientTokenId()
    if secret.expires_at is not None and now >= secret.expires_at:
        raise ExpiredToken()
    return secret


def _check_scope_date(claim: Claim, timestamp: str) -> None:
    if claim.date != timestamp[:8]:
        raise SignatureDoesNotMatch(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{claim.date}' != '{timestamp[:8]}', from '{timestamp}'."
        )


def _check_skew(timestamp: str, signed_at: float, now: float) -> None:
    if signed_at < now - SKEW_S:
        raise RequestExpired(
            f"Signature expired: {timestamp} is now earlier than {_stamp(now - SKEW_S)} ({_stamp(now)} - {SKEW_S // 60} min.)"
        )
    _check_begun(timestamp, signed_at, now)


def _check_begun(timestamp: str, signed_at: float, now: float) -> None:
    if signed_at > now + SKEW_S:
        raise RequestExpired(
            f"Signature not yet current: {timestamp} is still later than {_stamp(now + SKEW_S)} ({_stamp(now)} + {SKEW_S // 60} min.)"
        )


def _check_lifetime(timestamp: str, signed_at: float, now: float, expires_s: int) -> None:
    if signed_at + expires_s < now:
        raise RequestExpired(
            f"Signature expired: {timestamp} is now earlier than {_stamp(now - expires_s)} ({_stamp(now)} - {expires_s} sec.)"
        )
    _check_begun(timestamp, signed_at, now)


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")


def _check_signed_headers(claim: Claim, headers: dict[str, str]) -> None:
    """Every header named as signed was sent, and no x-amz- header was slipped in beside them."""
    for name in claim.signed_headers:
        if name not in headers:
            raise SignatureDoesNotMatch(f"The signed header '{name}' was not sent with the request.")
    for name in headers.keys() - claim.signed_headers:
        if name.startswith("x-amz-") and name not in _BOUND_OTHERWISE:
            raise SignatureDoesNotMatch(f"There were headers present in the request which were not signed: {name}")


def _payload_hash(request: SignedRequest, headers: dict[str, str], unsigned_payload: bool) -> str:
    """The hash that the canonical request ends with, once it is known to be the body's."""
    claimed = headers.get("x-amz-content-sha256")
    if claimed == UNSIGNED_PAYLOAD and unsigned_payload:
        return UNSIGNED_PAYLOAD
    actual = request.body_sha256
    if actual is None:
        actual = sha256(request.body).hexdigest() if request.body else EMPTY_SHA256
    if claimed is not None and claimed.lower() != actual:
        raise SignatureDoesNotMatch("The provided 'x-amz-content-sha256' header does not match what was computed.")
    return claimed if claimed is not None else actual


def _check_signature(signature: str, canonical: str, timestamp: str, claim: Claim, secret: Secret) -> None:
    to_sign = string_to_sign(canonical, timestamp, claim)
    expected = signature_of(to_sign, claim, secret.secret_access_key)
    if not _SIGNATURE.fullmatch(signature) or not hmac.compare_digest(expected, signature):
        words = " ".join((SignatureDoesNotMatch.__doc__ or "").split())
        raise SignatureDoesNotMatch(
            f"{words}\n\nThe Canonical String for this request should have been\n'{canonical}'\n\n"
            f"The String-to-Sign should have been\n'{to_sign}'\n"
        )
