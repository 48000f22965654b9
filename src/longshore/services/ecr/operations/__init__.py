"""Importing this registers every operation served."""

from __future__ import annotations

from longshore.services.ecr.operations import (
    authorization,
    backfills,
    events,
    images,
    layers,
    lifecycle,
    lifecycle_extensions,
    policies,
    pull_through,
    referrers,
    remotes,
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
    "events",
    "images",
    "layers",
    "lifecycle",
    "lifecycle_extensions",
    "policies",
    "pull_through",
    "referrers",
    "remotes",
    "replication",
    "repositories",
    "scanning",
    "settings",
    "storage",
    "tags",
    "templates",
]
