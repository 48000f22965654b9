"""Machines that run the data plane of load balancers beside the platform's own: what is kept of them.

A host is there while its connection is. One that went is waited for until its lease has ended; then nothing waits for it any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Any

import msgspec

from longshore.kit.resource import Kind

#: how long the others wait for the word of a host that went
LEASE_S = 15.0


class BalancerHost(msgspec.Struct, frozen=True, gc=False):
    """Written by the gateway's end of its connection, and by whoever sees that its lease has ended."""

    #: chosen by the host, the same one after a restart
    id: str
    #: where other machines reach its load balancers; "" where they do not
    address: str
    #: ARN of whoever it signs as
    registered_by: str
    state: str = "connected"  # connected | waiting (its lease runs) | lost
    #: since when it has this state
    since: float = 0.0
    version: str = ""


BALANCER_HOSTS: Kind[BalancerHost] = Kind(
    name="elbv2.balancer_host",
    type=BalancerHost,
    key=lambda host: host.id,
)

KINDS: tuple[Kind[Any], ...] = (BALANCER_HOSTS,)


def live_addresses(hosts: Iterable[BalancerHost], own: str) -> tuple[str, ...]:
    """Where machines reach load balancers that have no data plane themselves; `own` is the platform's own machine's, or ""."""
    others = {host.address for host in hosts if host.state == "connected" and host.address}
    return tuple(sorted(others | {own} - {""}))


def address_on(slot: int, network: str) -> str:
    """The address of load balancer number `slot`; `network` is 127.0.2. for instance, continued in 127.0.3."""
    first = IPv4Address(f"{network}0")
    return str(first + (slot - 1) // 254 * 256 + (slot - 1) % 254 + 1)
