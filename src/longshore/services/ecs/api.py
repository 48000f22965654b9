"""Amazon ECS as served. Importing `longshore.services.ecs.operations` declares every operation here."""

from __future__ import annotations

from longshore.aws.operation import Api

api = Api("ecs")
