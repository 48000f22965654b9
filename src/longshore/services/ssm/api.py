"""The Systems Manager API, as far as it is Parameter Store: what is declared here is served."""

from __future__ import annotations

from longshore.aws.operation import Api

api = Api("ssm")
