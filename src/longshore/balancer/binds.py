"""Which listener gets which address and port, given what is taken already. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from longshore.balancer.snapshot import LOCALHOST, Front
from longshore.balancer.words import LINKED, LOCAL

#: (address, port)
Bind = tuple[str, int]


class Binds(msgspec.Struct, frozen=True):
    #: what cannot be bound, and why
    taken: dict[Bind, str] = {}
    #: port of 127.0.0.1 -> the one listener that has it for itself (its ARN)
    alone: dict[int, str] = {}
    #: port of 127.0.0.1 -> listeners for HTTP or with TLS, told apart there by the name they are called by
    shared: dict[int, tuple[Front, ...]] = {}
    #: an address that other machines reach, used as 127.0.0.1 is; "" where there is none
    public: str = ""

    def local_addresses(self, port: int) -> tuple[str, ...]:
        """Those that load balancers share."""
        return (LOCALHOST, self.public) if self.public and (self.public, port) not in self.taken else (LOCALHOST,)

    def is_usable(self, front: Front) -> bool:
        return (front.address, front.port) not in self.taken

    def is_linked(self, front: Front) -> bool:
        """Whether containers reach it."""
        return bool(front.link) and (front.link, front.port) not in self.taken

    def is_alone(self, front: Front) -> bool:
        return self.alone.get(front.port) == front.listener.arn

    def is_sharing(self, front: Front) -> bool:
        return any(other.listener.arn == front.listener.arn for other in self.shared.get(front.port, ()))

    def trouble(self, front: Front) -> tuple[bool, str]:
        """(whether the listener listens at all, what is to be said about it)."""
        own = (front.address, front.port)
        if own in self.taken:
            return False, f"port {front.port} of {front.address} cannot be listened on: {self.taken[own]}"
        linked = (front.link, front.port)
        if linked in self.taken:
            return True, f"containers do not reach port {front.port} of {front.link}: {self.taken[linked]}"
        local = (LOCALHOST, front.port)
        if local in self.taken:
            words = f"port {front.port} of {LOCALHOST} cannot be listened on ({self.taken[local]})"
            return True, f"{words}; use {front.address}:{front.port}"
        if not self.is_alone(front) and not self.is_sharing(front):
            return True, f"port {front.port} of {LOCALHOST} belongs to another load balancer; use {front.address}:{front.port}"
        return True, ""


def allocate(fronts: Iterable[Front], held: set[Bind], why_taken: Callable[[Bind], str], public: str = "") -> Binds:
    """`held` are binds of the running HAProxy's, which are free for it; `why_taken` says for any other why not (empty: free)."""
    taken: dict[Bind, str] = {}
    by_port: dict[int, list[Front]] = {}
    for front in fronts:
        if front.problem:
            continue
        own = (front.address, front.port)
        reason = "" if own in held else why_taken(own)
        if reason:
            taken[own] = reason
            continue
        by_port.setdefault(front.port, []).append(front)
        linked = (front.link, front.port)
        if front.link and linked not in held and (reason := why_taken(linked)):
            taken[linked] = reason
    alone: dict[int, str] = {}
    shared: dict[int, tuple[Front, ...]] = {}
    for port, here in by_port.items():
        local = (LOCALHOST, port)
        reason = "" if local in held else why_taken(local)
        if reason:
            taken[local] = reason
            continue
        if public and local not in held and (reason := why_taken((public, port))):
            taken[(public, port)] = reason
        named = sorted((front for front in here if front.is_http or front.is_tls), key=lambda front: front.load_balancer.slot)
        if len(here) == 1:
            alone[port] = here[0].listener.arn
        elif len(named) == 1:
            alone[port] = named[0].listener.arn
        elif named:
            shared[port] = tuple(named)
        else:
            alone[port] = min(here, key=lambda front: front.load_balancer.slot).listener.arn
    return Binds(taken, alone, shared, public)


def held_by(frontends: Iterable[str], links: Mapping[str, str] | None = None) -> set[Bind]:
    """The binds of a running HAProxy, told by its frontends' names; `links`: address -> the same load balancer's for containers."""
    found: set[Bind] = set()
    for name in frontends:
        address, colon, port = name.removesuffix(LOCAL).removesuffix(LINKED).rpartition(":")
        if colon and port.isdecimal():
            found.add((address, int(port)))
            if name.endswith(LOCAL):
                found.add((LOCALHOST, int(port)))
            if name.removesuffix(LOCAL).endswith(LINKED) and links and address in links:
                found.add((links[address], int(port)))
    return found
