"""Waiting that can be cut short."""

from __future__ import annotations

import asyncio

from longshore.kit.clock import Clock


async def pause(clock: Clock, seconds: float | None, wake: asyncio.Event) -> bool:
    """Until `wake` is set (True) or `seconds` have passed (False); None waits for `wake` alone."""
    if wake.is_set():
        return True
    if seconds is None:
        return await wake.wait()
    sleeping = asyncio.ensure_future(clock.sleep(max(0.0, seconds)))
    waking = asyncio.ensure_future(wake.wait())
    try:
        await asyncio.wait((sleeping, waking), return_when=asyncio.FIRST_COMPLETED)
    finally:
        sleeping.cancel()
        waking.cancel()
    return wake.is_set()
