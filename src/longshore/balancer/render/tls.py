"""What a listener proves itself with, and what it asks of its clients, as options of its `bind` lines. Pure.

Which certificates there are stands in a list that is not part of the configuration: it changes while HAProxy runs. Policies
say what they say, in OpenSSL's own words for ciphers; what OpenSSL here has not is not replaced by anything, and said.
"""

from __future__ import annotations

import re

from longshore.balancer.render.places import Places
from longshore.balancer.snapshot import Front, Proof
from longshore.balancer.words import Unrenderable, quoted
from longshore.services.elbv2.ssl_policies import DEFAULT, POLICIES, SslPolicy

_CURVES = "X25519:P-256:P-384:P-521"
_CURVES_FIPS = "P-256:P-384:P-521"
#: ALPN policy -> what is offered, the most wanted first
_ALPN = {
    "HTTP1Only": "http/1.1,http/1.0",
    "HTTP2Only": "h2",
    "HTTP2Optional": "http/1.1,http/1.0,h2",
    "HTTP2Preferred": "h2,http/1.1,http/1.0",
}
#: of OpenSSL 3, which is built without them
_NO_CIPHERS = frozenset({"DES-CBC3-SHA"})
_CIPHER = re.compile(r"[A-Z0-9-]{1,64}")
#: X509_V_ERR_CERT_HAS_EXPIRED
_EXPIRED = 10
#: X509_V_ERR_UNABLE_TO_GET_CRL: an authority without a list of revoked certificates has revoked none
_NO_LIST = 3
#: an authority that nobody has the key of
_NOBODY = b"""\
-----BEGIN CERTIFICATE-----
MIIBJTCBzaADAgECAgEBMAoGCCqGSM49BAMCMBExDzANBgNVBAMMBm5vYm9keTAe
Fw0yMDAxMDEwMDAwMDBaFw0yMDAxMDIwMDAwMDBaMBExDzANBgNVBAMMBm5vYm9k
eTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABHeSCC5kWzSBhhKhtTKsl1hAamZR
OXP4l5NSE35EOFIaXMQsA6JrzzbeB9lzMkci0TkXm/KstQ+EuKI7+7ZH9XyjFjAU
MBIGA1UdEwEB/wQIMAYBAf8CAQAwCgYIKoZIzj0EAwIDRwAwRAIgPBs/A6Iy1A/Y
vZkyL3AENTFPb1pzfrRZy3jmC6puXrkCIETUt/Z6JkR7gH8KvYJ2aaVoTBiVcSiN
srMtRNp1fYMK
-----END CERTIFICATE-----
"""


def bind_options(front: Front, places: Places) -> str:
    """With a blank in front; empty for listeners without TLS."""
    if not front.is_tls:
        return ""
    policy = _policy_of(front)
    if policy is None:
        raise Unrenderable(f"there is no security policy {front.listener.ssl_policy}")
    options = [f"ssl crt-list {quoted(places.certificate_list(front))}", *_policy_options(policy), *_client_options(front, places)]
    if front.listener.attributes.get("ssl.server_defined_cipher_order") == "false":
        options.append("prefer-client-ciphers")
    alpn = _alpn(front)
    if alpn:
        options.append(f"alpn {alpn}")
    return " " + " ".join(options)


def _policy_of(front: Front) -> SslPolicy | None:
    """The policy of its name, or one that somebody put together for a Classic load balancer: what OpenSSL has of it."""
    attributes = front.listener.attributes
    if "ssl.protocols" not in attributes:
        return POLICIES.get(front.listener.ssl_policy or DEFAULT)
    asked = attributes["ssl.protocols"].split(",")
    protocols = tuple(version for version in ("TLSv1.3", "TLSv1.2", "TLSv1.1", "TLSv1") if version in asked)
    ciphers = tuple(argument for argument in attributes.get("ssl.ciphers", "").split(":") if _CIPHER.fullmatch(argument))
    return SslPolicy(name="", protocols=protocols, ciphers=ciphers) if protocols and ciphers else None


def _policy_options(policy: SslPolicy) -> list[str]:
    # Versions before 1.2 sign with SHA-1, which OpenSSL 3 refuses at any other level of security.
    is_old = policy.protocols[-1] in ("TLSv1", "TLSv1.1")
    level = ":@SECLEVEL=0" if is_old else ""
    names = {"TLSv1": "TLSv1.0"}
    options = [f"ssl-min-ver {names.get(policy.protocols[-1], policy.protocols[-1])} ssl-max-ver {policy.protocols[0]}"]
    older = [cipher for cipher in policy.older_ciphers if cipher not in _NO_CIPHERS]
    if older:
        options.append(f"ciphers {':'.join(older)}{level}")
    if policy.tls13_ciphers:
        options.append(f"ciphersuites {':'.join(policy.tls13_ciphers)}")
    options.append(f"curves {_CURVES_FIPS if '-FIPS-' in policy.name else _CURVES}")
    return options


def _alpn(front: Front) -> str:
    if front.listener.protocol == "TLS":
        return _ALPN.get(next(iter(front.listener.alpn_policy), ""), "")
    is_http2 = front.load_balancer.type == "application" and front.load_balancer.attributes.get("routing.http2.enabled") != "false"
    return "h2,http/1.1" if is_http2 else "http/1.1"


def shown(front: Front, places: Places) -> list[tuple[str, Proof]]:
    """(file, certificate) of everything in its list: the default one, in a file that is the listener's own, and those behind it."""
    default, *others = front.proofs
    return [
        (places.default_certificate(front), default),
        *((places.certificate(proof.arn), proof) for proof in others if not proof.problem),
    ]


def shortcomings(front: Front) -> list[str]:
    """What the listener's policy has and OpenSSL here has not, and certificates that cannot be shown; in words, for its state."""
    if not front.is_tls:
        return []
    policy = _policy_of(front)
    found = [f"certificate {proof.arn} is not shown: {proof.problem}" for proof in front.proofs[1:] if proof.problem]
    if policy is not None and policy.post_quantum:
        found.append(f"{policy.name} is served without post-quantum key exchange, which needs OpenSSL 3.5")
    missing = sorted(_NO_CIPHERS & set(policy.ciphers)) if policy else []
    if policy is not None and missing:
        found.append(f"{policy.name} is served without {', '.join(missing)}, which OpenSSL 3 has not")
    return found


def _client_options(front: Front, places: Places) -> list[str]:
    """Whether clients are asked for certificates, and who must have signed them."""
    mode = front.client_certificates
    if mode == "off":
        return []
    if mode == "passthrough":
        # HAProxy asks only when it has some authority to verify with. Here nothing that it finds matters.
        return [f"verify optional ca-file {quoted(places.authorities(_NOBODY))} no-ca-names ca-ignore-err all crt-ignore-err all"]
    asked = front.listener.mutual_authentication
    assert asked is not None and front.trust is not None
    options = [f"verify required ca-file {quoted(places.authorities(front.trust.authorities))}"]
    ignored = [_EXPIRED] if asked.ignore_client_certificate_expiry else []
    if front.trust.revocations:
        options.append(f"crl-file {quoted(places.revocations(front.trust.revocations))}")
        ignored.append(_NO_LIST)
    if asked.advertise_trust_store_ca_names != "on":
        options.append("no-ca-names")
    if ignored:
        numbers = ",".join(map(str, ignored))
        options.append(f"ca-ignore-err {numbers} crt-ignore-err {numbers}")
    return options


def client_files(front: Front, places: Places) -> dict[str, bytes]:
    """Files that its clients' certificates are verified with, named by what is in them."""
    mode = front.client_certificates if front.is_tls else "off"
    if mode == "passthrough":
        return {places.authorities(_NOBODY): _NOBODY}
    if mode != "verify" or front.trust is None:
        return {}
    found = {places.authorities(front.trust.authorities): front.trust.authorities}
    if front.trust.revocations:
        found[places.revocations(front.trust.revocations)] = front.trust.revocations
    return found
