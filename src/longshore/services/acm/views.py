"""How certificates are described in answers. Most of it is read off the certificate itself whenever somebody asks."""

from __future__ import annotations

from functools import lru_cache

from longshore.aws.shapes import acm as shapes
from longshore.kit.certificates import CertificateProblem
from longshore.services.acm.details import Details, details_of
from longshore.services.acm.lookup import is_managed, is_used, status_at, users_of
from longshore.services.acm.model import Certificate
from longshore.services.acm.validation import domain_validations
from longshore.store.base import Reader

#: names that a summary shows
_MOST_NAMES = 100


def read(certificate: Certificate) -> Details | None:
    """What the certificate says; None as long as there is none."""
    return _read(certificate.certificate) if certificate.certificate else None


@lru_cache(maxsize=4096)
def _read(pem: bytes) -> Details | None:
    """Kept, since listings and searches ask for the same ones over and over."""
    try:
        return details_of(pem)
    except CertificateProblem:
        return None


def export_option(certificate: Certificate) -> str | None:
    if not is_managed(certificate):
        return None
    return "ENABLED" if certificate.exportable else "DISABLED"


def renewal_eligibility(reader: Reader, certificate: Certificate) -> str:
    """As ACM has it: what is of use somewhere is worth renewing."""
    worth = certificate.exported or is_used(reader, certificate.arn)
    return "ELIGIBLE" if is_managed(certificate) and certificate.status == "ISSUED" and worth else "INELIGIBLE"


def origin(certificate: Certificate) -> str:
    return "AWS_MANAGED" if is_managed(certificate) else "CUSTOMER_PROVIDED"


def renewal_status(certificate: Certificate) -> str | None:
    if certificate.renewal_asked_at:
        return "PENDING_AUTO_RENEWAL"
    return "SUCCESS" if certificate.renewed_at else None


def detail(reader: Reader, certificate: Certificate, now: float) -> shapes.CertificateDetail:
    found, managed = read(certificate), is_managed(certificate)
    return shapes.CertificateDetail(
        certificate_arn=certificate.arn,
        domain_name=certificate.domain_name,
        subject_alternative_names=certificate.names,
        domain_validation_options=domain_validations(certificate) if managed else None,
        serial=found.serial if found else None,
        subject=found.subject if found else f"CN={certificate.domain_name}",
        issuer=(found.issuer_common_name or found.issuer) if found else None,
        created_at=certificate.created_at,
        issued_at=certificate.issued_at or None,
        imported_at=certificate.imported_at or None,
        status=status_at(certificate, now),
        revoked_at=certificate.revoked_at or None,
        revocation_reason=certificate.revocation_reason or None,
        not_before=certificate.not_before or None,
        not_after=certificate.not_after or None,
        key_algorithm=certificate.key_algorithm or None,
        signature_algorithm=found.signature_algorithm if found else "SHA256WITHECDSA",
        in_use_by=users_of(reader, certificate.arn),
        failure_reason=certificate.failure_reason or None,
        type=certificate.type,
        renewal_summary=_renewal_summary(certificate),
        key_usages=tuple(shapes.KeyUsage(name=name) for name in found.key_usages) if found else (),
        extended_key_usages=tuple(shapes.ExtendedKeyUsage(name=name, oid=oid) for name, oid in found.extended_key_usages) if found else (),
        renewal_eligibility=renewal_eligibility(reader, certificate),
        options=_options(certificate),
        update_summary=_update_summary(certificate),
        certificate_key_pair_origin=origin(certificate),
    )


def _renewal_summary(certificate: Certificate) -> shapes.RenewalSummary | None:
    status = renewal_status(certificate)
    if status is None:
        return None
    return shapes.RenewalSummary(
        renewal_status=status,
        domain_validation_options=domain_validations(certificate),
        updated_at=certificate.renewal_asked_at or certificate.renewed_at,
    )


def _options(certificate: Certificate) -> shapes.CertificateOptions:
    # What was imported may well stand in transparency logs; ACM says so of its own only.
    return shapes.CertificateOptions(
        certificate_transparency_logging_preference="ENABLED" if is_managed(certificate) else "DISABLED",
        export=export_option(certificate),  # type: ignore[arg-type]  # one of the two words
    )


def _update_summary(certificate: Certificate) -> shapes.UpdateSummary | None:
    if not certificate.method_changed_at:
        return None
    return shapes.UpdateSummary(
        status="SUCCESS",
        type="DOMAIN_VALIDATION_METHOD",
        domain_validation_method_update_summary=shapes.DomainValidationMethodUpdateSummary(
            from_=certificate.validated_before_by, to=certificate.validation_method
        ),
        requested_at=certificate.method_changed_at,
        updated_at=certificate.method_changed_at,
    )


def summary(reader: Reader, certificate: Certificate, now: float) -> shapes.CertificateSummary:
    found = read(certificate)
    return shapes.CertificateSummary(
        certificate_arn=certificate.arn,
        domain_name=certificate.domain_name,
        subject_alternative_name_summaries=certificate.names[:_MOST_NAMES],
        has_additional_subject_alternative_names=len(certificate.names) > _MOST_NAMES,
        status=status_at(certificate, now),
        type=certificate.type,
        key_algorithm=certificate.key_algorithm or None,
        key_usages=found.key_usages if found else (),
        extended_key_usages=tuple(name for name, _ in found.extended_key_usages) if found else (),
        export_option=export_option(certificate),
        in_use=is_used(reader, certificate.arn),
        exported=certificate.exported,
        renewal_eligibility=renewal_eligibility(reader, certificate),
        not_before=certificate.not_before or None,
        not_after=certificate.not_after or None,
        created_at=certificate.created_at,
        issued_at=certificate.issued_at or None,
        imported_at=certificate.imported_at or None,
        revoked_at=certificate.revoked_at or None,
        certificate_key_pair_origin=origin(certificate),
    )
