"""What a task's containers are made from: their images, and the requests they are created with.

Everything they need comes first: the network and the control group of the task, its volumes, the secrets of its owner. Each of these may be
asked for once more at any time, as after a crash between two of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from longshore.agent import messages
from longshore.agent.api import PlatformUnreachable
from longshore.agent.container_spec import NAME_LABEL, Fetched, Place, container_name, create_body, resolvers, task_labels
from longshore.agent.credentials import RoleCredentialsStore
from longshore.agent.images import CannotPull, Images, Ready
from longshore.agent.journal import Journal
from longshore.agent.ports import Ports
from longshore.agent.secrets import CannotFetch, SecretStores, fetch, registry_login
from longshore.agent.sharing import PAUSE, has_interface, holder_body, is_internal, join, needs_pause
from longshore.agent.task_network import TaskNetwork
from longshore.agent.volumes import Volumes
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.runtime import pause_image
from longshore.runtime.base import RegistryAuth, Runtime, RuntimeUnavailable

if TYPE_CHECKING:
    from longshore.agent.task import TaskJob


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every task of an agent works with."""

    runtime: Runtime
    images: Images
    credentials: RoleCredentialsStore
    stores: SecretStores
    network: TaskNetwork
    journal: Journal
    clock: Clock
    ids: Ids
    place: Place
    #: the task has changed in a way that is to be reported
    report: Callable[[TaskJob], None]
    #: the health of one of its containers has changed
    health_changed: Callable[[TaskJob], None]
    #: for ranges of this agent's tasks
    ports: Ports


#: the first host port chosen for each range of container ports
HostRanges = Callable[[messages.Container], Mapping[str, int]]


class Making:
    """Of one task. Methods raise CannotFetch, RuntimeUnavailable, and RuntimeFailure or a kind of it."""

    def __init__(self, task: messages.Task, around: Surroundings) -> None:
        self._task = task
        self._around = around
        self.volumes = Volumes(task, around.runtime, around.place)

    @property
    def group_name(self) -> str:
        """Of the control group that limits the task: its id."""
        return self._task.arn.rpartition("/")[2]

    # ── images ──

    async def image(self, container: messages.Container) -> Ready:
        """Raises CannotPull."""
        role = self._around.credentials.for_execution(self._task)
        return await self._around.images.get(container.image, container.registry_authentication, role, await self._login(container))

    async def holder_image(self, image: str) -> Ready:
        """Of the container that holds what the others share: it comes from nowhere but this program. Raises CannotPull."""
        machine = os.uname().machine
        archive = pause_image.archive(machine)
        if archive is None:
            raise CannotPull("ResourceInitializationError", f"there is no pause program for {machine}")
        found = await self._around.runtime.image(image)
        if found is None:
            await self._around.runtime.load_image(image, archive)
        return Ready(image, found.id if found is not None else "", "")

    async def _login(self, container: messages.Container) -> RegistryAuth | None:
        """To a private registry, with what a secret says."""
        authentication = container.registry_authentication
        if authentication is None or authentication.type != "asm":
            return None
        given = authentication.asm_auth_data or messages.AsmAuth()
        try:
            return await registry_login(self._around.stores, container.image, given, self._execution_role())
        except PlatformUnreachable as error:
            raise RuntimeUnavailable(str(error)) from error

    # ── what is created ──

    async def body(self, container: messages.Container, image: str, host_ranges: HostRanges) -> dict[str, Any]:
        """What to create a container from. Raises what `host_ranges` raises, too."""
        task, place = self._task, self._around.place
        parent = await self._group()
        if is_internal(container.name):
            if has_interface(task):
                await self._around.network.make()
            labels = {**task_labels(task, place), NAME_LABEL: container.name}
            return holder_body(task, place.instance_id, image, labels, parent, resolvers(place, task.network_mode or ""))
        await self.volumes.make()
        fetched = await self._fetched(container)
        body = create_body(task, container, place, image, host_ranges(container), parent=parent, fetched=fetched)
        return join(task, body, container_name(task, PAUSE)) if needs_pause(task) else body

    async def _group(self) -> str:
        """What limits the task as a whole; "" when nothing does, or each container is limited by itself."""
        if not (self._task.cpu or self._task.memory):
            return ""
        return await self._around.runtime.create_group(self.group_name, self._task.cpu or 0.0, self._task.memory or 0)

    async def _fetched(self, container: messages.Container) -> Fetched:
        if not container.secrets:
            return Fetched()
        try:
            return await fetch(self._around.stores, container.secrets, self._execution_role())
        except PlatformUnreachable as error:
            raise RuntimeUnavailable(str(error)) from error

    def _execution_role(self) -> messages.RoleCredentials:
        role = self._around.credentials.for_execution(self._task)
        if role is None and self._task.execution_role_credentials is not None:
            raise RuntimeUnavailable("the credentials of its execution role have not come yet")
        if role is None:
            raise CannotFetch("asm", "the task has no execution role")
        return role

    # ── what remains of it ──

    async def remove(self) -> None:
        """The volumes and the control group that were the task's alone, after its containers."""
        await self.volumes.remove()
        if self._task.cpu or self._task.memory:
            await self._around.runtime.remove_group(self.group_name)
