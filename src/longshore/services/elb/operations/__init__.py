"""Importing this package declares every operation of the API."""

from longshore.services.elb.operations import instances, listeners, load_balancers, policies, settings

__all__ = ["instances", "listeners", "load_balancers", "policies", "settings"]
