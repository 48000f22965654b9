"""Everything by which this agent is asked, put together: the entrance that containers share, and introspection for the machine.

An agent that gets no entrance works all the same: its containers are told of none, and the log says what is missing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from longshore.agent.api import Api
from longshore.agent.engine import Engine
from longshore.agent.metadata.endpoints import Endpoints
from longshore.agent.metadata.entrance import Entrance, NoEntrance, run_directory
from longshore.agent.metadata.introspection import Introspection
from longshore.agent.metadata.link import ADDRESS, Link
from longshore.agent.metadata.server import MetadataServer, Platform
from longshore.agent.metadata.views import Where
from longshore.agent.names.book import Book
from longshore.agent.names.follow import Keeper, Names, may_resolve, prepare
from longshore.agent.names.resolver import PORT
from longshore.config import AgentConfig, write_privately
from longshore.kit.clock import Clock
from longshore.kit.ids import RandomIds
from longshore.runtime.base import Runtime

log = logging.getLogger("longshore.agent")

_KEY_BYTES = 32


class Doors:
    def __init__(
        self,
        config: AgentConfig,
        runtime: Runtime,
        clock: Clock,
        trust: ssl.SSLContext | bool,
        entrance: Entrance | None,
        *,
        resolves: bool = False,
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._clock = clock
        self._trust = trust
        self._entrance = entrance
        self.link = Link(
            port=entrance.port if entrance is not None else 0,
            endpoint=config.endpoint,
            passes_on=is_passed_on(config.endpoint, private_authority=config.ca_bundle is not None),
            resolves=resolves,
            key=_key(config.data_dir / "metadata-key"),
        )

    @classmethod
    async def open(cls, config: AgentConfig, runtime: Runtime, clock: Clock, trust: ssl.SSLContext | bool) -> Doors:
        try:
            entrance = await Entrance.open(runtime, user_id=os.geteuid())
        except NoEntrance as error:
            log.error("containers get neither credentials nor metadata: %s (`longshore doctor` tells more)", error)
            return cls(config, runtime, clock, trust, None)
        return cls(config, runtime, clock, trust, entrance, resolves=await _resolves(config, clock))

    @property
    def is_open(self) -> bool:
        return self._entrance is not None

    async def close(self) -> None:
        if self._entrance is not None:
            await self._entrance.close(self._runtime)

    def forget(self) -> None:
        """Nothing of this agent is left here that could ask for a name."""
        if self.link.resolves:
            Book(run_directory(os.geteuid())).remove(self._config.instance_id)

    def serve(self, group: asyncio.TaskGroup, engine: Engine, api: Api, arn: str) -> None:
        """For as long as `group` runs; `arn` is the container instance's."""
        config = self._config
        if self._entrance is not None:
            where = Where(config.cluster, config.zone)
            endpoints = Endpoints(engine, self._runtime, api, where, arn, self.link.key)
            platform = Platform.at(config.endpoint, self._trust)
            server = MetadataServer(self._entrance, endpoints, self._runtime, config.instance_id, platform, self._clock)
            group.create_task(server.run(), name="metadata")
            group.create_task(self._entrance.keep(self._runtime, self._clock), name="entrance")
            if self.link.resolves:
                names = Names(config, api, run_directory(os.geteuid()), self._clock, RandomIds())
                group.create_task(names.run(), name="names")
        introspection = Introspection(engine, self._runtime, config.cluster, arn)
        group.create_task(introspection.run((config.address, "127.0.0.1")), name="introspection")


def is_passed_on(endpoint: str, *, private_authority: bool) -> bool:
    """Whether containers reach a platform through their agent: on its machine's loopback they cannot reach it themselves, and they
    trust no authority that only this machine knows."""
    url = urlsplit(endpoint)
    if url.scheme == "https" and private_authority:
        return True
    host = url.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


async def _resolves(config: AgentConfig, clock: Clock) -> bool:
    """Whether containers can be told to ask for names here."""
    if not may_resolve():
        return False
    run = run_directory(os.geteuid())
    try:
        prepare(config, run)
    except OSError as error:
        log.error("containers find no load balancer by its name: %s", error)
        return False
    if await Keeper(run, clock).ensure():
        return True
    log.error("containers find no load balancer by its name: something else may have %s port %d (%s)", ADDRESS, PORT, run / "names.log")
    return False


def _key(path: Path) -> bytes:
    """Random bytes that stay the same: what containers were told must be found again by the next process."""
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        found = b""
    if len(found) != _KEY_BYTES:
        found = os.urandom(_KEY_BYTES)
        write_privately(path, found)
    return found
