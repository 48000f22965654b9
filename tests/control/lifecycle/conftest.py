"""A repository and its controller, new for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.services.ecr.lifecycle.yard import Yard, yard


@pytest.fixture
async def there() -> AsyncIterator[Yard]:
    async with yard() as made:
        yield made
