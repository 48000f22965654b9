"""XML text: escaping and the written forms of times and bytes, for the writers in the generated shapes."""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import UTC, datetime

_SPECIAL = re.compile("[&<>\"'\r\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u2028\ud800-\udfff\ufffe\uffff]")
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def escape(text: str) -> str:
    """`text` as character data or attribute value; what XML 1.0 cannot carry at all becomes U+FFFD."""
    return _SPECIAL.sub(_reference, text) if _SPECIAL.search(text) else text


def _reference(match: re.Match[str]) -> str:
    character = match.group()
    if character in _NAMED:
        return _NAMED[character]
    return "\ufffd" if _FORBIDDEN.match(character) else f"&#{ord(character)};"


def iso8601(epoch_s: float) -> str:
    """`2024-01-31T12:00:00Z`, with milliseconds where there are any."""
    milliseconds = round(epoch_s * 1000)
    at = datetime.fromtimestamp(milliseconds // 1000, UTC)
    rest = milliseconds % 1000
    # Not strftime: it writes years before 1000 without their zeros.
    return f"{at.replace(tzinfo=None).isoformat()}.{rest:03d}Z" if rest else f"{at.replace(tzinfo=None).isoformat()}Z"


def boolean(value: bool) -> str:
    return "true" if value else "false"


def base64(value: bytes) -> str:
    return b64encode(value).decode()
