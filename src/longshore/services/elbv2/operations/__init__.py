"""Importing this package declares every operation of the API."""

from longshore.services.elbv2.operations import (
    attributes,
    capacity,
    limits,
    listener_tls,
    listeners,
    load_balancers,
    rules,
    tags,
    target_groups,
    targets,
    testing,
    trust_store_files,
    trust_stores,
)

__all__ = [
    "attributes",
    "capacity",
    "limits",
    "listener_tls",
    "listeners",
    "load_balancers",
    "rules",
    "tags",
    "target_groups",
    "targets",
    "testing",
    "trust_store_files",
    "trust_stores",
]
