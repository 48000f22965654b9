"""ECR's operations over a store in memory, as their own tests have them."""

from tests.services.ecr.conftest import ecr

__all__ = ["ecr"]
