"""Importing this package declares every operation of the API."""

from __future__ import annotations

from longshore.services.acm.operations import certificates

__all__ = ["certificates"]
