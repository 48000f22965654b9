"""A machine that runs the data plane of a platform elsewhere: `python -m longshore.main balancer …` comes here.

Line to the platform → balancer over what it tells. HAProxy outlives this process, whatever ends it but SIGINT: the next one adopts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import ssl
from pathlib import Path

from longshore.balancer.controller import Balancer
from longshore.balancer.hosts.client import Line, NotAdmitted
from longshore.config import BalancerConfig, write_privately
from longshore.control.loop import Loop
from longshore.kit.clock import SystemClock
from longshore.kit.descriptors import allow_descriptors
from longshore.kit.ids import RandomIds
from longshore.kit.said import say
from longshore.services.call import Site

log = logging.getLogger("longshore.balancer")

_DESCRIPTORS = 65_536
_KEY_BYTES = 32
EXIT_OK, EXIT_FAILED, EXIT_TERMINAL = 0, 1, 5


def main(config: BalancerConfig) -> int:
    allow_descriptors(_DESCRIPTORS)
    return asyncio.run(_main(config))


async def _main(config: BalancerConfig) -> int:
    stop, ends = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        ends.set()
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        await run(config, stop, ends)
    except NotAdmitted as error:
        log.error("%s", error)
        return EXIT_TERMINAL
    except OSError as error:
        log.error("%s", error)
        return EXIT_FAILED
    return EXIT_OK


async def run(config: BalancerConfig, stop: asyncio.Event, ends: asyncio.Event) -> None:
    """Until `stop`; with `ends` set by then, HAProxy is ended as well. Raises NotAdmitted and OSError."""
    clock, ids = SystemClock(), RandomIds()
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    line = Line(config, _key(config.data_dir / "key"), _trusted(config.ca_bundle), clock, ids)
    jobs = [asyncio.create_task(line.run(), name="line"), asyncio.create_task(stop.wait(), name="stop")]
    told = asyncio.create_task(line.told.wait(), name="told")
    try:
        await asyncio.wait({*jobs, told}, return_when=asyncio.FIRST_COMPLETED)
        if jobs[0].done():
            jobs[0].result()
        if stop.is_set() or line.welcome is None:
            return
        store = line.replica.as_store()
        site = Site(account_id=line.welcome.account_id, region=line.welcome.region, zones=(), endpoint=config.endpoint, port=0)
        balancer = Balancer(
            store,
            clock,
            ids,
            site,
            config.data_dir / "haproxy",
            config.haproxy,
            network=config.network,
            link_network=config.link_network,
            public_address=config.address,
            privileged_port_offset=config.privileged_port_offset,
            installation_secret=line.replica_key,
            log_file=config.data_dir / "haproxy.log",
        )
        await balancer.start()
        jobs.append(asyncio.create_task(Loop(balancer, store, clock, ids).run(), name="balancer"))
        say(event="ready", haproxy_pid=balancer.pid)
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            for job in done:
                job.result()
        finally:
            await balancer.stop(keep_running=not ends.is_set())
    finally:
        for job in (*jobs, told):
            job.cancel()
        await asyncio.gather(*jobs, told, return_exceptions=True)


def _key(path: Path) -> bytes:
    """Random bytes that stay the same: certificates must not look changed to the next process."""
    with contextlib.suppress(FileNotFoundError):
        found = path.read_bytes()
        if len(found) == _KEY_BYTES:
            return found
    made = os.urandom(_KEY_BYTES)
    write_privately(path, made)
    return made


def _trusted(ca_bundle: Path | None) -> ssl.SSLContext | bool:
    """Raises OSError."""
    if ca_bundle is None:
        return True
    context = ssl.create_default_context()
    context.load_verify_locations(ca_bundle)
    return context
