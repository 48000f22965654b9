"""What ends an agent's session, whichever socket it is on: its instance is deregistered, or one of its parts is done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from longshore.services.ecs.model import CONTAINER_INSTANCES, ContainerInstance, scope_of
from longshore.store.base import Store

log = logging.getLogger("longshore.gateway.agents")


async def until_deregistered(store: Store, instance: ContainerInstance) -> None:
    """Returns once `instance` is INACTIVE. A row that is gone says nothing: a reset takes it away and puts it back."""
    watch = store.watch(CONTAINER_INSTANCES, index="ec2_instance", value=f"{scope_of(instance.arn)}:{instance.ec2_instance_id}")
    try:
        while True:
            present = store.get(CONTAINER_INSTANCES, instance.arn)
            if present is not None and present.status == "INACTIVE":
                return
            await watch.next()
    finally:
        watch.close()


async def until_first_ends(session: str, **parts: Coroutine[Any, Any, None]) -> None:
    """Runs the parts of a session side by side until one of them ends, then ends the others."""
    jobs = [asyncio.create_task(part, name=f"{session}:{name}") for name, part in parts.items()]
    try:
        done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        for job in done:
            error = None if job.cancelled() else job.exception()
            if error is not None and not isinstance(error, ConnectionError):
                log.warning("%s ended: %r", job.get_name(), error)
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
