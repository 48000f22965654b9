"""What a path below /v2/ asks for. Pure: a path goes in, a route comes out, and every name in it has been checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from longshore.registry.errors import NameInvalid, NotFound
from longshore.services.ecr.names import LONGEST_NAME, REPOSITORY_NAME

#: room for `ACCOUNT.dkr.ecr.REGION/` before a name of the greatest length
_LONGEST_PATH_NAME = LONGEST_NAME + 64


class Kind(Enum):
    BASE = "base"
    CATALOG = "catalog"
    UPLOADS = "uploads"
    UPLOAD = "upload"
    BLOB = "blob"
    MANIFEST = "manifest"
    TAGS = "tags"
    REFERRERS = "referrers"


@dataclass(frozen=True, slots=True)
class Route:
    kind: Kind
    #: repository as it stands in the path; "" where the path names none
    name: str = ""
    #: digest, tag or upload, unchecked
    reference: str = ""


# A name may itself contain `blobs` or `manifests`: what comes last counts, so the name takes as much as it can.
_PATHS = (
    (Kind.UPLOADS, re.compile(r"/v2/(.+)/blobs/uploads/?")),
    (Kind.UPLOAD, re.compile(r"/v2/(.+)/blobs/uploads/([^/]+)")),
    (Kind.BLOB, re.compile(r"/v2/(.+)/blobs/([^/]+)")),
    (Kind.MANIFEST, re.compile(r"/v2/(.+)/manifests/([^/]+)")),
    (Kind.TAGS, re.compile(r"/v2/(.+)/tags/list")),
    (Kind.REFERRERS, re.compile(r"/v2/(.+)/referrers/([^/]+)")),
)


def route(path: str) -> Route:
    """`path` is decoded. Raises NotFound and NameInvalid."""
    if path in ("/v2/", "/v2"):
        return Route(Kind.BASE)
    if path == "/v2/_catalog":
        return Route(Kind.CATALOG)
    for kind, pattern in _PATHS:
        found = pattern.fullmatch(path)
        if found is not None:
            name, *reference = found.groups()
            if len(name) > _LONGEST_PATH_NAME or REPOSITORY_NAME.fullmatch(name) is None:
                raise NameInvalid(f"invalid repository name: {name[:100]!r}")
            return Route(kind, name, *reference)
    raise NotFound
