"""Importing this package declares every STS operation that is served."""

from __future__ import annotations

from longshore.services.sts.operations import (
    federation,
    identity,
    keys,
    messages,
    revocations,
    roles,
    session_tokens,
    web_identity,
)

__all__ = ["federation", "identity", "keys", "messages", "revocations", "roles", "session_tokens", "web_identity"]
