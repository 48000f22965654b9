"""Policy documents on their way in: refused as ECR refuses them, or made into what is kept.

Beyond IAM's grammar ECR wants a principal it can know in every statement, and actions of its own. A repository's policy
speaks of that repository and names no resource; a registry's must name some.
https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-policies.html
https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry-permissions.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from longshore.services.ecr.access.model import RegistryPolicy, RepositoryPolicy
from longshore.services.ecr.errors import InvalidParameterException
from longshore.services.ecr.model import Repository
from longshore.services.iam.checks import check_policy
from longshore.services.iam.model import ROLES, USERS
from longshore.services.iam.policy import MalformedPolicy
from longshore.store.base import Reader

LONGEST_DOCUMENT = 10_240
#: an account, or somebody in it; names have no wildcards
_PRINCIPAL = re.compile(
    r"[*]|[0-9]{12}|A[A-Z]{2}A[A-Z0-9]{12,124}"
    r"|arn:aws(-[a-z]+)*:iam::[0-9]{12}:(root|(user|role)/[\w+=,.@/-]+)"
    r"|arn:aws(-[a-z]+)*:sts::[0-9]{12}:(assumed-role|federated-user)/[\w+=,.@/-]+",
    re.ASCII,
)

_Whose = Literal["repository", "registry"]


def checked_repository_policy(document: str) -> str:
    """`document` itself, where it could be a repository's policy; raises InvalidParameterException."""
    _statements(document, "repository")
    return document


def repository_policy(reader: Reader, repository: Repository, document: str) -> RepositoryPolicy:
    """Raises InvalidParameterException."""
    return RepositoryPolicy(repository.key, document, _meant(reader, document, "repository"))


def registry_policy(reader: Reader, region: str, account_id: str, document: str) -> RegistryPolicy:
    """Raises InvalidParameterException."""
    return RegistryPolicy(region, account_id, document, _meant(reader, document, "registry"))


def _meant(reader: Reader, document: str, whose: _Whose) -> str:
    """The document with every user and role that exists named by id."""
    statements = _statements(document, whose)
    for named in (named for statement in statements for named in _named(statement)):
        if "AWS" in named:
            named["AWS"] = [_id_of(reader, principal) for principal in _listed(named["AWS"])]
    version = msgspec.json.decode(document).get("Version", "2008-10-17")
    return msgspec.json.encode({"Version": version, "Statement": statements}).decode()


def _id_of(reader: Reader, principal: str) -> str:
    if users := reader.list(USERS, "arn", principal):
        return users[0].user_id
    roles = reader.list(ROLES, "arn", principal)
    return roles[0].role_id if roles else principal


def _statements(document: str, whose: _Whose) -> list[dict[str, Any]]:
    """The document's statements, where ECR would take it; raises InvalidParameterException."""
    invalid = InvalidParameterException(
        f"Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid {whose} policy provided'"
    )
    if len(document) > LONGEST_DOCUMENT:
        raise invalid
    try:
        check_policy(document, resource_based=True)
    except MalformedPolicy as error:
        raise InvalidParameterException(f"{invalid}: {error}") from error
    statements = msgspec.json.decode(document)["Statement"]
    listed: list[dict[str, Any]] = statements if isinstance(statements, list) else [statements]
    if not all(_is_acceptable(statement, whose) for statement in listed):
        raise invalid
    return listed


def _is_acceptable(statement: dict[str, Any], whose: _Whose) -> bool:
    names_resources = "Resource" in statement or "NotResource" in statement
    actions = _listed(statement.get("Action", statement.get("NotAction")))
    principals = (principal for named in _named(statement) for principal in _listed(named.get("AWS", [])))
    return (
        names_resources is (whose == "registry")
        and all(action == "*" or action.lower().startswith("ecr:") for action in actions)
        and all(_PRINCIPAL.fullmatch(principal) for principal in principals)
    )


def _named(statement: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The statement's principals by kind; nothing where it speaks of everybody."""
    for element in ("Principal", "NotPrincipal"):
        if isinstance(statement.get(element), dict):
            yield statement[element]


def _listed(value: Any) -> Iterable[str]:
    return value if isinstance(value, list) else [value]
