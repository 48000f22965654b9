"""Health checks of gRPC targets: an empty message to a method, and the status that comes back. Pure.

The status stands in trailers, which HAProxy's own HTTP checks do not look at. So the check is made of bytes: one request of
HTTP/2, and a look through the bytes of the answer for `grpc-status`. Such a check runs in HAProxy itself, with its intervals
and thresholds, whether anybody watches or not.
"""

from __future__ import annotations

from collections.abc import Iterable

from longshore.balancer import hpack
from longshore.services.elbv2.model import HealthCheck

#: grpc-status as it is and in Huffman's code, each with its length in front
_NAMES = (b"\x0bgrpc-status", bytes.fromhex("889acac8b21234da8f"))
#: what gRPC knows; others can be accepted, too
_KNOWN_CODES = range(17)
_ALL_CODES = range(100)
_POST = 0x83
_FURTHER = (
    (b"\x0f\x10" + hpack.text(b"application/grpc"))
    + (b"\x00" + hpack.text(b"te") + hpack.text(b"trailers"))
    + hpack.user_agent(b"ELB-HealthChecker/2.0")
)
#: one message of no bytes, and the end
_MESSAGE = hpack.frame(hpack.DATA, hpack.END_STREAM, bytes(5))


def request(check: HealthCheck, authority: str) -> bytes:
    """What a server is asked."""
    return _head(check) + hpack.frame(hpack.CONTINUATION, hpack.END_HEADERS, hpack.authority(authority) + _FURTHER) + _MESSAGE


def code_in(answer: bytes) -> int | None:
    """The status in what a server has answered so far; None as long as there is none."""
    found = (code for name in _NAMES for code in _ALL_CODES if any(name + form(code) in answer for form in (hpack.plain, hpack.huffman)))
    return next(found, None)


def check_lines(check: HealthCheck, authority: str) -> list[str]:
    """`authority` is a sample: whom the server is asked as. A status that is not accepted is told, as far as gRPC knows it."""
    accepted = [code for code in _ALL_CODES if _accepts(check.http_codes, code)]
    byte = "hex,bytes(14,2)"  # the last two digits of sixteen
    rest = f"%[{authority},length,add({len(_FURTHER) + 2}),{byte}]{hpack.CONTINUATION:02x}{hpack.END_HEADERS:02x}00000001"
    name = f"01%[{authority},length,{byte}]%[{authority},hex]"
    question = f"{_head(check).hex()}0000{rest}{name}{_FURTHER.hex()}{_MESSAGE.hex()}"
    known = "tcp-check expect min-recv 1 error-status L7STS"
    return [
        "option tcp-check",
        "tcp-check connect default",
        f"tcp-check send-binary-lf '{question}'",
        # Until the whole answer is there; then it is the same for all that follow.
        f"tcp-check expect rbinary '{_pattern(_ALL_CODES)}'",
        *(f"{known} status-code int({code}) ! rbinary '{_pattern([code])}'" for code in _KNOWN_CODES if code not in accepted),
        f"{known} rbinary '{_pattern(accepted)}'",
    ]


def _head(check: HealthCheck) -> bytes:
    """All that does not depend on who is asked."""
    return hpack.preface() + hpack.frame(hpack.HEADERS, 0, hpack.request_line(_POST, check.protocol, check.path))


def _accepts(codes: str, code: int) -> bool:
    parts = (part.partition("-") for part in codes.split(","))
    return any(int(first) <= code <= int(last or first) for first, _, last in parts)


def _pattern(codes: Iterable[int]) -> str:
    values = "|".join(form(code).hex() for code in codes for form in (hpack.plain, hpack.huffman))
    return f"(?i)(?:{'|'.join(name.hex() for name in _NAMES)})(?:{values})"
