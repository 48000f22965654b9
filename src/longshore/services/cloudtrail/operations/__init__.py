"""Importing this package declares every CloudTrail operation that is served."""

from longshore.services.cloudtrail.operations import events

__all__ = ["events"]
