"""Importing this registers every operation served."""

from __future__ import annotations

from longshore.services.ecr.operations import authorization, images, layers, policies, referrers, repositories, settings, storage, tags

__all__ = ["authorization", "images", "layers", "policies", "referrers", "repositories", "settings", "storage", "tags"]
