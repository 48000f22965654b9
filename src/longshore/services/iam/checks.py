"""Policy documents at the door: what nobody may bring, though it would be understood if it stood there already.

Compiling takes what earlier versions have let in, so that what is kept goes on to be heard. Who brings a document is held to IAM's
grammar by the letter, and to what the kind of policy may speak of; every refusal says where.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from longshore.services.iam.document import Path, Places, Unreadable, find
from longshore.services.iam.policy import MalformedPolicy, Policy, Statement, compile_policy, texts_of, why_no_resource

#: what a trust policy may speak of
_TAKING_ON = re.compile(r"sts:(AssumeRole(With(SAML|WebIdentity))?|TagSession|SetSourceIdentity|SetContext|[*])", re.IGNORECASE)
_ONLY_TAKING_ON = "AssumeRole policy may only specify STS AssumeRole actions."


def check_policy(document: str, *, resource_based: bool = False) -> Policy:
    """As compile_policy, and as strict as IAM with who brings a document: nothing in it stands twice. Raises MalformedPolicy."""
    try:
        Places(document)
    except Unreadable as error:
        raise MalformedPolicy(str(error), error.path, error.position) from error
    return compile_policy(document, resource_based=resource_based)


def check_session_policy(document: str) -> Policy:
    """As check_policy; the ARNs in what limits a session must be whole. Raises MalformedPolicy."""
    policy = check_policy(document)
    raw = msgspec.json.decode(document)["Statement"]
    for number, written in enumerate(raw if isinstance(raw, list) else [raw]):
        element = "NotResource" if "NotResource" in written else "Resource"
        at: Path = ("Statement", number, element)
        for place, resource in enumerate(texts_of(written[element], at)):
            reason = why_no_resource(resource, whole=True)
            if reason:
                raise MalformedPolicy(reason, *find(document, (*at, place)))
    return policy


def check_trust(document: str) -> None:
    """Whether a document may be a role's trust policy: about taking the role on, and about nothing else. Raises MalformedPolicy."""
    policy = check_policy(document, resource_based=True)
    raw = msgspec.json.decode(document)["Statement"]
    try:
        for statement, written in zip(policy.statements, raw if isinstance(raw, list) else [raw], strict=True):
            _check_trusting(statement, written)
    except MalformedPolicy as error:
        raise MalformedPolicy(error.words, *find(document, error.path)) from error


def _check_trusting(statement: Statement, written: dict[str, Any]) -> None:
    at: Path = ("Statement", statement.index)
    if statement.resources is not None:
        element = "NotResource" if statement.not_resource else "Resource"
        raise MalformedPolicy(f"Has prohibited field {element}", (*at, element))
    if statement.not_action:
        raise MalformedPolicy(_ONLY_TAKING_ON, (*at, "NotAction"))
    for number, action in enumerate(texts_of(written["Action"], (*at, "Action"))):
        if not _TAKING_ON.fullmatch(action):
            raise MalformedPolicy(_ONLY_TAKING_ON, (*at, "Action", number))
    if statement.not_principal and statement.allows:
        raise MalformedPolicy("Allow with NotPrincipal is not supported in the trust policy of a role.", (*at, "NotPrincipal"))
