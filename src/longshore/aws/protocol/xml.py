"""XML text: escaping and the written forms of times and bytes, for the writers in the generated shapes."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

# A carriage return has to be a reference: parsers turn a literal one into a line feed.
_SPECIAL = re.compile("[&<>\"'\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REFERENCES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;", "\r": "&#13;"}
_is_special = _SPECIAL.search


def escape(text: str) -> str:
    """`text` as character data or attribute value; what XML 1.0 cannot carry at all becomes U+FFFD."""
    return _SPECIAL.sub(_reference, text) if _is_special(text) else text


def _reference(match: re.Match[str]) -> str:
    return _REFERENCES.get(match.group(), "\ufffd")


def iso8601(epoch_s: float) -> str:
    """`2024-01-31T12:00:00Z`, with milliseconds where there are any."""
    milliseconds = round(epoch_s * 1000)
    at = datetime.fromtimestamp(milliseconds // 1000, UTC).replace(tzinfo=None)
    rest = milliseconds % 1000
    return f"{at.isoformat()}.{rest:03d}Z" if rest else f"{at.isoformat()}Z"


def boolean(value: bool) -> str:
    return "true" if value else "false"


def base64(value: bytes) -> str:
    return b64encode(value).decode()


def error_members(members: Mapping[str, Any]) -> str:
    """The members of an error, whose values are text, numbers, booleans or lists of them."""
    return "".join(f"<{name}>{_error_value(value)}</{name}>" for name, value in members.items())


def _error_value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "".join(f"<member>{_error_value(item)}</member>" for item in value)
    return boolean(value) if isinstance(value, bool) else escape(str(value))
