"""Importing this package declares every operation of the API."""

from longshore.services.elbv2.operations import (
    attributes,
    limits,
    listeners,
    load_balancers,
    rules,
    tags,
    target_groups,
    targets,
)

__all__ = ["attributes", "limits", "listeners", "load_balancers", "rules", "tags", "target_groups", "targets"]
