"""`longshore balancer`: makes this machine run the data plane of a platform's load balancers elsewhere.

Looks whether HAProxy is here and the platform answers, writes the host's configuration and then becomes the host.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from longshore.cli import machine
from longshore.cli.client import Platform, Unreachable
from longshore.cli.exposure import check_endpoint
from longshore.cli.join import NOBODY, own_address
from longshore.cli.layout import is_address
from longshore.cli.outcome import ExitCode, Failure
from longshore.config import LINK_NETWORK, UNPRIVILEGED_PORT_OFFSET, BalancerConfig, Credentials, write_balancer
from longshore.environment import BadSetting, Environment, environment

#: that the platform takes
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def balancer(
    server: Annotated[str | None, typer.Option(help="The platform's endpoint, e.g. https://10.0.0.5:4566.")] = None,
    address: Annotated[str | None, typer.Option(help="Where other machines reach load balancers here; '' for nowhere.")] = None,
    name: Annotated[str | None, typer.Option(help="Tells balancer hosts apart; the machine's name unless given.")] = None,
    ca: Annotated[Path | None, typer.Option(help="What to trust at an https endpoint: the file `longshore ca` prints there.")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let others on the network read what is said, keys of certificates too.")
    ] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Where this host keeps everything.")] = None,
) -> None:
    """Run the load balancers of a platform elsewhere on this machine, too.

    Signs with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, whose policies must allow elasticloadbalancing:LongshoreServeLoadBalancers on *.
    """
    try:
        given = environment()
    except BadSetting as problem:
        raise Failure(str(problem), "set it anew, or unset it", ExitCode.USAGE) from None
    where = data_dir or given.data_dir / "balancer"
    check_endpoint(server or given.endpoint or "", insecure or given.insecure)
    config = host_config(given, where, server or given.endpoint or "", address, name, ca or given.ca_bundle)
    try:
        machine.find_haproxy(config.haproxy)
    except machine.Unusable as missing:
        raise Failure(str(missing), missing.fix, ExitCode.MISSING_PART) from missing
    try:
        healthy = Platform(config.endpoint, config.region, NOBODY, ca_bundle=config.ca_bundle).asked_for_health()
    except Unreachable:
        healthy = False
    if not healthy:
        raise Failure(f"no platform answers at {config.endpoint}", "check the endpoint, and that the platform listens beyond 127.0.0.1")
    where.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = where / "balancer.json"
    write_balancer(file, config)
    print(f"serving the load balancers of {config.endpoint} as {config.host_id}, at {config.address or 'this machine alone'}", flush=True)
    os.execv(sys.executable, [sys.executable, "-m", "longshore.main", "balancer", "--config", str(file)])


def host_config(given: Environment, where: Path, endpoint: str, address: str | None, name: str | None, ca: Path | None) -> BalancerConfig:
    """Raises Failure for what cannot be used."""
    if not endpoint:
        raise Failure("no platform is named", "give its endpoint, such as --server https://10.0.0.5:4566", ExitCode.USAGE)
    if given.credentials is None:
        raise Failure(
            "nothing to be let in with",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key that may elasticloadbalancing:LongshoreServeLoadBalancers",
            ExitCode.USAGE,
        )
    keys = given.credentials
    host_id = name or os.uname().nodename[:64]
    if not _NAME.fullmatch(host_id):
        raise Failure(
            f"{host_id!r} is no name of a balancer host", "give --name with 1 to 64 letters, digits, '.', '_' and '-'", ExitCode.USAGE
        )
    if address and not is_address(address):
        raise Failure(f"{address!r} is no address", "give --address as numbers, such as 10.0.0.6; '' for nowhere", ExitCode.USAGE)
    return BalancerConfig(
        data_dir=where.absolute(),
        endpoint=endpoint.rstrip("/"),
        credentials=Credentials(keys.access_key_id, keys.secret_access_key, given.session_token or ""),
        host_id=host_id,
        address=own_address(endpoint) if address is None else address,
        region=given.region or "us-east-1",
        haproxy=given.haproxy,
        link_network=LINK_NETWORK if machine.may_name() else "",
        privileged_port_offset=0 if machine.may_bind_low_ports() else UNPRIVILEGED_PORT_OFFSET,
        ca_bundle=ca.absolute() if ca and endpoint.startswith("https://") else None,
    )
