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
    #: RSA_2048, EC_prime256v1, … in ACM's words
    key_algorithm: str = ""
    imported_at: float = 0.0
    #: of the first that was issued for this request, and of the one there is
    issued_at: float = 0.0
    renewed_at: float = 0.0
    #: somebody wants it renewed since then; 0 where nobody does
    renewal_asked_at: float = 0.0
    #: DNS | EMAIL; empty for what was imported
    validation_method: str = ""
    #: domain -> where mail about it would go
    validation_domains: dict[str, str] = {}
    #: the method before the last change of it, and when that was
    validated_before_by: str = ""
    method_changed_at: float = 0.0
    exportable: bool = False
    #: whether its key has been handed out
    exported: bool = False
    revoked_at: float = 0.0
    revocation_reason: str = ""
    failure_reason: str = ""
    #: of the request, which may be repeated with it for a while
    idempotency_token: str = ""


class AccountConfiguration(msgspec.Struct, frozen=True, gc=False):
    #: `region:account`
    scope: str
    #: so long before certificates end events begin to tell of it
    days_before_expiry: int
    idempotency_token: str
    changed_at: float


def scope_of(arn: str) -> str:
    """`region:account` of an ARN: what listings are confined to."""
    parts = arn.split(":", 5)
    return f"{parts[3]}:{parts[4]}"


CERTIFICATES: Kind[Certificate] = Kind(
    name="acm.certificate",
    type=Certificate,
    key=lambda certificate: certificate.arn,
    indexes={
        "scope": lambda certificate: (scope_of(certificate.arn),),
        "token": lambda certificate: (
            (token_key(scope_of(certificate.arn), certificate.idempotency_token),) if certificate.idempotency_token else ()
        ),
    },
)


def token_key(scope: str, token: str) -> str:
    return f"{scope}:{token}"


ACCOUNT_CONFIGURATIONS: Kind[AccountConfiguration] = Kind(
    name="acm.account_configuration", type=AccountConfiguration, key=lambda configuration: configuration.scope
)

KINDS: tuple[Kind[Any], ...] = (CERTIFICATES, ACCOUNT_CONFIGURATIONS)
