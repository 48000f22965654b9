"""The one port: opened with or without HTTPS, each connection put into its lane, and closed so that what has begun is finished."""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
from functools import partial

from longshore.answering import Answering
from longshore.config import DataDirectory, ServerConfig, Tls
from longshore.gateway.begun import Begun, http_server, is_worth_a_traceback
from longshore.gateway.doors import Doors
from longshore.gateway.lane import Lanes
from longshore.gateway.tls import SecureListener, ServerCertificate, own_names
from longshore.kept import CannotStart
from longshore.kit.certificates import CertificateProblem
from longshore.kit.sealing import Keys
from longshore.running import Setting
from longshore.services.ec2.regions import AWS_REGIONS

#: how long requests that have begun may take when the server stops
DRAIN_S = 8.0

Listener = asyncio.Server | SecureListener


async def listen(setting: Setting, keys: Keys, answering: Answering) -> Listener:
    """Raises CannotStart."""
    config, running = setting.config, setting.running
    begun = Begun(answering.gateway.handle)
    logging.getLogger("aiohttp.server").addFilter(is_worth_a_traceback)
    general = http_server(begun)
    look = partial(answering.failures.answer, handler=answering.registry.answer)
    lanes = Lanes(answering.gateway.answer, general, look, answering.registry.senders, begun.expect, Doors())
    loop = asyncio.get_running_loop()
    listener: Listener
    try:
        if config.tls is None:
            listener = await loop.create_server(lanes, config.host, config.port, backlog=1024)
        else:
            listener = await SecureListener.open(config.host, config.port, lanes, _certificate(setting, config.tls, keys))
    except OSError as problem:
        raise _cannot_listen(config, problem) from None
    running.begin(lanes.sweep(), "sweep")

    async def drain() -> None:
        """No new connections; what has begun is finished, each answer closing its connection."""
        ends = loop.time() + DRAIN_S
        listener.close()
        answering.gateway.drain()
        # aiohttp reads no more of a body once it has been told to close, so what is being sent comes first
        await asyncio.gather(lanes.drain(DRAIN_S), begun.finished(DRAIN_S))
        general.pre_shutdown()
        await general.shutdown(max(1.0, ends - loop.time()))

    running.ends_with(drain)
    running.ends_with(answering.let_go)
    return listener


def _certificate(setting: Setting, tls: Tls, keys: Keys) -> ssl.SSLContext:
    """What the port proves itself with, kept fresh from now on. Raises CannotStart."""
    config = setting.config
    names = own_names(config.host, config.account_id, config.region, AWS_REGIONS)
    try:
        certificate = ServerCertificate(DataDirectory(config.data_dir), tls, names, setting.clock, keys)
    except CertificateProblem as problem:
        raise CannotStart(f"HTTPS cannot be served: {problem}", "give other files, or start with --no-tls") from None
    except OSError as problem:
        raise CannotStart(f"{problem.filename} cannot be used: {problem.strerror}", "see to its path and its permissions") from None
    setting.running.begin(certificate.keep(), "certificate")
    return certificate.context


def _cannot_listen(config: ServerConfig, problem: OSError) -> CannotStart:
    where = f"{config.host}:{config.port}"
    if problem.errno == errno.EADDRINUSE:
        return CannotStart(
            f"another program listens on {where}", f"stop it, or choose another --port (`ss -ltnp 'sport = :{config.port}'` names it)"
        )
    if problem.errno in (errno.EACCES, errno.EPERM):
        return CannotStart(f"this user may not listen on {where}", "choose a --port above 1023, or run as root")
    return CannotStart(f"cannot listen on {where}: {problem.strerror}", "choose another --port or --host")
