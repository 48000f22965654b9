"""Messages on agent sockets: `{"type": NAME, "message": {…}}` both ways, one to a text frame (agent protocol §2.2)."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import msgspec

log = logging.getLogger("longshore.gateway.agents")


class Message(NamedTuple):
    kind: str
    content: dict[str, Any]


def read_frame(frame: str | bytes, sender: str) -> Message | None:
    """What `sender` says; None, and a line in the log, for anything that is not a message: no frame ends a session."""
    try:
        received = msgspec.json.decode(frame)
        kind, content = received["type"], received["message"]
    except (msgspec.MsgspecError, UnicodeError, KeyError, TypeError, RecursionError):
        kind, content = None, None
    if isinstance(kind, str) and isinstance(content, dict):
        return Message(kind, content)
    log.warning("%s: a frame that is not a message: %.80r", sender, frame)
    return None


def written(kind: str, content: dict[str, Any]) -> str:
    return msgspec.json.encode({"type": kind, "message": content}).decode()
