"""IAM as served. Importing `longshore.services.iam.operations` declares every operation here."""

from __future__ import annotations

from longshore.aws.operation import Api

api = Api("iam")
