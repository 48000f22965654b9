"""Elastic Load Balancing v2 as served. Importing `longshore.services.elbv2.operations` declares every operation here."""

from __future__ import annotations

from longshore.aws.operation import Api

api = Api("elbv2", action_prefix="elasticloadbalancing")
