"""Proofs that a domain is one's own, as ACM asks for them: a DNS record to be set, or addresses that mail would go to.

The authority of an installation certifies what its owner asks for, so nothing waits for them; tools that set the records get
records to set, the same ones for as long as account and domain are the same.
"""

from __future__ import annotations

import hashlib

from longshore.aws.shapes import acm as shapes
from longshore.services.acm.model import Certificate, scope_of

_MAILBOXES = ("admin", "administrator", "hostmaster", "postmaster", "webmaster")


def record_for(scope: str, domain: str) -> shapes.ResourceRecord:
    """One for a domain and all that a wildcard stands for below it."""
    base = domain.removeprefix("*.")
    name, value, zone = (hashlib.sha256(f"{purpose}|{scope}|{base}".encode()).hexdigest() for purpose in ("name", "value", "zone"))
    zone_name = "".join(chr(ord("a") + int(zone[at : at + 2], 16) % 26) for at in range(0, 20, 2))
    return shapes.ResourceRecord(name=f"_{name[:32]}.{base}.", type="CNAME", value=f"_{value[:32]}.{zone_name}.acm-validations.aws.")


def status_of(certificate: Certificate) -> str:
    """Of every domain alike."""
    return {"PENDING_VALIDATION": "PENDING_VALIDATION", "FAILED": "FAILED", "VALIDATION_TIMED_OUT": "FAILED"}.get(
        certificate.status, "SUCCESS"
    )


def domain_validations(certificate: Certificate) -> tuple[shapes.DomainValidation, ...]:
    return tuple(_validation(certificate, domain) for domain in certificate.names)


def _validation(certificate: Certificate, domain: str) -> shapes.DomainValidation:
    status, method = status_of(certificate), certificate.validation_method
    if method == "DNS":
        record = record_for(scope_of(certificate.arn), domain)
        return shapes.DomainValidation(
            domain_name=domain, validation_domain=domain, validation_status=status, resource_record=record, validation_method=method
        )
    return shapes.DomainValidation(
        domain_name=domain,
        validation_emails=mailboxes(certificate, domain),
        validation_domain=certificate.validation_domains.get(domain, domain),
        validation_status=status,
        validation_method=method,
    )


def mailboxes(certificate: Certificate, domain: str) -> tuple[str, ...]:
    where = certificate.validation_domains.get(domain, domain).removeprefix("*.")
    return tuple(f"{mailbox}@{where}" for mailbox in _MAILBOXES)


def summaries(certificate: Certificate) -> tuple[shapes.DomainValidationSummary, ...]:
    return tuple(
        shapes.DomainValidationSummary(domain_name=domain, active_validation_configuration=_configuration(certificate, domain))
        for domain in certificate.names
    )


def _configuration(certificate: Certificate, domain: str) -> shapes.ValidationConfiguration:
    if certificate.validation_method == "DNS":
        challenge = shapes.ValidationChallenge(
            dns_validation_challenge=shapes.DnsValidationChallenge(resource_record=record_for(scope_of(certificate.arn), domain))
        )
    else:
        challenge = shapes.ValidationChallenge(
            email_validation_challenge=shapes.EmailValidationChallenge(
                validation_emails=mailboxes(certificate, domain),
                validation_domain=certificate.validation_domains.get(domain, domain),
            )
        )
    return shapes.ValidationConfiguration(
        validation_method=certificate.validation_method, validation_challenge=challenge, validation_status=status_of(certificate)
    )
