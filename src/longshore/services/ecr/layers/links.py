"""URLs from which one layer of one repository can be fetched for a while, by whoever has the URL.

    {base}/_layers/ACCOUNT/REGION/REPOSITORY/DIGEST?expires=SECONDS&signature=HEX

The signature covers everything before it with a key derived from the installation's secret, so nothing in a URL can be changed.
What it names is looked up when it is used: a URL opens nothing that has been deleted meanwhile.
"""

from __future__ import annotations

import hmac
import re
from typing import NamedTuple

from longshore.kit.sealing import Keys, derived_key, derived_keys
from longshore.services.ecr.names import RepositoryId, is_digest, is_repository_name

PREFIX = "/_layers/"
#: as long as those that ECR gives out
GOOD_FOR_S = 3600
_PURPOSE = "ecr-layer-url"
_PATH = re.compile(r"/_layers/([0-9]{12})/([a-z0-9-]+)/(.+)/([^/]+)")
_EXPIRES, _SIGNATURE = re.compile(r"[0-9]{1,12}"), re.compile(r"[0-9a-f]{64}")


class LinkInvalid(Exception):
    """Not a URL that was given out here, or changed since."""


class LinkExpired(Exception):
    """The URL was good once."""


class Link(NamedTuple):
    repository: RepositoryId
    digest: str


def link_to(secret: Keys, base_url: str, link: Link, now: float) -> str:
    expires = int(now) + GOOD_FOR_S
    return f"{base_url}{_path(link)}?expires={expires}&signature={_signature(derived_key(secret, _PURPOSE), link, expires)}"


def opened(secret: Keys, path: str, expires: str, signature: str, now: float) -> Link:
    """What a URL opens; `path` is decoded. Raises LinkInvalid and LinkExpired."""
    found = _PATH.fullmatch(path)
    if found is None or not _EXPIRES.fullmatch(expires) or not _SIGNATURE.fullmatch(signature):
        raise LinkInvalid
    link = Link(RepositoryId(found[2], found[1], found[3]), found[4])
    if not is_repository_name(link.repository.name) or not is_digest(link.digest):
        raise LinkInvalid
    if not any(hmac.compare_digest(signature, _signature(key, link, int(expires))) for key in derived_keys(secret, _PURPOSE)):
        raise LinkInvalid
    if now >= int(expires):
        raise LinkExpired
    return link


def _path(link: Link) -> str:
    region, account_id, name = link.repository
    return f"{PREFIX}{account_id}/{region}/{name}/{link.digest}"


def _signature(key: bytes, link: Link, expires: int) -> str:
    return hmac.digest(key, f"{_path(link)}\0{expires}".encode(), "sha256").hex()
