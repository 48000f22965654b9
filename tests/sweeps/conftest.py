"""The furnished house, once a session: rows are immutable, so every test may start from the same ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.sweeps.installation import House, Installation, furnish


@pytest.fixture(scope="session")
def house() -> House:
    return asyncio.run(furnish())


@pytest.fixture
async def there(house: House) -> AsyncIterator[Installation]:
    async with Installation.restored(house.rows, house.blobs) as made:
        yield made
