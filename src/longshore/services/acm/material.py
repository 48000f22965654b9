"""What a listener proves itself with: a certificate and its key by ARN, whether ACM issued it or IAM has it as it was uploaded."""

from __future__ import annotations

import msgspec

from longshore.kit.sealing import Keys, unseal
from longshore.services.acm.model import CERTIFICATES, PURPOSE, Certificate
from longshore.services.iam.model import SERVER_CERTIFICATES, ServerCertificate
from longshore.store.base import Reader


class Material(msgspec.Struct, frozen=True):
    """PEM throughout."""

    arn: str
    certificate: bytes
    chain: bytes
    key: bytes

    @property
    def bundle(self) -> bytes:
        """Certificate, chain and key in one text, as HAProxy reads them."""
        return b"".join(part.strip() + b"\n" for part in (self.certificate, self.chain, self.key) if part.strip())


def find_certificate(reader: Reader, arn: str) -> Certificate | ServerCertificate | None:
    if ":server-certificate/" in arn:
        return next(iter(reader.list(SERVER_CERTIFICATES, "arn", arn)), None)
    return reader.get(CERTIFICATES, arn)


def material_of(reader: Reader, arn: str, secret: Keys) -> Material | None:
    """None where there is no such certificate, or none has been issued yet. Raises SealBroken."""
    found = find_certificate(reader, arn)
    if found is None or not found.certificate:
        return None
    return Material(arn=arn, certificate=found.certificate, chain=found.chain, key=unseal(secret, PURPOSE, found.sealed_key))
