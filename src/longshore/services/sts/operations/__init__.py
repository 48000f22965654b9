"""Importing this package declares every STS operation that is served."""

from __future__ import annotations

from longshore.services.sts.operations import identity, keys, messages, roles, session_tokens

__all__ = ["identity", "keys", "messages", "roles", "session_tokens"]
