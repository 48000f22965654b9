"""Importing this package declares every IAM operation that is served."""

from __future__ import annotations

from longshore.services.iam.operations import access_keys, policies, user_policies, users

__all__ = ["access_keys", "policies", "user_policies", "users"]
