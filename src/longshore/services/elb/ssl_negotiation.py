"""Which versions of TLS and which ciphers a Classic load balancer takes: AWS's own policies by name, and what users put together.

Ciphers are named as OpenSSL names them. The tables follow AWS's page on predefined security policies of Classic load balancers;
what OpenSSL no longer has (SSLv3, RC4) stands in them, and is not negotiated. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PROTOCOLS = ("Protocol-SSLv3", "Protocol-TLSv1", "Protocol-TLSv1.1", "Protocol-TLSv1.2")
#: what a listener with TLS gets that names no policy
DEFAULT = "ELBSecurityPolicy-2016-08"

_MODERN = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
    "AES128-GCM-SHA256",
    "AES128-SHA256",
    "AES256-GCM-SHA384",
    "AES256-SHA256",
)
_SHA1 = (
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "AES128-SHA",
    "AES256-SHA",
)
_OLD = (
    *("DHE-RSA-AES128-SHA", "DHE-RSA-AES256-SHA", "DHE-RSA-AES128-SHA256", "DHE-RSA-AES256-SHA256"),
    *("DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES256-GCM-SHA384", "CAMELLIA128-SHA", "CAMELLIA256-SHA"),
    *("DHE-RSA-CAMELLIA128-SHA", "DHE-RSA-CAMELLIA256-SHA", "DES-CBC3-SHA", "EDH-RSA-DES-CBC3-SHA"),
    *("ECDHE-RSA-RC4-SHA", "ECDHE-ECDSA-RC4-SHA", "RC4-SHA", "RC4-MD5"),
)
#: what OpenSSL 3 is built without
GONE = frozenset({"DES-CBC3-SHA", "EDH-RSA-DES-CBC3-SHA", "ECDHE-RSA-RC4-SHA", "ECDHE-ECDSA-RC4-SHA", "RC4-SHA", "RC4-MD5"})
CIPHERS = (*_MODERN, *_SHA1, *_OLD)
_AES = (*_MODERN, *_SHA1)
_ALL_TLS = PROTOCOLS[1:]
_FROM_2014 = (*_AES, "DHE-RSA-AES128-SHA")
_2011 = (
    *("AES128-SHA", "AES256-SHA", "DHE-RSA-AES128-SHA", "DHE-RSA-AES256-SHA", "CAMELLIA128-SHA", "CAMELLIA256-SHA"),
    *("DHE-RSA-CAMELLIA128-SHA", "DHE-RSA-CAMELLIA256-SHA", "DES-CBC3-SHA", "EDH-RSA-DES-CBC3-SHA", "RC4-SHA", "RC4-MD5"),
)


@dataclass(frozen=True, slots=True)
class Negotiation:
    """What is taken."""

    #: Protocol-…
    protocols: tuple[str, ...]
    ciphers: tuple[str, ...]
    #: the load balancer's order of ciphers decides, and not the client's
    server_order: bool = True

    def attributes(self) -> tuple[tuple[str, str], ...]:
        """As a policy's attributes: every one there is, on or off."""
        taken = {*self.protocols, *self.ciphers}
        switches = [(name, name in taken) for name in (*PROTOCOLS, *CIPHERS)]
        switches.insert(len(PROTOCOLS), ("Server-Defined-Cipher-Order", self.server_order))
        return tuple((name, "true" if is_on else "false") for name, is_on in switches)


PREDEFINED: Mapping[str, Negotiation] = {
    "ELBSecurityPolicy-2016-08": Negotiation(_ALL_TLS, _AES),
    "ELBSecurityPolicy-TLS-1-2-2017-01": Negotiation(("Protocol-TLSv1.2",), _MODERN),
    "ELBSecurityPolicy-TLS-1-1-2017-01": Negotiation(("Protocol-TLSv1.1", "Protocol-TLSv1.2"), _AES),
    "ELBSecurityPolicy-2015-05": Negotiation(_ALL_TLS, (*_AES, "DES-CBC3-SHA")),
    "ELBSecurityPolicy-2015-03": Negotiation(_ALL_TLS, (*_FROM_2014, "DES-CBC3-SHA")),
    "ELBSecurityPolicy-2015-02": Negotiation(_ALL_TLS, _FROM_2014),
    "ELBSecurityPolicy-2014-10": Negotiation(_ALL_TLS, (*_FROM_2014, "DES-CBC3-SHA", "RC4-SHA")),
    "ELBSecurityPolicy-2014-01": Negotiation(PROTOCOLS, (*_FROM_2014, "ECDHE-RSA-RC4-SHA", "RC4-SHA")),
    "ELBSecurityPolicy-2011-08": Negotiation(PROTOCOLS[:2], _2011, server_order=False),
}

#: policies that anybody may look at, beside AWS's security policies
SAMPLES: Mapping[str, Negotiation] = {
    "ELBSample-ELBDefaultNegotiationPolicy": Negotiation(PROTOCOLS[:2], _2011, server_order=False),
    "ELBSample-OpenSSLDefaultNegotiationPolicy": Negotiation(PROTOCOLS[:2], _2011, server_order=False),
    "ELBSample-ELBDefaultCipherPolicy": Negotiation(PROTOCOLS[:2], _2011, server_order=False),
    "ELBSample-OpenSSLDefaultCipherPolicy": Negotiation(PROTOCOLS[:2], _2011, server_order=False),
}


def negotiation_of(attributes: Iterable[tuple[str, str]]) -> Negotiation | None:
    """What a policy with these attributes takes; None where it refers to a policy that there is not."""
    given = dict(attributes)
    reference = given.get("Reference-Security-Policy")
    if reference:
        return PREDEFINED.get(reference)
    on = {name for name, value in given.items() if value.lower() == "true"}
    return Negotiation(
        protocols=tuple(name for name in PROTOCOLS if name in on),
        ciphers=tuple(name for name in CIPHERS if name in on),
        server_order="Server-Defined-Cipher-Order" in on,
    )
