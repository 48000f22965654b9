"""Importing this package declares every operation of the API."""

from __future__ import annotations

from longshore.services.acm.operations import account, certificates, lifetime, listing, tags

__all__ = ["account", "certificates", "lifetime", "listing", "tags"]
