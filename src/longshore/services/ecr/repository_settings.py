"""What a repository can be set to, wherever that is asked for: at its creation, later, or in a creation template."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.shapes import ecr as shapes
from longshore.services.ecr.errors import InvalidParameterException


def checked_mutability(setting: str, filters: Iterable[shapes.ImageTagMutabilityExclusionFilter] | None) -> tuple[str, tuple[str, ...]]:
    """The setting and its patterns. Filters go with the …_WITH_EXCLUSION settings and with no other; raises InvalidParameterException."""
    patterns = tuple(each.filter for each in filters or ())
    excluding = setting.endswith("_WITH_EXCLUSION")
    if excluding != bool(patterns):
        must = "must be specified" if excluding else "must not be specified"
        raise InvalidParameterException(
            "Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: "
            f"'{must} when imageTagMutability is {setting}'"
        )
    if any(pattern.count("*") > 2 for pattern in patterns):
        raise InvalidParameterException(
            "Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: "
            "'a filter can contain a maximum of 2 wildcards'"
        )
    return setting, patterns


def checked_key(encryption_type: str, kms_key: str | None) -> str:
    """The KMS key, "" for none; raises InvalidParameterException where the encryption type has no use for one."""
    if kms_key and encryption_type == "AES256":
        raise InvalidParameterException(
            "Invalid parameter at 'encryptionConfiguration' failed to satisfy constraint: "
            "'kmsKey must not be specified when encryptionType is AES256'"
        )
    return kms_key or ""
