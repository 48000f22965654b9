"""Which addresses are this machine's own, and what is counted as one neighbour."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit


def is_loopback(address: str) -> bool:
    """Of a connection's other side, as the system names it; "" is no network at all. Quick: asked for each connection."""
    return address.startswith(("127.", "::ffff:127.")) or address in ("::1", "")


def is_own_host(host: str) -> bool:
    """Whether only this machine reaches what listens at `host`, an address or a name. "" and 0.0.0.0 are everybody's."""
    host = host.strip("[]").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def goes_plainly_far(endpoint: str) -> bool:
    """Whether what is said to `endpoint` can be read, and changed, on its way: HTTP to another machine."""
    url = urlsplit(endpoint)
    return url.scheme != "https" and not is_own_host(url.hostname or "")


def network_of(address: str) -> str:
    """What is counted as one: an IPv4 address, or what one subscriber has of IPv6 (64 bits)."""
    if ":" not in address:
        return address
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    return str(found.ipv4_mapped) if found.ipv4_mapped else found.exploded[:19]
