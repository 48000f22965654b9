"""What ends an agent's session, whichever socket it is on: its instance is deregistered, or one of its parts is done. And what ends
anybody's session into a container."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.services.call import Principal
from longshore.services.ecs.acting import machine_of
from longshore.services.ecs.machines.model import MACHINES, machine_key
from longshore.services.ecs.model import CONTAINER_INSTANCES, ContainerInstance, scope_of
from longshore.services.iam.model import ACCESS_KEYS, ROLES, USERS
from longshore.services.keys.model import ROTATIONS
from longshore.services.keys.rotations import is_void
from longshore.services.sts.model import REVOCATIONS, Began
from longshore.services.sts.revocations import has_ended
from longshore.store.base import Store

log = logging.getLogger("longshore.gateway.agents")


#: a connection is closed at such an age, before its agent does that (after 30 to 35 minutes): who closes knows that the other comes back
LIFE_S = 25 * 60.0
#: agents that connected at once are not sent away at once
SPREAD_S = 4 * 60.0
#: a reset takes even the root's key away, and puts it back
RESET_S = 1.0


async def until_expired(clock: Clock, ids: Ids) -> None:
    """Returns when a connection has been open for long enough; the agent opens another without delay (agent protocol §2.3)."""
    await clock.sleep(LIFE_S + SPREAD_S * ids.fraction())


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


async def until_revoked(store: Store, principal: Principal) -> None:
    """Returns once a session has been ended, or the machine whose it is has, or all that was signed before; never for long-lived keys,
    which are asked about at each connection."""
    session = principal.session
    if session is None:
        await asyncio.Event().wait()
        return
    machine = machine_of(principal)
    key = machine_key(principal.account_id, machine)
    watch = store.watch(MACHINES, REVOCATIONS, ROTATIONS)
    try:
        while True:
            row = store.get(MACHINES, key) if machine else None
            if machine and (row is None or row.activated_at > session.issued_at):
                return
            if has_ended(store, session.links) or is_void(store, session.issued_at):
                return
            await watch.next()
    finally:
        watch.close()


async def until_unknown(store: Store, clock: Clock, owner: Callable[[str], Principal | None], principal: Principal) -> None:
    """Returns soon after the key, the user or the role is gone with which a connection was opened, or the key has become inactive."""
    session = principal.session
    credential = session.token if session is not None else principal.access_key_id
    watch = store.watch(ACCESS_KEYS, USERS, ROLES)
    try:
        while _is(owner(credential), principal):
            await watch.next()
            if not _is(owner(credential), principal):
                await clock.sleep(RESET_S)
    finally:
        watch.close()


def _is(found: Principal | None, principal: Principal) -> bool:
    return found is not None and (found.account_id, found.user_id) == (principal.account_id, principal.user_id)


async def until_cut(store: Store, links: Sequence[Began]) -> None:
    """Returns once one of the links has been, or all that was signed before."""
    watch = store.watch(REVOCATIONS, ROTATIONS)
    try:
        while not has_ended(store, links) and not any(is_void(store, link.at) for link in links):
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
