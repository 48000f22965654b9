"""`longshore lb trust`: a file of certificates, or of revocation lists, put where trust stores are made of it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from longshore.cli.client import Platform
from longshore.cli.outcome import Failure

_BEGINNINGS = ("-----BEGIN CERTIFICATE-----", "-----BEGIN TRUSTED CERTIFICATE-----", "-----BEGIN X509 CRL-----")


class _Nothing(msgspec.Struct, frozen=True):
    pass


def content_of(file: Path) -> str:
    """PEM, and no private key in it. Raises Failure."""
    try:
        content = file.read_text("ascii")
    except UnicodeDecodeError:
        raise Failure(f"{file} is not in PEM form", "`openssl x509 -inform der` and `openssl crl -inform der` turn it into that") from None
    except OSError as problem:
        raise Failure(f"{file} cannot be read: {problem.strerror}", "see to its path and its permissions") from None
    if "PRIVATE KEY-----" in content:
        raise Failure(f"{file} has a private key in it", "put only the certificates into a file of their own")
    if not any(beginning in content for beginning in _BEGINNINGS):
        raise Failure(f"{file} has neither certificates nor revocation lists in it", "give a file in PEM form")
    return content


def put(platform: Platform, file: Path, bucket: str, key: str) -> str:
    """What to say to the AWS CLI next."""
    content = content_of(file)
    platform.elbv2("LongshorePutTrustStoreFile", {"Bucket": bucket, "Key": key, "Content": content}, _Nothing)
    if "X509 CRL" in content:
        return f"aws elbv2 add-trust-store-revocations --trust-store-arn ARN --revocation-contents S3Bucket={bucket},S3Key={key}"
    named = f"--ca-certificates-bundle-s3-bucket {bucket} --ca-certificates-bundle-s3-key {key}"
    return f"aws elbv2 create-trust-store --name {Path(key).stem} {named}"
