"""Elastic Load Balancing for Classic load balancers as served.

Importing `longshore.services.elb.operations` declares every operation here."""

from __future__ import annotations

from longshore.aws.operation import Api

api = Api("elb", action_prefix="elasticloadbalancing")
