"""Times as events write them: answers of the API have seconds since the epoch, events have text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any


@lru_cache(4096)
def _second(whole: int) -> str:
    """Many things happen in one second, and it is told of for long."""
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}"


def iso(moment: float) -> str:
    """2026-11-28T09:30:00.125Z"""
    whole, millis = divmod(round(moment * 1000), 1000)
    return f"{_second(whole)}.{millis:03d}Z"


def iso_seconds(moment: float) -> str:
    """2026-11-28T09:30:00Z"""
    return f"{_second(int(moment))}Z"


def with_iso_times(detail: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """`detail` with the members `names`, where they are there, as text."""
    for name in names:
        moment = detail.get(name)
        if moment is not None:
            detail[name] = iso(moment)
    return detail
