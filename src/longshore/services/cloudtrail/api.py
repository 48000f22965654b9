"""AWS CloudTrail as served. Importing `longshore.services.cloudtrail.operations` declares every operation here."""

from __future__ import annotations

from longshore.aws.operation import Api

api = Api("cloudtrail")
