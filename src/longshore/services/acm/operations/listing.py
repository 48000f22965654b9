"""Certificates listed and searched, and how the domains of one are proved to be one's own."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.pagination import seal, unseal
from longshore.aws.shapes import acm as shapes
from longshore.services.acm import views
from longshore.services.acm.api import api
from longshore.services.acm.errors import InvalidArgsException, Validation
from longshore.services.acm.lookup import find, is_managed, scope_of_call, status_at
from longshore.services.acm.model import CERTIFICATES, Certificate
from longshore.services.acm.searching import Candidate, candidate, check_depth, matches, place
from longshore.services.acm.validation import summaries
from longshore.services.call import Call

_PAGE = 100
_MOST_ITEMS = 1000
#: what is listed where nobody says which keys are wanted
_USUAL_KEYS = ("RSA_1024", "RSA_2048")


@api.operation("ListCertificates", resource=ANY_RESOURCE)
async def list_certificates(call: Call, request: shapes.ListCertificatesRequest) -> shapes.ListCertificatesResponse:
    if (request.sort_by is None) != (request.sort_order is None):
        raise Validation("SortBy and SortOrder must be specified together.")
    now, limit = call.clock.now(), request.max_items or _PAGE
    asked = (
        request.certificate_statuses,
        request.certificate_key_pair_origins,
        repr(request.includes),
        request.sort_by,
        request.sort_order,
    )
    question = ("ListCertificates", scope_of_call(call), *asked)
    after = unseal(call.secret_for_signing, question, request.next_token, InvalidArgsException("The NextToken is not valid."))
    shown = [each for each in call.store.list(CERTIFICATES, "scope", scope_of_call(call)) if _is_listed(each, request, now)]
    descending = request.sort_order == "DESCENDING"

    def place_of(certificate: Certificate) -> tuple[float, str]:
        return (certificate.created_at if request.sort_by else 0.0), certificate.arn

    shown.sort(key=place_of, reverse=descending)
    if after is not None:
        # The place where the last page ended, which stays one although the certificate there may be gone.
        end = msgspec.json.decode(after, type=tuple[float, str])
        shown = [each for each in shown if (place_of(each) < end if descending else place_of(each) > end)]
    found = shown[:limit]
    return shapes.ListCertificatesResponse(
        certificate_summary_list=tuple(views.summary(call.store, each, now) for each in found),
        next_token=seal(call.secret_for_signing, question, msgspec.json.encode(place_of(found[-1])).decode())
        if len(shown) > limit
        else None,
    )


def _is_listed(certificate: Certificate, request: shapes.ListCertificatesRequest, now: float) -> bool:
    includes = request.includes or shapes.Filters()
    if request.certificate_statuses and status_at(certificate, now) not in request.certificate_statuses:
        return False
    if request.certificate_key_pair_origins and views.origin(certificate) not in request.certificate_key_pair_origins:
        return False
    if certificate.key_algorithm not in (includes.key_types or _USUAL_KEYS) or includes.managed_by is not None:
        return False
    if includes.export_option is not None and views.export_option(certificate) != includes.export_option:
        return False
    if not includes.key_usage and not includes.extended_key_usage:
        return True
    details = views.read(certificate)
    usages = set(details.key_usages) if details else set()
    extended = {name for name, _ in details.extended_key_usages} if details else set()
    return usages >= set(includes.key_usage or ()) and (extended or {"NONE"}) >= set(includes.extended_key_usage or ())


@api.operation("SearchCertificates", resource=ANY_RESOURCE)
async def search_certificates(call: Call, request: shapes.SearchCertificatesRequest) -> shapes.SearchCertificatesResponse:
    check_depth(request.filter_statement)
    now, limit, order = call.clock.now(), request.max_results or _PAGE, request.sort_by or "CREATED_AT"
    question = ("SearchCertificates", scope_of_call(call), repr(request.filter_statement), order, request.sort_order)
    after = unseal(call.secret_for_signing, question, request.next_token, Validation("The NextToken is not valid."))
    found = [candidate(call.store, each, now) for each in call.store.list(CERTIFICATES, "scope", scope_of_call(call))]
    if request.filter_statement is not None:
        found = [each for each in found if matches(each, request.filter_statement)]
    descending = request.sort_order != "ASCENDING"
    found.sort(key=lambda each: place(each, order), reverse=descending)
    if after is not None:
        end = msgspec.json.decode(after, type=tuple[float | str, str])
        found = [each for each in found if (place(each, order) < end if descending else place(each, order) > end)]
    page = found[:limit]
    return shapes.SearchCertificatesResponse(
        results=tuple(_result(each) for each in page),
        next_token=seal(call.secret_for_signing, question, msgspec.json.encode(place(page[-1], order)).decode())
        if len(found) > limit
        else None,
    )


def _result(found: Candidate) -> shapes.CertificateSearchResult:
    certificate = found.certificate
    return shapes.CertificateSearchResult(
        certificate_arn=certificate.arn,
        x509_attributes=_attributes(found),
        certificate_metadata=shapes.CertificateMetadata(
            acm_certificate_metadata=shapes.AcmCertificateMetadata(
                created_at=certificate.created_at,
                exported=certificate.exported,
                imported_at=certificate.imported_at or None,
                in_use=found.in_use,
                issued_at=certificate.issued_at or None,
                renewal_eligibility=found.renewal_eligibility,
                revoked_at=certificate.revoked_at or None,
                status=found.status,
                renewal_status=views.renewal_status(certificate),
                type=certificate.type,
                export_option=views.export_option(certificate),
                validation_method=certificate.validation_method or None,
                certificate_key_pair_origin=views.origin(certificate),
            )
        ),
    )


def _attributes(found: Candidate) -> shapes.X509Attributes:
    details, certificate = found.details, found.certificate
    names = tuple(shapes.GeneralName(dns_name=name) for name in certificate.names)
    if details is None:
        return shapes.X509Attributes(
            subject=shapes.DistinguishedName(common_name=certificate.domain_name),
            subject_alternative_names=names,
            key_algorithm=certificate.key_algorithm,
        )
    return shapes.X509Attributes(
        issuer=shapes.DistinguishedName(common_name=details.issuer_common_name or None),
        subject=shapes.DistinguishedName(common_name=details.common_name or None),
        subject_alternative_names=names,
        extended_key_usages=tuple(name for name, _ in details.extended_key_usages),
        key_algorithm=details.key_algorithm or None,
        key_usages=details.key_usages,
        serial_number=details.serial,
        not_after=details.not_after,
        not_before=details.not_before,
    )


def _named(call: Call, request: shapes.ListCertificateDomainValidationsRequest) -> Iterable[str]:
    return (request.certificate_arn,)


@api.operation("ListCertificateDomainValidations", resource=_named)
async def list_certificate_domain_validations(
    call: Call, request: shapes.ListCertificateDomainValidationsRequest
) -> shapes.ListCertificateDomainValidationsResponse:
    certificate = find(call.store, call, request.certificate_arn)
    question = ("ListCertificateDomainValidations", certificate.arn)
    after = unseal(call.secret_for_signing, question, request.next_token, InvalidArgsException("The NextToken is not valid."))
    limit = request.max_items or _MOST_ITEMS
    start = int(after) if after is not None else 0
    found = summaries(certificate) if is_managed(certificate) else ()
    return shapes.ListCertificateDomainValidationsResponse(
        domain_validation_summary_list=found[start : start + limit],
        next_token=seal(call.secret_for_signing, question, str(start + limit)) if len(found) > start + limit else None,
    )
