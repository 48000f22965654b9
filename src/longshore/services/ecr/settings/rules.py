"""Which settings there are, what they may be, and what they mean to others."""

from __future__ import annotations

from collections.abc import Mapping

from longshore.services.ecr.errors import InvalidParameterException
from longshore.services.ecr.model import Repository
from longshore.services.ecr.settings.model import ACCOUNT_SETTINGS, PULL_TIME_EXCLUSIONS, identity_of, setting_key
from longshore.store.base import Reader

#: name -> its values, the default first
VALUES: Mapping[str, tuple[str, ...]] = {
    "BASIC_SCAN_TYPE_VERSION": ("AWS_NATIVE", "CLAIR"),
    "REGISTRY_POLICY_SCOPE": ("V2", "V1"),
    # ECR starts with DISABLED. Here the same push is quicker and needs no more room, and nobody can read more by it.
    "BLOB_MOUNTING": ("ENABLED", "DISABLED"),
}

#: at most so many principals are excluded in one registry
MOST_EXCLUSIONS = 100


def checked_name(name: str) -> str:
    """`name` itself; raises InvalidParameterException."""
    if name not in VALUES:
        raise _invalid("name", VALUES)
    return name


def checked_value(name: str, value: str) -> str:
    """`value` itself; raises InvalidParameterException."""
    if value not in VALUES[checked_name(name)]:
        raise _invalid("value", VALUES[name])
    return value


def _invalid(member: str, allowed: Mapping[str, object] | tuple[str, ...]) -> InvalidParameterException:
    values = ", ".join(sorted(allowed))
    return InvalidParameterException(
        f"Invalid parameter at '{member}' failed to satisfy constraint: 'Member must satisfy enum value set: [{values}]'"
    )


def setting(reader: Reader, region: str, account_id: str, name: str) -> str:
    held = reader.get(ACCOUNT_SETTINGS, setting_key(region, account_id, name))
    return held.value if held is not None else VALUES[name][0]


def mounts_blobs(reader: Reader, region: str, account_id: str) -> bool:
    """Whether a layer of one repository of the registry may be shown in another without being uploaded again."""
    return setting(reader, region, account_id, "BLOB_MOUNTING") == "ENABLED"


def leaves_no_trace(reader: Reader, repository: Repository, principal_arn: str) -> bool:
    """Whether pulls by this principal are not noted on the images of the repository."""
    scope = f"{repository.region}:{repository.account_id}"
    if not reader.count(PULL_TIME_EXCLUSIONS, "scope", scope):
        return False
    identity = identity_of(principal_arn)
    return identity is not None and reader.count(PULL_TIME_EXCLUSIONS, "identity", f"{scope}:{identity}") > 0
