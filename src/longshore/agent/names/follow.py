"""An agent's part in names: it writes down what the platform tells of load balancers, and sees that the resolver runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
from pathlib import Path

from longshore.agent.api import Api, CallRefused, PlatformUnreachable
from longshore.agent.metadata.link import ADDRESS
from longshore.agent.names.book import Book, Page
from longshore.agent.names.resolver import PORT, asked
from longshore.config import AgentConfig
from longshore.kit.backoff import backoff_s
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.kit.logs import appended

log = logging.getLogger("longshore.agent")

_LOOK_S = 1.0
_STARTS_S = 5.0
_ANSWER_S = 0.5
#: a question for the address of longshore.internal, which the resolver answers by itself (RFC 1035 §4.1)
_PROBE = bytes.fromhex("000001000001000000000000") + b"\x09longshore\x08internal\0\0\x01\0\x01"


class Names:
    def __init__(self, config: AgentConfig, api: Api, run_directory: Path, clock: Clock, ids: Ids) -> None:
        self._config = config
        self._api = api
        self._run_directory = run_directory
        self._book = Book(run_directory)
        self._clock = clock
        self._ids = ids
        self._keeper = Keeper(run_directory, clock)

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_resolver(), name="names:resolver")
            group.create_task(self._follow(), name="names:follow")

    async def _follow(self) -> None:
        mark, failures = "", 0
        while True:
            try:
                told = await self._api.load_balancer_names(self._config.address, mark)
                if told.mark != mark:
                    self._book.write(self._config.instance_id, Page(str(self._config.data_dir), told.names))
                    mark = told.mark
                failures = 0
            except (CallRefused, PlatformUnreachable, OSError) as error:
                wait = backoff_s(failures, self._ids.fraction(), first_s=0.25, most_s=10.0)
                failures += 1
                log.info("names of load balancers stay as they were: %s", error)
                await self._clock.sleep(wait)

    async def _keep_resolver(self) -> None:
        failed = False
        while True:
            if await self._keeper.ensure():
                failed = False
            elif not failed:
                failed = True
                log.error("containers get no answers when they ask for names: see %s", self._run_directory / "names.log")
            await self._clock.sleep(_LOOK_S)


class Keeper:
    """Sees that there is a resolver, which outlives this process."""

    def __init__(self, run_directory: Path, clock: Clock) -> None:
        self._run_directory = run_directory
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None

    async def ensure(self) -> bool:
        """Whether it answers; it is started where it does not."""
        if await is_resolving():
            return True
        if self._process is not None:
            self._process.poll()
        with contextlib.suppress(OSError):
            self._process = _spawned(self._run_directory)
        begun = self._clock.now()
        while self._clock.now() - begun < _STARTS_S:
            await self._clock.sleep(0.05)
            if await is_resolving():
                return True
        return False


def prepare(config: AgentConfig, run_directory: Path) -> None:
    """A page of this agent's own, so that a resolver finds someone to serve. What was known the last time is kept."""
    book = Book(run_directory)
    known = next((page for page in book.pages() if page.owner == str(config.data_dir)), None)
    if known is None:
        book.write(config.instance_id, Page(str(config.data_dir)))


def _spawned(run_directory: Path) -> subprocess.Popen[bytes]:
    with appended(run_directory / "names.log") as log_file:
        return subprocess.Popen(
            [sys.executable, "-m", "longshore.main", "names", "--directory", str(run_directory)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log_file,
            cwd="/",
            start_new_session=True,
        )


async def is_resolving(address: str = ADDRESS, port: int = PORT) -> bool:
    """Whether it is the resolver that answers there: nobody else speaks for its domain."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            said = await asked(_PROBE, address, port)
    except (OSError, TimeoutError):
        return False
    return len(said) > 3 and bool(said[2] & 0x04)


def may_resolve() -> bool:
    """Only the superuser may listen where resolvers are asked."""
    return os.geteuid() == 0
