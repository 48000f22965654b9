"""Importing this registers every operation served."""

from __future__ import annotations

from longshore.services.ecr.operations import authorization, images, repositories, tags

__all__ = ["authorization", "images", "repositories", "tags"]
