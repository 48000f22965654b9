"""Listeners of Classic load balancers as they may be: which protocols go with which, certificates, one per port."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from longshore.aws.errors import AwsError
from longshore.aws.shapes import elb as shapes
from longshore.services.call import Call
from longshore.services.elb.errors import (
    CertificateNotFound,
    DuplicateListener,
    InvalidConfigurationRequest,
    UnsupportedProtocol,
    Validation,
)
from longshore.services.elb.lookup import LISTENERS_PER_LOAD_BALANCER
from longshore.services.elb.model import Listener
from longshore.services.elb.ssl_negotiation import DEFAULT
from longshore.services.elbv2.certificates import check_certificate
from longshore.store.base import Reader

PROTOCOLS = ("HTTP", "HTTPS", "TCP", "SSL")
_HTTP = ("HTTP", "HTTPS")
SECURE = ("HTTPS", "SSL")


def asked_listener(asked: shapes.Listener) -> Listener:
    """A listener as a request says it, checked by itself. Raises UnsupportedProtocol, Validation, InvalidConfigurationRequest."""
    protocol = asked.protocol.upper()
    if protocol not in PROTOCOLS:
        raise UnsupportedProtocol(f"Listener protocol '{asked.protocol[:64]}' must be one of {', '.join(PROTOCOLS)}")
    # Behind a listener that says nothing of it stands the protocol without TLS, of the same layer.
    instance_protocol = (asked.instance_protocol or ("HTTP" if protocol in _HTTP else "TCP")).upper()
    if instance_protocol not in PROTOCOLS:
        raise UnsupportedProtocol(f"Instance protocol '{instance_protocol[:64]}' must be one of {', '.join(PROTOCOLS)}")
    if (protocol in _HTTP) != (instance_protocol in _HTTP):
        raise Validation("Protocol and InstanceProtocol must be at the same Internet protocol layer: HTTP and HTTPS, or TCP and SSL")
    if not 1 <= asked.load_balancer_port <= 65535:
        raise Validation("Load Balancer port must be between 1 and 65535")
    if protocol in SECURE and not asked.ssl_certificate_id:
        raise Validation(f"A certificate must be specified for {protocol} listeners")
    if protocol not in SECURE and asked.ssl_certificate_id:
        raise InvalidConfigurationRequest(f"SSLCertificateId can be specified only for HTTPS and SSL listeners, and not for {protocol}")
    return Listener(
        port=asked.load_balancer_port,
        protocol=protocol,
        instance_port=asked.instance_port,
        instance_protocol=instance_protocol,
        certificate=asked.ssl_certificate_id or "",
        policies=(DEFAULT,) if protocol in SECURE else (),
    )


def with_listeners(known: Sequence[Listener], asked: Iterable[Listener]) -> tuple[Listener, ...]:
    """`known` and those `asked` for, in order of their ports; one that is there already stays as it is. Raises DuplicateListener, …"""
    by_port = {listener.port: listener for listener in known}
    for listener in asked:
        other = by_port.get(listener.port)
        if other is not None and replace(other, policies=listener.policies) != listener:
            raise DuplicateListener(
                f"A listener already exists for port {listener.port}, but with a different instance port, protocol, or SSL certificate"
            )
        by_port.setdefault(listener.port, listener)
    found = tuple(by_port[port] for port in sorted(by_port))
    if len(found) > LISTENERS_PER_LOAD_BALANCER:
        raise InvalidConfigurationRequest(f"A load balancer cannot have more than {LISTENERS_PER_LOAD_BALANCER} listeners")
    _check_together(found)
    return found


def _check_together(listeners: Iterable[Listener]) -> None:
    """All speak to one port of the instances with TLS, or none does."""
    is_secure: dict[int, bool] = {}
    for listener in listeners:
        secure = listener.instance_protocol in SECURE
        if is_secure.setdefault(listener.instance_port, secure) != secure:
            raise InvalidConfigurationRequest(
                f"All listeners for the instance port {listener.instance_port} must use a secure InstanceProtocol (HTTPS or SSL), or none"
            )


def check_certificates(reader: Reader, call: Call, listeners: Iterable[Listener]) -> None:
    for listener in listeners:
        if listener.certificate:
            check_server_certificate(reader, call, listener.certificate)


def check_server_certificate(reader: Reader, call: Call, arn: str) -> None:
    """Raises CertificateNotFound, and InvalidConfigurationRequest for one that TLS could not be done with."""
    try:
        check_certificate(reader, call.account_id, call.region, arn)
    except AwsError as error:
        if error.wire("query")[0] == "CertificateNotFound":
            raise CertificateNotFound(f"Server Certificate not found for the key: {arn[:255]}") from None
        raise InvalidConfigurationRequest(error.message) from None
