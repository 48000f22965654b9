"""Policies and repositories for tests: short to write, whole on the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from longshore.services.ecr.lifecycle.policy import DAY_S, Policy, parse_policy
from longshore.services.ecr.lifecycle.stock import Stock
from longshore.services.ecr.manifests import OCI_INDEX, OCI_MANIFEST
from longshore.services.ecr.model import Image, Reference

NOW = 1_700_000_000.0
#: makes every policy long enough for the wire
_DESCRIPTION = "a rule of a test, described at such length that its policy is sent"
REPOSITORY = "us-east-1:000000000000:app/web"


def rule(priority: int, *, action: str = "expire", description: str = _DESCRIPTION, **selection: Any) -> dict[str, Any]:
    """`countUnit` is filled in where it belongs."""
    selection.setdefault("tagStatus", "any")
    if selection.get("countType", "").startswith("since"):
        selection.setdefault("countUnit", "days")
    act = {"type": action} | ({"targetStorageClass": "archive"} if action == "transition" else {})
    return {"rulePriority": priority, "description": description, "selection": selection, "action": act}


def keep(priority: int, count: int, **selection: Any) -> dict[str, Any]:
    return rule(priority, countType="imageCountMoreThan", countNumber=count, **selection)


def older(priority: int, days: int, **selection: Any) -> dict[str, Any]:
    return rule(priority, countType="sinceImagePushed", countNumber=days, **selection)


def text(*rules: Mapping[str, Any]) -> str:
    return json.dumps({"rules": rules})


def policy(*rules: Mapping[str, Any], allow_expire_since_pulled: bool = False) -> Policy:
    return parse_policy(text(*rules), allow_expire_since_pulled=allow_expire_since_pulled)


def days_ago(days: float | None, now: float = NOW) -> float | None:
    return None if days is None else now - days * DAY_S


def image(digest: str, age_days: float, *, parts: tuple[str, ...] = (), repository: str = REPOSITORY, **more: Any) -> Image:
    """With `parts`, an index of them."""
    return Image(
        repository=repository,
        digest=digest,
        media_type=OCI_INDEX if parts else OCI_MANIFEST,
        manifest_size=500,
        size=1_000,
        pushed_at=NOW - age_days * DAY_S,
        references=tuple(Reference(part, 500, is_manifest=True) for part in parts),
        **more,
    )


def stock(*images: Image, tags: Mapping[str, tuple[str, ...]] | None = None) -> Stock:
    return Stock.of(images, tags or {})
