"""Listeners of Classic load balancers, and the certificates that they show."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.shapes import elb as shapes
from longshore.services.call import Call
from longshore.services.elb import permissions
from longshore.services.elb.api import api
from longshore.services.elb.changes import change
from longshore.services.elb.errors import InvalidConfigurationRequest, ListenerNotFound, Validation
from longshore.services.elb.listeners import asked_listener, check_certificates, check_server_certificate, with_listeners
from longshore.services.elb.lookup import load_balancer_arn
from longshore.services.elb.model import ClassicLoadBalancer
from longshore.services.elb.policies import adopting
from longshore.store.base import Reader

_Named = shapes.CreateLoadBalancerListenerInput | shapes.DeleteLoadBalancerListenerInput | shapes.SetLoadBalancerListenerSSLCertificateInput


def _named(call: Call, request: _Named) -> Iterable[str]:
    return (load_balancer_arn(call, request.load_balancer_name),)


@api.operation("CreateLoadBalancerListeners", resource=_named, conditions=permissions.listeners)
async def create_load_balancer_listeners(
    call: Call, request: shapes.CreateLoadBalancerListenerInput
) -> shapes.CreateLoadBalancerListenerOutput:
    if not request.listeners:
        raise Validation("At least one listener must be specified")
    asked = [asked_listener(listener) for listener in request.listeners]

    def add(reader: Reader, lb: ClassicLoadBalancer) -> ClassicLoadBalancer:
        listeners = with_listeners(lb.listeners, asked)
        check_certificates(reader, call, asked)
        return replace(lb, listeners=listeners, policies=adopting(lb, (name for listener in listeners for name in listener.policies)))

    await change(call, request.load_balancer_name, add)
    return shapes.CreateLoadBalancerListenerOutput()


@api.operation("DeleteLoadBalancerListeners", resource=_named)
async def delete_load_balancer_listeners(
    call: Call, request: shapes.DeleteLoadBalancerListenerInput
) -> shapes.DeleteLoadBalancerListenerOutput:
    gone = set(request.load_balancer_ports)
    if not gone:
        raise Validation("At least one load balancer port must be specified")

    def delete(reader: Reader, lb: ClassicLoadBalancer) -> ClassicLoadBalancer:
        listeners = tuple(listener for listener in lb.listeners if listener.port not in gone)
        served = {listener.instance_port for listener in listeners}
        return replace(lb, listeners=listeners, backends=tuple(backend for backend in lb.backends if backend.instance_port in served))

    await change(call, request.load_balancer_name, delete)
    return shapes.DeleteLoadBalancerListenerOutput()


@api.operation("SetLoadBalancerListenerSSLCertificate", resource=_named)
async def set_load_balancer_listener_ssl_certificate(
    call: Call, request: shapes.SetLoadBalancerListenerSSLCertificateInput
) -> shapes.SetLoadBalancerListenerSSLCertificateOutput:
    def replace_certificate(reader: Reader, lb: ClassicLoadBalancer) -> ClassicLoadBalancer:
        listener = lb.listener(request.load_balancer_port)
        if listener is None:
            raise ListenerNotFound(f"There is no listener on port {request.load_balancer_port} for load balancer {lb.name}")
        if not listener.is_secure:
            raise InvalidConfigurationRequest(f"The listener on port {listener.port} is {listener.protocol}, and shows no certificate")
        check_server_certificate(reader, call, request.ssl_certificate_id)
        changed = replace(listener, certificate=request.ssl_certificate_id)
        return replace(lb, listeners=tuple(changed if one.port == listener.port else one for one in lb.listeners))

    await change(call, request.load_balancer_name, replace_certificate)
    return shapes.SetLoadBalancerListenerSSLCertificateOutput()
