"""What a listener was when HAProxy wrote a line: all that a line leaves out because it is the same for every one. Pure.

Legends are named by their content and written before the configuration that uses them: a worker that finishes old requests goes on
naming the legend it began with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.snapshot import Front
from longshore.balancer.words import backend_name
from longshore.services.elbv2.model import LoadBalancer, TargetGroup, target_groups_of


class Place(msgspec.Struct, frozen=True):
    """Where log files go."""

    bucket: str
    prefix: str = ""
    #: minutes between two files
    every: int = 5


class GroupLegend(msgspec.Struct, frozen=True):
    arn: str
    protocol_version: str = "HTTP1"


class CertificateLegend(msgspec.Struct, frozen=True):
    arn: str
    names: tuple[str, ...] = ()


class Legend(msgspec.Struct, frozen=True):
    load_balancer_arn: str
    load_balancer_name: str
    #: application | network | classic
    type: str
    listener_arn: str
    protocol: str
    #: as clients know it
    port: int
    #: the load balancer's own
    address: str
    access_logs: Place | None = None
    connection_logs: Place | None = None
    #: priority (0: the default rule) -> types of its actions, in their order
    rules: dict[str, tuple[str, ...]] = {}
    #: backend -> the target group behind it
    groups: dict[str, GroupLegend] = {}
    #: the default one first
    certificates: tuple[CertificateLegend, ...] = ()

    @property
    def is_http(self) -> bool:
        return self.protocol in ("HTTP", "HTTPS")

    @property
    def is_tls(self) -> bool:
        """Whether TLS ends here."""
        return self.protocol in ("HTTPS", "TLS", "SSL")

    @property
    def id(self) -> str:
        """`app/NAME/ID` or `net/NAME/ID`, as lines and dimensions have it; a Classic one's name."""
        return self.load_balancer_name if self.type == "classic" else self.load_balancer_arn.rpartition(":loadbalancer/")[2]

    @property
    def scope(self) -> str:
        """region:account"""
        parts = self.load_balancer_arn.split(":", 5)
        return f"{parts[3]}:{parts[4]}"

    def certificate_for(self, name: str) -> str:
        """The ARN of the one that a client gets that asks for `name`; empty when there is none."""
        asked = name.lower()
        wild = f"*.{asked.partition('.')[2]}"
        for wanted in (asked, wild):
            for certificate in self.certificates:
                if wanted in certificate.names:
                    return certificate.arn
        return self.certificates[0].arn if self.certificates else ""


def legend_of(front: Front, groups: Mapping[str, TargetGroup]) -> Legend:
    """`groups`: ARN -> each target group that the listener may forward to."""
    lb, listener = front.load_balancer, front.listener
    rules = {"0": types_of(listener.default_actions)}
    rules |= {str(rule.priority): types_of(rule.actions) for rule in front.rules}
    all_actions = (listener.default_actions, *(rule.actions for rule in front.rules))
    arns = dict.fromkeys(arn for actions in all_actions for arn in target_groups_of(actions))
    access_logs = place_of(lb, "access_logs")
    return Legend(
        load_balancer_arn=lb.arn,
        load_balancer_name=lb.name,
        type=lb.type,
        listener_arn=listener.arn,
        protocol=listener.protocol,
        port=listener.port,
        address=front.address,
        access_logs=access_logs,
        connection_logs=place_of(lb, "connection_logs") if lb.type == "application" and front.is_tls else None,
        rules=rules,
        groups={backend_name(arn): GroupLegend(arn, groups[arn].protocol_version) for arn in arns if arn in groups},
        certificates=tuple(CertificateLegend(proof.arn, proof.names) for proof in front.proofs if not proof.problem) if access_logs else (),
    )


def types_of(actions: Iterable[shapes.Action]) -> tuple[str, ...]:
    return tuple(action.type for action in actions)


def place_of(lb: LoadBalancer, kind: str) -> Place | None:
    """Where logs of `kind` (access_logs, connection_logs) go; None while they are off."""
    attributes = lb.attributes
    bucket = attributes.get(f"{kind}.s3.bucket", "")
    if attributes.get(f"{kind}.s3.enabled") != "true" or not bucket:
        return None
    every = attributes.get(f"{kind}.s3.emit_interval_minutes", "")  # a Classic load balancer's
    return Place(bucket, attributes.get(f"{kind}.s3.prefix", ""), int(every) if every.isdecimal() and int(every) else 5)


def encoded(legend: Legend) -> tuple[str, bytes]:
    """(its mark: 16 hexadecimal digits, its content)."""
    content = msgspec.json.encode(legend, order="deterministic")
    return hashlib.sha256(content).hexdigest()[:16], content


def decoded(content: bytes) -> Legend:
    """Raises msgspec.DecodeError (and its ValidationError)."""
    return msgspec.json.decode(content, type=Legend)
