"""The registry's errors: codes of the OCI distribution specification, and ECR's words where it has its own.

ECR's own errors, raised by what both interfaces share, are told in these codes by `told`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import msgspec
from aiohttp import web

from longshore.aws.errors import AccessDenied, AwsError, Throttling
from longshore.services.ecr import errors as ecr


class RegistryError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "UNKNOWN"
    status: ClassVar[int] = 500

    def __init__(self, message: str | None = None, *, headers: Mapping[str, str] | None = None) -> None:
        self.message = message if message is not None else " ".join((type(self).__doc__ or "").split())
        self.headers = dict(headers or {})
        super().__init__(f"{self.code}: {self.message}")


class BlobUnknown(RegistryError):
    """blob unknown to registry"""

    code = "BLOB_UNKNOWN"
    status = 404


class BlobUploadUnknown(RegistryError):
    """blob upload unknown to registry"""

    code = "BLOB_UPLOAD_UNKNOWN"
    status = 404


class BlobUploadInvalid(RegistryError):
    """blob upload invalid"""

    code = "BLOB_UPLOAD_INVALID"
    status = 400


class RangeInvalid(RegistryError):
    """the content range does not follow on what was received so far"""

    code = "BLOB_UPLOAD_INVALID"
    status = 416


class RangeNotSatisfiable(RegistryError):
    """the requested range lies beyond the end of the blob"""

    code = "SIZE_INVALID"
    status = 416


class DigestInvalid(RegistryError):
    """provided digest did not match uploaded content"""

    code = "DIGEST_INVALID"
    status = 400


class SizeInvalid(RegistryError):
    """provided length did not match content length"""

    code = "SIZE_INVALID"
    status = 400


class TooLarge(RegistryError):
    """the content is larger than allowed"""

    code = "SIZE_INVALID"
    status = 413


class ManifestInvalid(RegistryError):
    """manifest invalid"""

    code = "MANIFEST_INVALID"
    status = 400


class ManifestUnknown(RegistryError):
    """Requested image not found"""

    code = "MANIFEST_UNKNOWN"
    status = 404


class ManifestBlobUnknown(RegistryError):
    """manifest references a manifest or blob unknown to registry"""

    code = "MANIFEST_BLOB_UNKNOWN"
    status = 404


class NameInvalid(RegistryError):
    """invalid repository name"""

    code = "NAME_INVALID"
    status = 400


class NameUnknown(RegistryError):
    """repository name not known to registry"""

    code = "NAME_UNKNOWN"
    status = 404


class TagInvalid(RegistryError):
    """manifest tag did not match URI"""

    code = "TAG_INVALID"
    status = 400


class PageInvalid(RegistryError):
    """invalid number of results requested"""

    code = "PAGINATION_NUMBER_INVALID"
    status = 400


class Unauthorized(RegistryError):
    """authentication required"""

    code = "UNAUTHORIZED"
    status = 401


class Denied(RegistryError):
    """requested access to the resource is denied"""

    code = "DENIED"
    status = 403


class NotFound(RegistryError):
    """there is nothing at this path"""

    code = "UNSUPPORTED"
    status = 404


class Unsupported(RegistryError):
    """the operation is unsupported"""

    code = "UNSUPPORTED"
    status = 405


class TooManyRequests(RegistryError):
    """too many requests"""

    code = "TOOMANYREQUESTS"
    status = 429


class Unavailable(RegistryError):
    """the registry cannot write at present"""

    code = "UNAVAILABLE"
    status = 503


_TOLD: Mapping[type[AwsError], type[RegistryError]] = {
    ecr.RepositoryNotFoundException: NameUnknown,
    ecr.ImageTagAlreadyExistsException: TagInvalid,
    ecr.LayersNotFoundException: ManifestBlobUnknown,
    ecr.ReferencedImagesNotFoundException: ManifestBlobUnknown,
    ecr.ImageNotFoundException: ManifestUnknown,
    ecr.LimitExceededException: Denied,
    AccessDenied: Denied,
}


def told(error: AwsError) -> RegistryError:
    """ECR's error as the registry tells it. What is the client's doing stays so, also where the specification has no code for it."""
    if isinstance(error, Throttling):
        return TooManyRequests(error.message, headers={"Retry-After": str(max(1, math.ceil(error.retry_after_s)))})
    other = ManifestInvalid if error.status < 500 else RegistryError
    return _TOLD.get(type(error), other)(error.message)


class _Entry(msgspec.Struct, frozen=True):
    code: str
    message: str
    detail: None = None


class _Body(msgspec.Struct, frozen=True):
    errors: tuple[_Entry, ...]


def rendered(error: RegistryError) -> web.Response:
    body = msgspec.json.encode(_Body((_Entry(error.code, error.message),)))
    return web.Response(status=error.status, body=body, content_type="application/json", headers=error.headers)
