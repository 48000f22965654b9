"""What is asked of the registry, told to whoever keeps records of it: each request once, before anything of its answer leaves.

A pull or a push is named as ECR names the same through its API. What only looks whether something is there, or carries a piece of an
upload, is told when it is refused and not when it is granted: the action it belongs to has a request of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web

from longshore.registry.errors import RegistryError
from longshore.registry.routes import Kind
from longshore.services.call import Principal
from longshore.services.ecr.names import RepositoryId

_ACTIONS: Mapping[tuple[Kind, str], str] = {
    (Kind.BLOB, "GET"): "GetDownloadUrlForLayer",
    (Kind.BLOB, "HEAD"): "BatchCheckLayerAvailability",
    (Kind.BLOB, "DELETE"): "BatchDeleteImage",
    (Kind.MANIFEST, "GET"): "BatchGetImage",
    (Kind.MANIFEST, "HEAD"): "BatchGetImage",
    (Kind.MANIFEST, "PUT"): "PutImage",
    (Kind.MANIFEST, "DELETE"): "BatchDeleteImage",
    (Kind.UPLOADS, "POST"): "InitiateLayerUpload",
    (Kind.UPLOAD, "GET"): "UploadLayerPart",
    (Kind.UPLOAD, "PATCH"): "UploadLayerPart",
    (Kind.UPLOAD, "PUT"): "CompleteLayerUpload",
    (Kind.UPLOAD, "DELETE"): "UploadLayerPart",
    (Kind.TAGS, "GET"): "ListImages",
    (Kind.REFERRERS, "GET"): "ListImageReferrers",
    (Kind.CATALOG, "GET"): "DescribeRepositories",
    (Kind.BASE, "GET"): "GetAuthorizationToken",
}


class Asked:
    """One request as far as it got: what is not known (yet) is None, or empty."""

    __slots__ = ("kind", "principal", "reference", "repository", "request")

    def __init__(self, request: web.BaseRequest) -> None:
        self.request = request
        self.kind: Kind | None = None
        self.principal: Principal | None = None
        self.repository: RepositoryId | None = None
        #: digest, tag or upload
        self.reference = ""

    @property
    def action(self) -> str:
        """ECR's name for it; empty where it has none."""
        if self.kind is None:
            return ""
        method = self.request.method
        found = _ACTIONS.get((self.kind, method))
        return found or _ACTIONS.get((self.kind, "GET"), "") if method == "HEAD" else found or ""

    @property
    def is_told(self) -> bool:
        """Whether it is an action of its own when it is granted."""
        if self.request.method in ("HEAD", "PATCH") or self.kind is Kind.BASE:
            return False
        return self.kind is not Kind.UPLOAD or self.request.method == "PUT"


#: (what was asked, what was wrong with it, headers of the answer); raises StoreUnavailable where it cannot be written down
Watch = Callable[[Asked, RegistryError | None, Mapping[str, str]], None]
