"""What names, tags and digests may look like, and how resources are called. Nothing from a client is used before it passed here."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from longshore.aws.arn import arn
from longshore.services.ecr.errors import InvalidParameterException
from longshore.services.ecr.model import repository_key

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REPOSITORY_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
SHORTEST_NAME, LONGEST_NAME = 2, 256
#: as the distribution specification has it; ECR's model allows 300 characters, no client can pull by more than 128
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
#: the digests that can be verified, and so the only ones stored
DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")
#: what looks like a digest to ECR, known or not
_DIGEST_SHAPE = re.compile(r"[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+")

LARGEST_MANIFEST = 4 * 1024 * 1024


#: what stands before a name where the account and region are said by the path
_REGISTRY_PREFIX = re.compile(r"[0-9]{12}\.dkr[.-]ecr\.[a-z0-9-]+/.+")


class RepositoryId(NamedTuple):
    """Which repository is meant. There may be none of that name."""

    region: str
    account_id: str
    name: str

    @property
    def key(self) -> str:
        return repository_key(self.region, self.account_id, self.name)

    @property
    def arn(self) -> str:
        return repository_arn(self.region, self.account_id, self.name)


def is_repository_name(name: str) -> bool:
    return SHORTEST_NAME <= len(name) <= LONGEST_NAME and REPOSITORY_NAME.fullmatch(name) is not None


def names_a_registry(name: str) -> bool:
    """Whether `name` would be taken for one of another account, or region, wherever images are named. Nothing new is called like that."""
    return _REGISTRY_PREFIX.fullmatch(name) is not None


def is_tag(tag: str) -> bool:
    return TAG.fullmatch(tag) is not None


def is_digest(digest: str) -> bool:
    return DIGEST.fullmatch(digest) is not None


def looks_like_digest(digest: str) -> bool:
    return _DIGEST_SHAPE.fullmatch(digest) is not None


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def repository_arn(region: str, account_id: str, name: str) -> str:
    return arn("ecr", region, account_id, f"repository/{name}")


def described(digest: str | None, tag: str | None) -> str:
    """An image identifier as ECR's messages write it."""
    return "{" + f"imageDigest:'{digest or 'null'}', imageTag:'{tag or 'null'}'" + "}"


def checked_tag(tag: str) -> str:
    """`tag` itself; raises InvalidParameterException."""
    if not is_tag(tag):
        raise InvalidParameterException(
            f"Invalid parameter at 'imageTag' failed to satisfy constraint: 'must satisfy regular expression '{TAG.pattern}''"
        )
    return tag


def checked_digest(digest: str) -> str:
    """`digest` itself; raises InvalidParameterException."""
    if not is_digest(digest):
        raise InvalidParameterException(
            "Invalid parameter at 'imageDigest' failed to satisfy constraint: "
            "'must satisfy regular expression 'sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}''"
        )
    return digest
