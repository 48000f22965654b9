"""What a start lets others see, and what stands open: refused where nobody said that it is meant, told of everywhere else.

Who listens to the network between two machines reads passwords of docker and codes of machines, which go as they are, and whatever is
asked and answered; signatures keep requests from being changed, nothing keeps answers. So plain HTTP leaves this machine only with
--insecure, and so do the well-known keys of --dev.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from longshore.cli.outcome import ExitCode, Failure
from longshore.config import DataDirectory, ServerConfig, Tls
from longshore.kit.addresses import goes_plainly_far, is_own_host

RATE_LIMITS = ("off", "generous", "aws")
#: of the data directory, what nobody else may read; directories keep out whoever could list them
_SECRETS = ("credentials.json", "keyring", "master-key", "run/platform.json", "tls/authority.pem", "tls/server.pem")


def check_exposure(host: str, tls: Tls | None, dev: bool, insecure: bool, rate_limits: str) -> None:
    """Raises Failure."""
    if rate_limits and rate_limits not in RATE_LIMITS:
        raise Failure(f"{rate_limits!r} is no choice of rate limits", f"choose one of {', '.join(RATE_LIMITS)}", ExitCode.USAGE)
    if insecure or is_own_host(host):
        return
    if tls is None:
        raise Failure(
            f"plain HTTP at {host} can be read by others on the network: docker's passwords, machines' codes, every answer",
            "speak HTTPS with --tls (`longshore ca` gives clients what to trust), or say that it is meant with --insecure",
            ExitCode.USAGE,
        )
    if dev:
        raise Failure(
            f"--dev lets everybody who reaches {host} in as root, with the keys test/test",
            "leave --dev out, or say that it is meant with --insecure",
            ExitCode.USAGE,
        )


def check_endpoint(endpoint: str, insecure: bool) -> None:
    """Of a platform elsewhere that this machine is to join. Raises Failure."""
    if not insecure and goes_plainly_far(endpoint):
        raise Failure(
            f"{endpoint} is plain HTTP to another machine: what goes there, codes and secrets of tasks among it, can be read on its way",
            "start that platform with --tls and name it with https://, or say that it is meant with --insecure",
            ExitCode.USAGE,
        )


def open_doors(server: ServerConfig) -> Iterator[str]:
    """What a running platform leaves open, in words; nothing where all is as it should be."""
    if is_own_host(server.host):
        return
    if server.tls is None:
        yield f"plain HTTP at {server.host}: what is said there can be read on the network"
    if server.dev:
        yield f"--dev at {server.host}: the keys test/test are everybody's"
    if server.limits == "off":
        yield f"no rate limits at {server.host}: one client can have the server for itself"


def readable_secrets(data: DataDirectory) -> Iterator[Path]:
    """Files with secrets, and directories around them, that other users of this machine may read."""
    for path in (data.root, *(data.root / name for name in _SECRETS)):
        try:
            mode = path.stat().st_mode
        except OSError:
            continue
        if mode & (stat.S_IRWXG | stat.S_IRWXO) and (path != data.root or mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP)):
            yield path
