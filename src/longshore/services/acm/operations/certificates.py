"""Certificates: asked for, brought along, shown and forgotten.

RequestCertificate writes down what is wanted; a controller has it issued a moment later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import acm as shapes
from longshore.kit.sealing import seal
from longshore.services.acm import views
from longshore.services.acm.api import api
from longshore.services.acm.errors import (
    InvalidArnException,
    InvalidDomainValidationOptionsException,
    InvalidParameterException,
    LimitExceededException,
    RequestInProgressException,
    Validation,
)
from longshore.services.acm.issuing import KEY_ALGORITHMS
from longshore.services.acm.lookup import find, is_used, refuse_used, scope_of_call
from longshore.services.acm.model import CERTIFICATES, PURPOSE, Certificate, Tag, token_key
from longshore.services.acm.tagging import asked_tags, merged
from longshore.services.acm.uploads import NotUsable, Upload, checked
from longshore.services.call import Call
from longshore.services.elbv2.certificates import check_usable
from longshore.services.elbv2.errors import UnsupportedCertificate
from longshore.store.base import Reader, Tx

MOST_CERTIFICATES = 2500
#: names in one certificate
MOST_NAMES = 100
#: the same token stands for the same request for so long
TOKEN_S = 3600.0
_LONGEST_COMMON_NAME = 64

_Named = shapes.DescribeCertificateRequest | shapes.GetCertificateRequest | shapes.DeleteCertificateRequest


def named(call: Call, request: _Named) -> Iterable[str]:
    return (request.certificate_arn,)


# ── issued here ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _asked(call: Call, request: shapes.RequestCertificateRequest) -> dict[str, list[str]]:
    options = request.options or shapes.CertificateOptions()
    names = [request.domain_name, *(request.subject_alternative_names or ())]
    found = asked_tags(request.tags) | {
        "acm:domainnames": list(dict.fromkeys(name.lower() for name in names)),
        "acm:validationmethod": [request.validation_method or "EMAIL"],
        "acm:keyalgorithm": [request.key_algorithm or "RSA_2048"],
        "acm:certificatetransparencylogging": [options.certificate_transparency_logging_preference or "ENABLED"],
        "acm:export": [options.export or "DISABLED"],
    }
    if request.certificate_authority_arn:
        found["acm:certificateauthority"] = [request.certificate_authority_arn]
    return found


@api.operation("RequestCertificate", resource=ANY_RESOURCE, conditions=_asked)
async def request_certificate(call: Call, request: shapes.RequestCertificateRequest) -> shapes.RequestCertificateResponse:
    _check_request(request)
    names = _names(request)
    now = call.clock.now()
    asked = Certificate(
        arn=call.arn("acm", f"certificate/{call.ids.uuid()}"),
        type="AMAZON_ISSUED",
        status="PENDING_VALIDATION",
        domain_name=names[0],
        created_at=now,
        names=names,
        key_algorithm=request.key_algorithm or "RSA_2048",
        validation_method=request.validation_method or "EMAIL",
        validation_domains=_validation_domains(request, names),
        exportable=request.options is not None and request.options.export == "ENABLED",
        tags=merged((), request.tags),
        idempotency_token=request.idempotency_token or "",
    )

    def create(tx: Tx) -> Certificate:
        known = _asked_before(tx, call, asked, now)
        if known is not None:
            return known
        _check_quota(tx, call)
        return tx.create(CERTIFICATES, asked)

    created = await call.store.transact(create)
    return shapes.RequestCertificateResponse(certificate_arn=created.arn)


def _check_request(request: shapes.RequestCertificateRequest) -> None:
    if request.certificate_authority_arn:
        raise InvalidArnException(f"There is no private certificate authority {request.certificate_authority_arn} here.")
    if request.managed_by or request.validation_method == "HTTP":
        raise InvalidParameterException("Certificates that CloudFront manages, and validation by HTTP, are not served.")
    if request.key_algorithm not in (None, *KEY_ALGORITHMS):
        raise InvalidParameterException(
            f"The key algorithm {request.key_algorithm} is not supported: use one of {', '.join(KEY_ALGORITHMS)}."
        )
    if request.options is not None and request.options.validation_method not in (None, request.validation_method or "EMAIL"):
        raise InvalidParameterException("The validation method in the options is another one than the request's.")


def _names(request: shapes.RequestCertificateRequest) -> tuple[str, ...]:
    """All of them, the main one first, each once."""
    names = tuple(dict.fromkeys(name.lower() for name in (request.domain_name, *(request.subject_alternative_names or ()))))
    if len(names) > MOST_NAMES:
        raise LimitExceededException(f"A certificate can be good for {MOST_NAMES} domain names at most.")
    if len(names[0]) > _LONGEST_COMMON_NAME:
        raise InvalidParameterException(f"The first domain name can be no longer than {_LONGEST_COMMON_NAME} octets.")
    for name in names:
        if name.rpartition(".")[2].isdigit():
            raise InvalidParameterException(f"'{name}' is not a fully qualified domain name.")
    return names


def _validation_domains(request: shapes.RequestCertificateRequest, names: tuple[str, ...]) -> dict[str, str]:
    """Domain -> the same or one above it, where mail about it would go. Raises InvalidDomainValidationOptionsException."""
    found: dict[str, str] = {}
    for option in request.domain_validation_options or ():
        domain, validation = option.domain_name.lower(), option.validation_domain.lower()
        if domain not in names:
            raise InvalidDomainValidationOptionsException(f"'{domain}' is not among the domain names of the request.")
        if domain != validation and not domain.endswith(f".{validation}"):
            raise InvalidDomainValidationOptionsException(f"The validation domain '{validation}' is neither '{domain}' nor above it.")
        found[domain] = validation
    return found


def _asked_before(reader: Reader, call: Call, asked: Certificate, now: float) -> Certificate | None:
    """What the same token made within the last hour. Raises InvalidParameterException when it came with another request."""
    if not asked.idempotency_token:
        return None
    same = ("names", "key_algorithm", "validation_method", "validation_domains", "exportable")
    for known in reader.list(CERTIFICATES, "token", token_key(scope_of_call(call), asked.idempotency_token)):
        if now - known.created_at < TOKEN_S:
            if any(getattr(known, field) != getattr(asked, field) for field in same):
                raise InvalidParameterException("The idempotency token was used for another request within the last hour.")
            return known
    return None


def _check_quota(reader: Reader, call: Call) -> None:
    if reader.count(CERTIFICATES, "scope", scope_of_call(call)) >= MOST_CERTIFICATES:
        raise LimitExceededException(f"Error: you have reached your limit of {MOST_CERTIFICATES} certificates.")


# ── brought along ────────────────────────────────────────────────────────────────────────────────────────────────────


def _imported(call: Call, request: shapes.ImportCertificateRequest) -> Iterable[str]:
    return (request.certificate_arn or call.arn("acm", "certificate/*"),)


def _import_conditions(call: Call, request: shapes.ImportCertificateRequest) -> dict[str, list[str]]:
    return asked_tags(request.tags)


@api.operation("ImportCertificate", resource=_imported, conditions=_import_conditions)
async def import_certificate(call: Call, request: shapes.ImportCertificateRequest) -> shapes.ImportCertificateResponse:
    if request.certificate_arn and request.tags:
        raise Validation("You cannot specify tags when you import a certificate again.")
    tags = merged((), request.tags)
    now = call.clock.now()
    try:
        brought = await asyncio.to_thread(checked, request.certificate, request.private_key, request.certificate_chain or b"", now)
    except NotUsable as problem:
        raise Validation(str(problem)) from None
    sealed = seal(call.secret_for_signing, PURPOSE, brought.key)
    new_arn = call.arn("acm", f"certificate/{call.ids.uuid()}")

    def keep(tx: Tx) -> str:
        if not request.certificate_arn:
            _check_quota(tx, call)
            return tx.create(CERTIFICATES, _of(brought, sealed, new_arn, now, now, tags)).arn
        known = find(tx, call, request.certificate_arn)
        _check_replacement(tx, known, brought)
        return tx.put(CERTIFICATES, _of(brought, sealed, known.arn, known.created_at, now, known.tags)).arn

    return shapes.ImportCertificateResponse(certificate_arn=await call.store.transact(keep))


def _of(brought: Upload, sealed: bytes, arn: str, created_at: float, now: float, tags: tuple[Tag, ...]) -> Certificate:
    return Certificate(
        arn=arn,
        type="IMPORTED",
        status="ISSUED",
        domain_name=brought.details.domain_name,
        created_at=created_at,
        names=brought.details.names,
        certificate=brought.certificate,
        chain=brought.chain,
        sealed_key=sealed,
        not_before=brought.details.not_before,
        not_after=brought.details.not_after,
        tags=tags,
        key_algorithm=brought.details.key_algorithm,
        imported_at=now,
    )


def _check_replacement(reader: Reader, known: Certificate, brought: Upload) -> None:
    """What takes a certificate's place must be of the same kind, and good for whoever uses it."""
    if known.type != "IMPORTED":
        raise Validation(f"Certificate {known.arn} was not imported, so it cannot be imported again.")
    if known.key_algorithm != brought.details.key_algorithm:
        raise Validation("The key algorithm and size of the certificate must be the same as those of the one that it replaces.")
    if known.names and not brought.details.names:
        raise Validation("You cannot remove all of the domain names from a certificate that you import again.")
    if is_used(reader, known.arn):
        try:
            check_usable(known.arn, brought.certificate, brought.chain)
        except UnsupportedCertificate as problem:
            raise Validation(f"The certificate is in use, and the new one cannot take its place there. {problem.message}") from None


# ── shown and forgotten ──────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("DescribeCertificate", resource=named)
async def describe_certificate(call: Call, request: shapes.DescribeCertificateRequest) -> shapes.DescribeCertificateResponse:
    found = find(call.store, call, request.certificate_arn)
    return shapes.DescribeCertificateResponse(certificate=views.detail(call.store, found, call.clock.now()))


@api.operation("GetCertificate", resource=named)
async def get_certificate(call: Call, request: shapes.GetCertificateRequest) -> shapes.GetCertificateResponse:
    found = find(call.store, call, request.certificate_arn)
    if not found.certificate:
        raise RequestInProgressException(f"Certificate {found.arn} has not been issued yet.")
    return shapes.GetCertificateResponse(certificate=found.certificate.decode(), certificate_chain=found.chain.decode() or None)


@api.operation("DeleteCertificate", resource=named)
async def delete_certificate(call: Call, request: shapes.DeleteCertificateRequest) -> None:
    def delete(tx: Tx) -> None:
        found = find(tx, call, request.certificate_arn)
        refuse_used(tx, found.arn)
        tx.delete(CERTIFICATES, found.arn)

    await call.store.transact(delete)
