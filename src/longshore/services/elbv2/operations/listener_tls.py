"""What surrounds a listener: its further certificates, its attributes, and the security policies there are to choose from."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import elbv2 as shapes
from longshore.services.call import Call
from longshore.services.elbv2.api import api
from longshore.services.elbv2.attributes import changed, shown
from longshore.services.elbv2.certificates import added, removed
from longshore.services.elbv2.errors import SSLPolicyNotFound, Validation
from longshore.services.elbv2.listener_attributes import check_together, listener_attributes
from longshore.services.elbv2.lookup import find_listener
from longshore.services.elbv2.model import LISTENERS, Listener
from longshore.services.elbv2.paging import page_of
from longshore.services.elbv2.ssl_policies import POLICIES, SslPolicy
from longshore.services.elbv2.tls import SECURE
from longshore.store.base import Tx

_Named = shapes.AddListenerCertificatesInput | shapes.RemoveListenerCertificatesInput | shapes.ModifyListenerAttributesInput


def _named(call: Call, request: _Named) -> Iterable[str]:
    return (request.listener_arn,)


# ── certificates ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _asked(listener: Listener, certificates: Iterable[shapes.Certificate]) -> list[str]:
    """ARNs, each once. Raises Validation."""
    if listener.protocol not in SECURE:
        raise Validation("Certificates can be specified for HTTPS and TLS listeners only")
    arns = list(dict.fromkeys(certificate.certificate_arn or "" for certificate in certificates))
    if not arns or not all(arns):
        raise Validation("At least one certificate ARN must be specified")
    if any(certificate.is_default is not None for certificate in certificates):
        raise Validation("You cannot set the isDefault parameter for a certificate")
    return arns


@api.operation("AddListenerCertificates", resource=_named)
async def add_listener_certificates(call: Call, request: shapes.AddListenerCertificatesInput) -> shapes.AddListenerCertificatesOutput:
    def add(tx: Tx) -> list[str]:
        listener = find_listener(tx, call, request.listener_arn)
        arns = _asked(listener, request.certificates)
        tx.put(LISTENERS, added(tx, call, listener, arns))
        return arns

    arns = await call.store.transact(add)
    shown_ = tuple(shapes.Certificate(certificate_arn=arn, is_default=False) for arn in arns)
    return shapes.AddListenerCertificatesOutput(certificates=shown_)


@api.operation("RemoveListenerCertificates", resource=_named)
async def remove_listener_certificates(
    call: Call, request: shapes.RemoveListenerCertificatesInput
) -> shapes.RemoveListenerCertificatesOutput:
    def remove(tx: Tx) -> None:
        listener = find_listener(tx, call, request.listener_arn)
        tx.put(LISTENERS, removed(listener, _asked(listener, request.certificates)))

    await call.store.transact(remove)
    return shapes.RemoveListenerCertificatesOutput()


@api.operation("DescribeListenerCertificates", resource=ANY_RESOURCE)
async def describe_listener_certificates(
    call: Call, request: shapes.DescribeListenerCertificatesInput
) -> shapes.DescribeListenerCertificatesOutput:
    listener = find_listener(call.store, call, request.listener_arn)
    default, further = listener.certificates[:1], sorted(listener.certificates[1:])
    # Keys in order: the default one comes first, whatever its ARN.
    rows = [*((f"0{arn}", arn, True) for arn in default), *((f"1{arn}", arn, False) for arn in further)]
    page, next_marker = page_of(rows, lambda row: row[0], request.marker, request.page_size)
    return shapes.DescribeListenerCertificatesOutput(
        certificates=tuple(shapes.Certificate(certificate_arn=arn, is_default=is_default) for _, arn, is_default in page),
        next_marker=next_marker,
    )


# ── attributes ───────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("DescribeListenerAttributes", resource=ANY_RESOURCE)
async def describe_listener_attributes(
    call: Call, request: shapes.DescribeListenerAttributesInput
) -> shapes.DescribeListenerAttributesOutput:
    return shapes.DescribeListenerAttributesOutput(attributes=_shown(find_listener(call.store, call, request.listener_arn)))


@api.operation("ModifyListenerAttributes", resource=_named)
async def modify_listener_attributes(call: Call, request: shapes.ModifyListenerAttributesInput) -> shapes.ModifyListenerAttributesOutput:
    asked = [(attribute.key, attribute.value) for attribute in request.attributes]

    def change(tx: Tx) -> Listener:
        listener = find_listener(tx, call, request.listener_arn)
        attributes = changed("Listener", listener_attributes(listener.protocol), listener.attributes, asked)
        check_together(listener.protocol, attributes)
        return tx.put(LISTENERS, replace(listener, attributes=attributes))

    return shapes.ModifyListenerAttributesOutput(attributes=_shown(await call.store.transact(change)))


def _shown(listener: Listener) -> tuple[shapes.ListenerAttribute, ...]:
    pairs = shown(listener_attributes(listener.protocol), listener.attributes)
    return tuple(shapes.ListenerAttribute(key=key, value=value) for key, value in pairs)


# ── security policies ────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("DescribeSSLPolicies", resource=ANY_RESOURCE)
async def describe_ssl_policies(call: Call, request: shapes.DescribeSSLPoliciesInput) -> shapes.DescribeSSLPoliciesOutput:
    wanted = [
        policy
        for policy in POLICIES.values()
        if request.load_balancer_type is None or request.load_balancer_type in policy.load_balancer_types
    ]
    if request.names:
        by_name = {policy.name: policy for policy in wanted}
        for name in request.names:
            if name not in by_name:
                raise SSLPolicyNotFound(f"SSL policy '{name}' not found")
        wanted = [by_name[name] for name in dict.fromkeys(request.names)]
    wanted.sort(key=lambda policy: policy.name)
    page, next_marker = page_of(wanted, lambda policy: policy.name, request.marker, request.page_size)
    return shapes.DescribeSSLPoliciesOutput(ssl_policies=tuple(_policy(policy) for policy in page), next_marker=next_marker)


def _policy(policy: SslPolicy) -> shapes.SslPolicy:
    return shapes.SslPolicy(
        name=policy.name,
        ssl_protocols=policy.protocols,
        ciphers=tuple(shapes.Cipher(name=name, priority=number) for number, name in enumerate(policy.ciphers, 1)),
        supported_load_balancer_types=policy.load_balancer_types,
    )
