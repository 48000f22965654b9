"""Records of pulls and pushes: what `docker` does at /v2/, told as CloudTrail tells what ECR is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from longshore.gateway.auditing.watcher import Auditor, Happened
from longshore.kit.ids import Ids
from longshore.registry import errors
from longshore.registry.errors import RegistryError
from longshore.registry.routes import Kind
from longshore.registry.watching import Asked
from longshore.services.call import Site
from longshore.services.ecr.names import is_digest

_SOURCE = "ecr.amazonaws.com"
#: the registry's errors in ECR's words
_CODE_OF_TOO_MUCH = "ThrottlingException"
_CODES: Mapping[type[RegistryError], str] = {
    errors.Denied: "AccessDenied",
    errors.NameUnknown: "RepositoryNotFoundException",
    errors.ManifestUnknown: "ImageNotFoundException",
    errors.BlobUnknown: "LayersNotFoundException",
    errors.BlobUploadUnknown: "UploadNotFoundException",
    errors.TooManyRequests: _CODE_OF_TOO_MUCH,
    errors.Unavailable: "ServiceUnavailable",
}


class RegistryRecords:
    """What the registry is given as its watch."""

    def __init__(self, auditor: Auditor, ids: Ids, site: Site) -> None:
        self._auditor = auditor
        self._ids = ids
        self._site = site

    def __call__(self, asked: Asked, error: RegistryError | None, answered: Mapping[str, str]) -> None:
        """Raises StoreUnavailable."""
        if asked.principal is None:
            # Docker asks without a password first: that is no attempt to be anybody
            if error is not None and error.status in (401, 403) and "Authorization" in asked.request.headers:
                self._auditor.note_stranger(asked.request.remote or "", error.code, None, "ecr", asked.action or "GetAuthorizationToken")
            return
        if not asked.action or (error is None and not asked.is_told) or _is_a_question(asked, error):
            return
        repository, remote, too_much = asked.repository, asked.request.remote or "", isinstance(error, errors.TooManyRequests)
        if too_much and not self._auditor.is_first_held_up(asked.principal, _CODE_OF_TOO_MUCH, _SOURCE, asked.action, remote):
            return
        self._auditor.write(
            asked.principal,
            Happened(
                source=_SOURCE,
                name=asked.action,
                region=repository.region if repository is not None else self._site.region,
                remote=remote,
                user_agent=asked.request.headers.get("User-Agent", ""),
                request_id=self._ids.uuid(),
                read_only=self._auditor.is_read(asked.action),
                parameters=_parameters(asked),
                answer=_answer(asked, answered) if error is None else None,
                error=(_CODES.get(type(error), error.code), error.message) if error is not None else None,
                arns=(repository.arn,) if repository is not None else (),
                host=asked.request.host if asked.request.secure else "",
                cipher=asked.request.get_extra_info("cipher"),
                additional={"interface": "registry", "method": asked.request.method},
            ),
        )


def _is_a_question(asked: Asked, error: RegistryError | None) -> bool:
    """Whether something is there: a push asks that of every layer."""
    return error is not None and error.status == 404 and asked.request.method == "HEAD"


def _parameters(asked: Asked) -> dict[str, Any] | None:
    repository, reference = asked.repository, asked.reference[:300]
    if repository is None:
        return None
    told: dict[str, Any] = {"registryId": repository.account_id, "repositoryName": repository.name}
    named = {"imageDigest": reference} if is_digest(reference) else {"imageTag": reference}
    match asked.kind, asked.request.method:
        case Kind.MANIFEST, "PUT":
            told |= named
        case Kind.MANIFEST, _:
            told["imageIds"] = [named]
        case Kind.BLOB, "HEAD":
            told["layerDigests"] = [reference]
        case Kind.BLOB | Kind.REFERRERS, _:
            told["layerDigest" if asked.kind is Kind.BLOB else "subject"] = reference
        case Kind.UPLOAD, "PUT":
            told["layerDigests"] = [asked.request.rel_url.query.get("digest", "")[:300]]
        case Kind.UPLOADS, _:
            query = asked.request.rel_url.query
            told |= {key: query[name][:300] for name, key in (("mount", "layerDigest"), ("from", "mountedFrom")) if name in query}
    return told


def _answer(asked: Asked, answered: Mapping[str, str]) -> dict[str, Any] | None:
    """Of writes, as ECR's answers have it."""
    digest = answered.get("Docker-Content-Digest")
    if digest is None or asked.request.method not in ("PUT", "POST"):
        return None
    if asked.kind is not Kind.MANIFEST:
        return {"layerDigest": digest}
    tag = {} if is_digest(asked.reference) else {"imageTag": asked.reference}
    return {"image": {"imageId": {"imageDigest": digest, **tag}}}
