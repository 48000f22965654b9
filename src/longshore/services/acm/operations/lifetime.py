"""What becomes of a certificate after it was asked for: options, renewal, export of its key, revocation."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from msgspec.structs import replace

from longshore.aws.shapes import acm as shapes
from longshore.kit.certificates import private_key
from longshore.kit.sealing import unseal
from longshore.services.acm.api import api
from longshore.services.acm.errors import (
    ConflictException,
    InvalidDomainValidationOptionsException,
    InvalidStateException,
    RequestInProgressException,
    Validation,
)
from longshore.services.acm.lookup import find, is_managed, refuse_used, status_at
from longshore.services.acm.model import CERTIFICATES, PURPOSE, Certificate
from longshore.services.call import Call
from longshore.store.base import Tx

_Named = (
    shapes.ExportCertificateRequest
    | shapes.RenewCertificateRequest
    | shapes.RevokeCertificateRequest
    | shapes.ResendValidationEmailRequest
    | shapes.UpdateCertificateOptionsRequest
)


def _named(call: Call, request: _Named) -> Iterable[str]:
    return (request.certificate_arn,)


def _names(call: Call, request: shapes.ExportCertificateRequest | shapes.RevokeCertificateRequest) -> dict[str, list[str]]:
    """acm:DomainNames: those that the certificate is good for."""
    found = call.store.get(CERTIFICATES, request.certificate_arn)
    return {"acm:domainnames": [name.lower() for name in found.names]} if found is not None else {}


@api.operation("ExportCertificate", resource=_named, conditions=_names)
async def export_certificate(call: Call, request: shapes.ExportCertificateRequest) -> shapes.ExportCertificateResponse:
    """The key leaves under the passphrase only."""

    def mark(tx: Tx) -> Certificate:
        found = find(tx, call, request.certificate_arn)
        if not found.exportable:
            raise Validation(f"The certificate {found.arn} is not one that can be exported.")
        if not found.certificate:
            raise RequestInProgressException(f"Certificate {found.arn} has not been issued yet.")
        if found.status != "ISSUED":
            raise Validation(f"The certificate {found.arn} is {found.status} and cannot be exported.")
        return found if found.exported else tx.put(CERTIFICATES, replace(found, exported=True))

    found = await call.store.transact(mark)
    key = await asyncio.to_thread(_locked, unseal(call.secret_for_signing, PURPOSE, found.sealed_key), request.passphrase)
    return shapes.ExportCertificateResponse(
        certificate=found.certificate.decode(), certificate_chain=found.chain.decode(), private_key=key.decode()
    )


def _locked(key: bytes, passphrase: bytes) -> bytes:
    return private_key(key).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))


@api.operation("RenewCertificate", resource=_named)
async def renew_certificate(call: Call, request: shapes.RenewCertificateRequest) -> None:
    now = call.clock.now()

    def ask(tx: Tx) -> None:
        found = find(tx, call, request.certificate_arn)
        if not is_managed(found):
            raise Validation(f"The certificate {found.arn} was imported and cannot be renewed here.")
        if found.status == "PENDING_VALIDATION" or found.renewal_asked_at:
            raise RequestInProgressException
        if found.status != "ISSUED":
            raise Validation(f"The certificate {found.arn} is {found.status} and cannot be renewed.")
        tx.put(CERTIFICATES, replace(found, renewal_asked_at=now))

    await call.store.transact(ask)


@api.operation("RevokeCertificate", resource=_named, conditions=_names)
async def revoke_certificate(call: Call, request: shapes.RevokeCertificateRequest) -> shapes.RevokeCertificateResponse:
    now = call.clock.now()

    def revoke(tx: Tx) -> str:
        found = find(tx, call, request.certificate_arn)
        if not is_managed(found) or not found.exported:
            raise Validation("You can only revoke certificates that were issued here and have been exported.")
        if found.status == "REVOKED":
            raise ConflictException(f"The certificate {found.arn} is revoked already.")
        refuse_used(tx, found.arn)
        gone = replace(found, status="REVOKED", revoked_at=now, revocation_reason=request.revocation_reason, renewal_asked_at=0.0)
        return tx.put(CERTIFICATES, gone).arn

    return shapes.RevokeCertificateResponse(certificate_arn=await call.store.transact(revoke))


@api.operation("ResendValidationEmail", resource=_named)
async def resend_validation_email(call: Call, request: shapes.ResendValidationEmailRequest) -> None:
    """Checked as ACM checks it. No mail is sent: nothing waits for an answer to one."""
    found = find(call.store, call, request.certificate_arn)
    domain, validation = request.domain.lower(), request.validation_domain.lower()
    if domain not in found.names or (domain.removeprefix("*.") != validation and not domain.endswith(f".{validation}")):
        raise InvalidDomainValidationOptionsException(f"'{request.validation_domain}' is no validation domain of '{request.domain}'.")
    if found.validation_method != "EMAIL" or status_at(found, call.clock.now()) != "PENDING_VALIDATION":
        raise InvalidStateException(f"The certificate {found.arn} is not waiting for validation by mail.")


@api.operation("UpdateCertificateOptions", resource=_named)
async def update_certificate_options(call: Call, request: shapes.UpdateCertificateOptionsRequest) -> None:
    now, options = call.clock.now(), request.options

    def update(tx: Tx) -> None:
        found = find(tx, call, request.certificate_arn)
        if not is_managed(found) or found.status not in ("PENDING_VALIDATION", "ISSUED"):
            raise InvalidStateException(f"The options of certificate {found.arn} cannot be changed.")
        if options.export is not None and (options.export == "ENABLED") != found.exportable:
            raise Validation("The export option cannot be changed once the certificate was requested.")
        if options.validation_method in (None, found.validation_method):
            return
        if (found.validation_method, options.validation_method) != ("EMAIL", "DNS"):
            raise Validation("The validation method can be changed from EMAIL to DNS only.")
        tx.put(CERTIFICATES, replace(found, validation_method="DNS", validated_before_by="EMAIL", method_changed_at=now))

    await call.store.transact(update)
