"""Where this server may be sent to: the addresses of other registries, from rules and redirects.

Who makes a rule chooses what the server connects to, so some places are out of reach whatever a rule, a redirect or a name server says:
link-local addresses (where clouds answer with a machine's credentials), multicast and unspecified ones. Plain HTTP goes to this machine
only, and no registry elsewhere sends the server to it. Everything else is the rule maker's to choose, private networks included: that is
where one's own registries are.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from yarl import URL

_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?::([0-9]{1,5}))?")
_PATH = re.compile(r"(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*/?")
#: where clouds other than AWS, and AWS over IPv6, answer with a machine's credentials
_METADATA = frozenset({"fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16"})


class AddressRefused(ValueError):
    """The server does not connect to such an address; the message says why."""


class Place(NamedTuple):
    """A registry's address: scheme and host, and what stands before the names of its repositories."""

    origin: URL
    #: without slashes at its ends; "" for nothing
    prefix: str

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.origin.host or "")

    def check_led_to(self, url: URL) -> None:
        """Whether the server goes where this registry sends it: what is elsewhere does not lead to this machine. Raises AddressRefused."""
        check(url)
        if is_loopback(url.host or "") and not self.is_loopback:
            raise AddressRefused(f"a registry elsewhere does not send the server to {url.host}")


def place_of(url: str) -> Place:
    """`url` is a host, perhaps with a scheme, a port and a path. Raises AddressRefused.

    Unless said, other machines are spoken to over https and this one over http, as container engines do it.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    host, slash, path = rest.partition("/")
    found = _HOST_AND_PORT.fullmatch(host)
    if not separator and found is not None:
        scheme = "http" if is_loopback(found[1]) else "https"
    if len(url) > 500 or scheme not in ("http", "https") or found is None or int(found[2] or 1) not in range(1, 65536):
        raise AddressRefused(f"{url[:100]!r} is not the address of a registry")
    if not _PATH.fullmatch(slash + path):
        raise AddressRefused(f"the path of {url[:100]!r} cannot begin the names of repositories")
    origin = URL(f"{scheme}://{host}").origin()
    check(origin)
    return Place(origin, path.strip("/"))


def check(url: URL) -> None:
    """Whether the server may connect there at all. Raises AddressRefused."""
    host = url.host
    if url.scheme not in ("http", "https") or not host or url.user is not None or url.password is not None:
        raise AddressRefused(f"{str(url)[:100]!r} is not the address of a registry")
    literal = _literal(host)
    if literal is not None:
        check_resolved(literal)
    if url.scheme == "http" and not is_loopback(host):
        raise AddressRefused(f"{host} is reached over https only: plain HTTP is for this machine")


def check_resolved(address: str) -> None:
    """`address` is what a name stands for. Raises AddressRefused."""
    literal = _literal(address)
    if literal is None:
        raise AddressRefused(f"{address[:100]!r} is no address")
    found = ipaddress.ip_address(literal)
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or found
    if found.is_link_local or found.is_multicast or found.is_unspecified or str(found) in _METADATA:
        raise AddressRefused(f"the server does not connect to {address}")


def is_loopback(host: str) -> bool:
    literal = _literal(host)
    if literal is not None:
        return ipaddress.ip_address(literal).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def _literal(host: str) -> str | None:
    """`host` without brackets and zone where it is an IP address in any spelling a C library takes."""
    bare = host.strip("[]").partition("%")[0]
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    # 127.1, 0x7f000001 and 2130706433 are no names either: a resolver turns them into addresses
    if re.fullmatch(r"(0[xX][0-9A-Fa-f]+|[0-9]+)(\.(0[xX][0-9A-Fa-f]+|[0-9]+)){0,3}", bare):
        raise AddressRefused(f"{host[:100]!r} is not the address of a registry")
    return None
