"""Clearing away what is of no use any more: containers of tasks that stopped a while ago, and images nobody runs.

Only images that this agent pulled are ever removed, and never by force: the engine keeps what another container, another
agent or another name still needs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import msgspec

from longshore.agent.engine import Engine
from longshore.agent.images import engine_reference
from longshore.agent.journal import Journal, PulledImage
from longshore.kit.clock import Clock
from longshore.runtime.base import Runtime, RuntimeFailure, RuntimeUnavailable

log = logging.getLogger("longshore.agent")


class Keeping(msgspec.Struct, frozen=True, kw_only=True):
    """How long things are kept (ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION and its like, with the same defaults)."""

    #: stopped containers, so that their logs can be read
    stopped_tasks_s: float = 3 * 3600.0
    #: an image that nothing of this agent has used for so long may go
    unused_images_s: float = 3600.0
    #: and at most so many of them in one go
    images_at_once: int = 5
    #: how often it is looked
    tasks_every_s: float = 60.0
    images_every_s: float = 1800.0


class Cleanup:
    def __init__(self, engine: Engine, runtime: Runtime, journal: Journal, clock: Clock, keeping: Keeping) -> None:
        self._engine = engine
        self._runtime = runtime
        self._journal = journal
        self._clock = clock
        self._keeping = keeping

    async def run(self) -> None:
        """For ever."""
        images_at = self._clock.now() + self._keeping.images_every_s
        while True:
            await self._clock.sleep(self._keeping.tasks_every_s)
            try:
                await self._engine.remove_stopped(self._clock.now() - self._keeping.stopped_tasks_s)
                if self._clock.now() >= images_at:
                    images_at = self._clock.now() + self._keeping.images_every_s
                    await self.remove_images()
            except RuntimeUnavailable as error:
                log.info("nothing cleared away: %s", error)
            except RuntimeFailure as error:
                log.warning("not everything could be cleared away: %s", error)

    async def remove_images(self) -> None:
        in_use = {engine_reference(container.image) for job in self._engine.jobs.values() for container in job.task.containers}
        for image in removable(self._journal.images.values(), in_use, self._clock.now(), self._keeping):
            try:
                await self._runtime.remove_image(image.id)
            except RuntimeUnavailable:
                raise
            except RuntimeFailure as error:
                log.info("image %s stays: %s", image.reference, error)
                continue
            self._journal.forget_image(image.id)
            log.info("image %s removed", image.reference)


def removable(images: Iterable[PulledImage], in_use: set[str], now: float, keeping: Keeping) -> list[PulledImage]:
    """Those that no task names and that were not used for long, the longest unused first."""
    idle = [image for image in images if image.reference not in in_use and now - image.used_at >= keeping.unused_images_s]
    return sorted(idle, key=lambda image: image.used_at)[: keeping.images_at_once]
