"""The TLS side of a listener: its policy, its default certificate, ALPN and what becomes of clients' certificates, checked together.

Which of it there may be depends on the protocol alone; what ModifyListener leaves out stays as it was for as long as the
protocol still has it.
"""

from __future__ import annotations

from msgspec.structs import replace

from longshore.aws.shapes import elbv2 as shapes
from longshore.services.call import Call
from longshore.services.elbv2.certificates import check_certificate
from longshore.services.elbv2.errors import (
    ALPNPolicyNotSupported,
    InvalidConfigurationRequest,
    SSLPolicyNotFound,
    Validation,
)
from longshore.services.elbv2.lookup import find_trust_store
from longshore.services.elbv2.model import LISTENERS, Listener
from longshore.services.elbv2.ssl_policies import DEFAULT, POLICIES
from longshore.store.base import Reader

SECURE = ("HTTPS", "TLS")
ALPN_POLICIES = ("HTTP1Only", "HTTP2Only", "HTTP2Optional", "HTTP2Preferred", "None")
MODES = ("off", "passthrough", "verify")

_Request = shapes.CreateListenerInput | shapes.ModifyListenerInput


def with_tls(reader: Reader, call: Call, listener: Listener, request: _Request, lb_type: str) -> Listener:
    """`listener`, whose protocol is the one asked for, with what `request` says of TLS. Raises what is wrong with it."""
    if listener.protocol not in SECURE:
        _refuse_tls(listener.protocol, request)
        return replace(listener, ssl_policy="", certificates=(), alpn_policy=(), mutual_authentication=None)
    return replace(
        listener,
        ssl_policy=_policy(reader, listener, request.ssl_policy or listener.ssl_policy or DEFAULT, lb_type),
        certificates=_certificates(reader, call, listener, request.certificates),
        alpn_policy=_alpn(listener, request.alpn_policy),
        mutual_authentication=_mutual(reader, call, listener, request.mutual_authentication),
    )


def _refuse_tls(protocol: str, request: _Request) -> None:
    for given, what in (
        (request.certificates, "Certificates"),
        (request.ssl_policy, "SSL policies"),
        (request.alpn_policy, "ALPN policies"),
        (request.mutual_authentication and request.mutual_authentication.mode not in (None, "off"), "Mutual authentication"),
    ):
        if given:
            raise InvalidConfigurationRequest(f"{what} cannot be specified for {protocol} listeners")


def _policy(reader: Reader, listener: Listener, name: str, lb_type: str) -> str:
    policy = POLICIES.get(name)
    if policy is None or lb_type not in policy.load_balancer_types:
        raise SSLPolicyNotFound(f"SSL policy '{name}' not found")
    for other in reader.list(LISTENERS, "load_balancer", listener.load_balancer_arn):
        is_another = other.port != listener.port and other.arn != listener.arn
        if is_another and other.ssl_policy and ("-FIPS-" in other.ssl_policy) != ("-FIPS-" in name):
            raise InvalidConfigurationRequest("All listeners of a load balancer must use FIPS security policies, or none of them")
    return name


def _certificates(reader: Reader, call: Call, listener: Listener, given: tuple[shapes.Certificate, ...] | None) -> tuple[str, ...]:
    """The default one first. What was added to the list beside it stays there when the default one changes."""
    if given is None and listener.certificates:
        return listener.certificates
    arns = [certificate.certificate_arn or "" for certificate in given or ()]
    if not arns or not arns[0]:
        raise Validation(f"A certificate must be specified for {listener.protocol} listeners")
    if len(arns) > 1:
        raise Validation(
            f"You can specify exactly one certificate for {listener.protocol} listeners; add others to the listener afterwards"
        )
    if any(certificate.is_default is not None for certificate in given or ()):
        raise Validation("You cannot set the isDefault parameter for a certificate")
    check_certificate(reader, call.account_id, call.region, arns[0])
    return (arns[0], *listener.certificates[1:])


def _alpn(listener: Listener, given: tuple[str, ...] | None) -> tuple[str, ...]:
    if given is None:
        return listener.alpn_policy if listener.protocol == "TLS" else ()
    if listener.protocol != "TLS" and given:
        raise InvalidConfigurationRequest(f"ALPN policies cannot be specified for {listener.protocol} listeners")
    if len(given) > 1:
        raise Validation("You can specify only one ALPN policy")
    for name in given:
        if name not in ALPN_POLICIES:
            raise ALPNPolicyNotSupported(f"ALPN policy '{name}' is not one of: {', '.join(ALPN_POLICIES)}")
    return given


def _mutual(
    reader: Reader, call: Call, listener: Listener, given: shapes.MutualAuthenticationAttributes | None
) -> shapes.MutualAuthenticationAttributes | None:
    if given is None:
        return listener.mutual_authentication if listener.protocol == "HTTPS" else None
    mode = given.mode or "off"
    if mode not in MODES:
        raise Validation(f"The mutual authentication mode must be one of: {', '.join(MODES)}")
    if given.trust_store_association_status is not None:
        raise Validation("The association status of a trust store cannot be set")
    if mode != "off" and listener.protocol != "HTTPS":
        raise InvalidConfigurationRequest(f"Mutual authentication cannot be specified for {listener.protocol} listeners")
    if mode != "verify":
        for value, what in (
            (given.trust_store_arn, "A trust store"),
            (given.ignore_client_certificate_expiry, "IgnoreClientCertificateExpiry"),
            (given.advertise_trust_store_ca_names == "on", "AdvertiseTrustStoreCaNames"),
        ):
            if value:
                raise Validation(f"{what} can be specified only when the mutual authentication mode is verify")
        return shapes.MutualAuthenticationAttributes(mode=mode) if mode == "passthrough" else None
    if not given.trust_store_arn:
        raise Validation("A trust store must be specified when the mutual authentication mode is verify")
    find_trust_store(reader, call, given.trust_store_arn)
    return shapes.MutualAuthenticationAttributes(
        mode="verify",
        trust_store_arn=given.trust_store_arn,
        ignore_client_certificate_expiry=bool(given.ignore_client_certificate_expiry),
        advertise_trust_store_ca_names=given.advertise_trust_store_ca_names or "off",
    )
