"""Importing this registers every operation served."""

from __future__ import annotations

from longshore.services.ecr.operations import (
    authorization,
    backfills,
    images,
    layers,
    lifecycle,
    policies,
    pull_through,
    referrers,
    replication,
    repositories,
    scanning,
    settings,
    storage,
    tags,
    templates,
)

__all__ = [
    "authorization",
    "backfills",
    "images",
    "layers",
    "lifecycle",
    "policies",
    "pull_through",
    "referrers",
    "replication",
    "repositories",
    "scanning",
    "settings",
    "storage",
    "tags",
    "templates",
]
