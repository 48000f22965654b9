"""127.0.0.1 for several load balancers with listeners on the same port. Pure.

They are told apart by the name that they are called by: the Host of each request where it can be read, and where TLS begins
right away by the name that the client asks for (SNI), be it the load balancer's own or one of its certificates'. Whoever was
meant gets the connection by a socket of its own, with the client's address in front.
"""

from __future__ import annotations

import re

from longshore.balancer.render.places import Places
from longshore.balancer.snapshot import LOCALHOST, Front
from longshore.balancer.words import quoted

#: the load balancers' own times end idle connections; these only must not come first
_TIMEOUTS = ("timeout client 4000s", "timeout server 4000s")
#: for a client to say its first word
_FIRST_S = 10
#: in the configuration's own words; certificates may have any
_HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")


def shared_frontends(port: int, sharing: tuple[Front, ...], places: Places, addresses: tuple[str, ...] = (LOCALHOST,)) -> list[list[str]]:
    """Sections. `addresses` are shared by them all."""
    binds = [f"bind {address}:{port}" for address in addresses]
    secure = [front for front in sharing if front.is_tls]
    plain = tuple(front for front in sharing if not front.is_tls)
    if not secure:
        return [_by_host(port, plain, places, f"{LOCALHOST}:{port}", binds)]
    sections = [_by_name(port, secure, plain, places, binds)]
    if plain:
        own = quoted("unix@" + places.plain_socket(port))
        sections.append(_by_host(port, plain, places, f"plain-{port}", [f"bind {own} accept-proxy mode 600"]))
    return sections


def _by_host(port: int, sharing: tuple[Front, ...], places: Places, name: str, binds: list[str]) -> list[str]:
    is_host = "req.hdr(host),host_only -m str -i"
    names = [front.load_balancer.dns_name for front in sharing]
    explanation = quoted(f"Several load balancers listen on port {port}. Call the one you mean by its name: {' '.join(names)}")
    return [
        f"listen {name}",
        *binds,
        *_TIMEOUTS,
        f"acl is_known {is_host} -- {' '.join(quoted(name) for name in names)}",
        f"http-request return status 404 content-type text/plain string {explanation} if !is_known",
        *(f"use-server {_server(front)} if {{ {is_host} -- {quoted(front.load_balancer.dns_name)} }}" for front in sharing),
        *(_line(front, places) for front in sharing),
    ]


def _by_name(port: int, secure: list[Front], plain: tuple[Front, ...], places: Places, binds: list[str]) -> list[str]:
    """A client that asks for nobody's name is sent away: any certificate that it could be shown would be the wrong one."""
    lines = [
        f"listen {LOCALHOST}:{port}",
        *binds,
        "mode tcp",
        *_TIMEOUTS,
        f"tcp-request inspect-delay {_FIRST_S}s",
    ]
    uses: list[str] = []
    for front in secure:
        lines.append(f"acl is_{_server(front)} req.ssl_sni -m str -i -- {quoted(front.load_balancer.dns_name)}")
        uses.append(f"use-server {_server(front)} if is_{_server(front)}")
    for front in secure:
        # The names of load balancers come first, whatever else certificates say.
        tests = _certificate_tests(front)
        if tests:
            lines += [f"acl has_{_server(front)} {test}" for test in tests]
            uses.append(f"use-server {_server(front)} if has_{_server(front)}")
    known = [use.rpartition(" ")[2] for use in uses]
    lines += [f"tcp-request content accept if {{ req.ssl_hello_type 1 }} {name}" for name in known]
    if plain:
        lines.append("tcp-request content accept if HTTP")
        uses.append("use-server plain if HTTP")
    lines.append("tcp-request content reject")
    lines += [*uses, *(_line(front, places) for front in secure)]
    if plain:
        lines.append(f"server plain {quoted('unix@' + places.plain_socket(port))} send-proxy-v2 weight 0")
    return lines


def _certificate_tests(front: Front) -> list[str]:
    names = [name for proof in front.proofs if not proof.problem for name in proof.names if _HOST.fullmatch(name)]
    exact = [quoted(name) for name in dict.fromkeys(names) if not name.startswith("*.")]
    wild = [quoted(rf"^[^.]+{re.escape(name[1:])}$") for name in dict.fromkeys(names) if name.startswith("*.")]
    return [
        *([f"req.ssl_sni -m str -i -- {' '.join(exact)}"] if exact else []),
        *([f"req.ssl_sni -m reg -i -- {' '.join(wild)}"] if wild else []),
    ]


def _server(front: Front) -> str:
    return f"s{front.load_balancer.slot}"


def _line(front: Front, places: Places) -> str:
    return f"server {_server(front)} {quoted('unix@' + places.front_socket(front))} send-proxy-v2 weight 0"
