"""Which certificates a search means, and in which order they come.

A statement is a tree of And, Or, Not and filters; how deep it may be is bounded before it is walked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from longshore.aws.shapes import acm as shapes
from longshore.services.acm import views
from longshore.services.acm.details import Details
from longshore.services.acm.errors import Validation
from longshore.services.acm.lookup import is_used, status_at
from longshore.services.acm.model import Certificate
from longshore.store.base import Reader

_DEEPEST = 5


@dataclass(frozen=True, slots=True)
class Candidate:
    """A certificate with all that can be asked about it."""

    certificate: Certificate
    details: Details | None
    status: str
    in_use: bool
    renewal_eligibility: str


def candidate(reader: Reader, certificate: Certificate, now: float) -> Candidate:
    return Candidate(
        certificate=certificate,
        details=views.read(certificate),
        status=status_at(certificate, now),
        in_use=is_used(reader, certificate.arn),
        renewal_eligibility=views.renewal_eligibility(reader, certificate),
    )


# ── filters ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def matches(found: Candidate, statement: shapes.CertificateFilterStatement) -> bool:
    """`statement` has passed `check_depth`."""
    if statement.and_ is not None:
        return all(matches(found, each) for each in statement.and_)
    if statement.or_ is not None:
        return any(matches(found, each) for each in statement.or_)
    if statement.not_ is not None:
        return not matches(found, statement.not_)
    return statement.filter is None or _passes(found, statement.filter)


def check_depth(statement: shapes.CertificateFilterStatement | None, depth: int = 1) -> None:
    """Raises Validation for a statement that is too deep."""
    if statement is None:
        return
    if depth > _DEEPEST:
        raise Validation(f"A filter statement may have {_DEEPEST} levels at most.")
    for each in (*(statement.and_ or ()), *(statement.or_ or ()), statement.not_):
        check_depth(each, depth + 1)


def _passes(found: Candidate, asked: shapes.CertificateFilter) -> bool:
    if asked.certificate_arn is not None:
        return found.certificate.arn == asked.certificate_arn
    if asked.x509_attribute_filter is not None:
        return found.details is not None and _x509(found.details, asked.x509_attribute_filter)
    if asked.acm_certificate_metadata_filter is not None:
        return _metadata(found, asked.acm_certificate_metadata_filter)
    return True


def _x509(details: Details, asked: shapes.X509AttributeFilter) -> bool:
    if asked.subject is not None and asked.subject.common_name is not None:
        return _text(details.common_name, asked.subject.common_name)
    if asked.subject_alternative_name is not None and (name := asked.subject_alternative_name.dns_name) is not None:
        return any(_text(each, name) for each in details.names)
    if asked.extended_key_usage is not None:
        return asked.extended_key_usage in {name for name, _ in details.extended_key_usages or (("NONE", ""),)}
    if asked.key_usage is not None:
        return asked.key_usage in details.key_usages
    if asked.key_algorithm is not None:
        return details.key_algorithm == asked.key_algorithm
    if asked.serial_number is not None:
        return details.serial == asked.serial_number
    if asked.not_after is not None:
        return _within(details.not_after, asked.not_after)
    return asked.not_before is None or _within(details.not_before, asked.not_before)


def _text(value: str, asked: shapes.CommonNameFilter | shapes.DnsNameFilter) -> bool:
    value, wanted = value.lower(), asked.value.lower()
    return value == wanted if asked.comparison_operator == "EQUALS" else wanted in value


def _within(at: float, asked: shapes.TimestampRange) -> bool:
    return (asked.start is None or at >= asked.start) and (asked.end is None or at <= asked.end)


def _metadata(found: Candidate, asked: shapes.AcmCertificateMetadataFilter) -> bool:
    certificate = found.certificate
    facts: tuple[tuple[object, object], ...] = (
        (asked.status, found.status),
        (asked.renewal_status, views.renewal_status(certificate)),
        (asked.type, certificate.type),
        (asked.in_use, found.in_use),
        (asked.exported, certificate.exported),
        (asked.export_option, views.export_option(certificate)),
        (asked.managed_by, None),
        (asked.validation_method, certificate.validation_method),
        (asked.certificate_key_pair_origin, views.origin(certificate)),
        (asked.acme_endpoint_arn, None),
        (asked.acme_account_id, None),
    )
    return all(wanted is None or wanted == is_ for wanted, is_ in facts)


# ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_ORDERS: Mapping[str, Callable[[Candidate], float | str]] = {
    "CREATED_AT": lambda found: found.certificate.created_at,
    "NOT_AFTER": lambda found: found.certificate.not_after,
    "STATUS": lambda found: found.status,
    "RENEWAL_STATUS": lambda found: views.renewal_status(found.certificate) or "",
    "EXPORTED": lambda found: float(found.certificate.exported),
    "IN_USE": lambda found: float(found.in_use),
    "NOT_BEFORE": lambda found: found.certificate.not_before,
    "KEY_ALGORITHM": lambda found: found.certificate.key_algorithm,
    "TYPE": lambda found: found.certificate.type,
    "CERTIFICATE_ARN": lambda found: found.certificate.arn,
    "COMMON_NAME": lambda found: found.details.common_name if found.details else found.certificate.domain_name,
    "REVOKED_AT": lambda found: found.certificate.revoked_at,
    "RENEWAL_ELIGIBILITY": lambda found: found.renewal_eligibility,
    "ISSUED_AT": lambda found: found.certificate.issued_at,
    "MANAGED_BY": lambda found: "",
    "EXPORT_OPTION": lambda found: views.export_option(found.certificate) or "",
    "VALIDATION_METHOD": lambda found: found.certificate.validation_method,
    "IMPORTED_AT": lambda found: found.certificate.imported_at,
    "ACME_ENDPOINT_ARN": lambda found: "",
    "ACME_ACCOUNT_ID": lambda found: "",
    "CERTIFICATE_KEY_PAIR_ORIGIN": lambda found: views.origin(found.certificate),
}


def place(found: Candidate, order: str) -> tuple[float | str, str]:
    """What sorts it, different for every certificate."""
    return _ORDERS[order](found), found.certificate.arn
