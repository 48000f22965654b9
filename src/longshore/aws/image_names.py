"""Names of container images as far as they name a registry of ECR's form: taken apart here and nowhere else. Pure.

An image stands in a registry by its host, `ACCOUNT.dkr.ecr.REGION.DOMAIN[:PORT]/NAME`, or, where a host cannot say it because it is
an address, by the first part of its path, `127.0.0.1:PORT/ACCOUNT.dkr.ecr.REGION/NAME`. Whose registry a host is, is for the caller
to say.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_REGISTRY = r"([0-9]{12})\.dkr[.-]ecr\.([a-z]{2,}(?:-[a-z]+)+-[0-9]+)"
_HOST = re.compile(rf"{_REGISTRY}\.([^/:]+(?::[0-9]+)?)")
_PREFIXED = re.compile(rf"{_REGISTRY}/(.+)")
_LOOPBACK = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|\[::1\]")


class RegistryHost(NamedTuple):
    """What `ACCOUNT.dkr.ecr.REGION.DOMAIN[:PORT]` says."""

    account_id: str
    region: str
    #: with its port, as written but for case
    domain: str


class ImageReference(NamedTuple):
    """`HOST/PATH[:TAG][@DIGEST]`; with a digest, the tag says nothing."""

    #: as written
    host: str
    #: as written: with account and region, where they stand there
    path: str
    #: "" where none is written
    tag: str
    digest: str


def split_image(image: str) -> ImageReference | None:
    """None where no registry is named, as of `nginx`."""
    host, slash, path = image.partition("/")
    if not slash or not (host == "localhost" or "." in host or ":" in host):
        return None
    path, _, digest = path.partition("@")
    path, _, tag = path.partition(":")
    return ImageReference(host, path, tag, digest)


def registry_host(host: str) -> RegistryHost | None:
    """None for a host that names no account and region."""
    found = _HOST.fullmatch(host.lower())
    return RegistryHost(found[1], found[2], found[3]) if found else None


def registry_in_path(path: str) -> tuple[str, str, str] | None:
    """(account, region, name of the repository) of `ACCOUNT.dkr.ecr.REGION/NAME`; None for a path that is a name only."""
    found = _PREFIXED.fullmatch(path)
    return (found[1], found[2], found[3]) if found else None


def is_loopback(host: str) -> bool:
    """Whether `host`, without a port, is this machine by its name alone."""
    return _LOOPBACK.fullmatch(host.lower()) is not None
