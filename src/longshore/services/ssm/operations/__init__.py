"""Importing this registers every operation served."""

from __future__ import annotations

from longshore.services.ssm.operations import labels, listing, parameters, tags

__all__ = ["labels", "listing", "parameters", "tags"]
