"""Every test here runs over every store there is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longshore.store.base import Store
from longshore.store.memory import memory_store
from longshore.store.sqlite import open_store
from tests.store.parcels import KINDS


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store = memory_store(KINDS) if request.param == "memory" else await open_store(tmp_path, KINDS)
    yield opened
    await opened.close()
