"""Importing this registers every operation served."""

from __future__ import annotations

from longshore.services.secretsmanager.operations import listing, secrets, tags, values

__all__ = ["listing", "secrets", "tags", "values"]
