"""Security policies: which versions of TLS and which ciphers a listener takes, by the names AWS gives them.

Ciphers are named as OpenSSL names them, in the order in which a load balancer prefers them. The table follows AWS's pages on
security policies of Application and Network Load Balancers; policies for RFC 9151 and CNSA 2.0 are left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

#: what a listener gets that names none
DEFAULT = "ELBSecurityPolicy-2016-08"

_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_TLS13_FIPS = _TLS13[:2]
_RES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)
#: without SHA-1
_STRONG = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
)
#: all with forward secrecy
_FORWARD = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-ECDSA-AES256-SHA",
)
_RSA_STRONG = ("AES128-GCM-SHA256", "AES128-SHA256", "AES256-GCM-SHA384", "AES256-SHA256")
_RSA = ("AES128-GCM-SHA256", "AES128-SHA256", "AES128-SHA", "AES256-GCM-SHA384", "AES256-SHA256", "AES256-SHA")
_STRONG_RSA = (*_STRONG, *_RSA_STRONG)
_ALL = (*_FORWARD, *_RSA)

_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")


@dataclass(frozen=True, slots=True)
class SslPolicy:
    name: str
    #: TLSv1, TLSv1.1, TLSv1.2, TLSv1.3: those that it takes, the newest first
    protocols: tuple[str, ...]
    #: of TLS 1.3 first, then those of the versions before
    ciphers: tuple[str, ...]
    #: key exchange may be hybrid with ML-KEM
    post_quantum: bool = False
    #: types of load balancers that offer it
    load_balancer_types: tuple[str, ...] = ("application", "network")

    @property
    def tls13_ciphers(self) -> tuple[str, ...]:
        return tuple(cipher for cipher in self.ciphers if cipher.startswith("TLS_"))

    @property
    def older_ciphers(self) -> tuple[str, ...]:
        """Of TLS 1.2 and before."""
        return tuple(cipher for cipher in self.ciphers if not cipher.startswith("TLS_"))


def _policy(name: str, first: str, last: str, *ciphers: tuple[str, ...], types: tuple[str, ...] = ("application", "network")) -> SslPolicy:
    """`first` and `last` are the oldest and the newest version, `1.0` to `1.3`."""
    versions = {"1.0": 0, "1.1": 1, "1.2": 2, "1.3": 3}
    return SslPolicy(
        name=f"ELBSecurityPolicy-{name}",
        protocols=tuple(reversed(_VERSIONS[versions[first] : versions[last] + 1])),
        ciphers=tuple(itertools.chain(*ciphers)),
        post_quantum="-PQ-" in name,
        load_balancer_types=types,
    )


def _with_tls13() -> list[SslPolicy]:
    #: what stands in the name -> the oldest version, and the ciphers before TLS 1.3
    families: dict[str, tuple[str, tuple[str, ...]]] = {
        "1-3": ("1.3", ()),
        "1-2": ("1.2", _STRONG),
        "1-2-Res": ("1.2", _RES),
        "1-2-Ext0": ("1.2", _FORWARD),
        "1-2-Ext1": ("1.2", _STRONG_RSA),
        "1-2-Ext2": ("1.2", _ALL),
        "1-1": ("1.1", _ALL),
        "1-0": ("1.0", _ALL),
    }
    found = []
    for family, (first, ciphers) in families.items():
        for suffix, tls13 in (("2021-06", _TLS13), ("PQ-2025-09", _TLS13), ("FIPS-2023-04", _TLS13_FIPS), ("FIPS-PQ-2025-09", _TLS13_FIPS)):
            if (family == "1-2-Ext0" and "FIPS" not in suffix) or (family == "1-1" and "PQ" in suffix):
                continue
            found.append(_policy(f"TLS13-{family}-{suffix}", first, "1.3", tls13, ciphers))
    return found


_POLICIES = (
    _policy("2016-08", "1.0", "1.2", _ALL),
    *_with_tls13(),
    _policy("TLS-1-2-Ext-2018-06", "1.2", "1.2", _ALL),
    _policy("TLS-1-2-2017-01", "1.2", "1.2", _STRONG_RSA),
    _policy("TLS-1-1-2017-01", "1.1", "1.2", _ALL),
    _policy("FS-1-2-Res-2020-10", "1.2", "1.2", _RES),
    _policy("FS-1-2-Res-2019-08", "1.2", "1.2", _STRONG),
    _policy("FS-1-2-2019-08", "1.2", "1.2", _FORWARD),
    _policy("FS-1-1-2019-08", "1.1", "1.2", _FORWARD),
    _policy("FS-2018-06", "1.0", "1.2", _FORWARD),
    _policy("2015-05", "1.0", "1.2", _ALL, types=("network",)),
    _policy("TLS-1-0-2015-04", "1.0", "1.2", _ALL, ("DES-CBC3-SHA",), types=("application",)),
)

POLICIES: Mapping[str, SslPolicy] = {policy.name: policy for policy in _POLICIES}
