"""The Secrets Manager API: what is declared here is served."""

from __future__ import annotations

from longshore.aws.operation import Api

api = Api("secretsmanager")
