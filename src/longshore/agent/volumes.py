"""The Docker volumes of a task: made once before its first container, removed with the task."""

from __future__ import annotations

import asyncio
import logging

from longshore.agent import messages
from longshore.agent.container_spec import Place, belongs_to_task, is_docker_volume, task_labels, volume_name
from longshore.runtime.base import InUse, Runtime, RuntimeFailure, RuntimeUnavailable

log = logging.getLogger("longshore.agent")


class VolumeFailure(RuntimeFailure):
    """A volume could not be made; the text is the engine's."""


class Volumes:
    def __init__(self, task: messages.Task, runtime: Runtime, place: Place) -> None:
        self._task = task
        self._runtime = runtime
        self._place = place
        self._making = asyncio.Lock()
        self._made = False

    async def make(self) -> None:
        """Raises VolumeFailure and RuntimeUnavailable. Containers that ask at the same time wait for one making."""
        async with self._making:
            if not self._made:
                for volume in self._task.volumes or ():
                    if is_docker_volume(volume):
                        await self._make(volume)
                self._made = True

    async def remove(self) -> None:
        """Those that were made for the task alone."""
        for volume in self._task.volumes or ():
            if belongs_to_task(volume):
                try:
                    await self._runtime.remove_volume(volume_name(self._task, volume))
                except InUse as error:
                    log.warning("%s: volume %s is left behind: %s", self._task.arn, volume.name, error)

    async def _make(self, volume: messages.Volume) -> None:
        given = volume.docker_volume_configuration or messages.DockerVolume()
        if not belongs_to_task(volume) and not given.autoprovision:
            if not await self._runtime.has_volume(volume.name):
                raise VolumeFailure(f"the shared volume {volume.name} does not exist, and autoprovision is not on")
            return
        labels = {**(given.labels or {}), **(task_labels(self._task, self._place) if belongs_to_task(volume) else {})}
        try:
            await self._runtime.create_volume(volume_name(self._task, volume), given.driver, given.driver_opts or {}, labels)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as error:
            raise VolumeFailure(str(error)) from error
