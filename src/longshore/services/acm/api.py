"""AWS Certificate Manager as served. Importing `longshore.services.acm.operations` declares every operation here."""

from __future__ import annotations

from longshore.aws.operation import Api

api = Api("acm")
