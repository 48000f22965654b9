"""What AWS Certificate Manager keeps: certificates, imported or issued by the installation's own authority.

Private keys are sealed with the installation's key under the purpose `PURPOSE`; nothing else opens them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.kit.resource import Kind

#: what private keys are sealed for
PURPOSE = "certificate-key"


class Tag(msgspec.Struct, frozen=True, gc=False):
    key: str
    value: str = ""


class Certificate(msgspec.Struct, frozen=True, gc=False):
    arn: str
    type: str  # IMPORTED | AMAZON_ISSUED | PRIVATE
    status: str  # PENDING_VALIDATION | ISSUED | INACTIVE | EXPIRED | VALIDATION_TIMED_OUT | REVOKED | FAILED
    domain_name: str
    created_at: float
    #: every name it is good for, `domain_name` among them
    names: tuple[str, ...] = ()
    #: PEM of the certificate alone; empty as long as none is issued
    certificate: bytes = b""
    #: PEM of what leads from it to a root, in order
    chain: bytes = b""
    #: PEM of its private key, sealed
    sealed_key: bytes = b""
    not_before: float = 0.0
    not_after: float = 0.0
    tags: tuple[Tag, ...] = ()


def scope_of(arn: str) -> str:
    """`region:account` of an ARN: what listings are confined to."""
    parts = arn.split(":", 5)
    return f"{parts[3]}:{parts[4]}"


CERTIFICATES: Kind[Certificate] = Kind(
    name="acm.certificate",
    type=Certificate,
    key=lambda certificate: certificate.arn,
    indexes={"scope": lambda certificate: (scope_of(certificate.arn),)},
)

KINDS: tuple[Kind[Any], ...] = (CERTIFICATES,)
