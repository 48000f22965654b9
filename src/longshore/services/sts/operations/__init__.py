"""Importing this package declares every STS operation that is served."""

from __future__ import annotations

from longshore.services.sts.operations import identity

__all__ = ["identity"]
