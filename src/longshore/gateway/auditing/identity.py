"""userIdentity: who it was, in the forms of "CloudTrail userIdentity element"."""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.audit.record import moment
from longshore.services.call import Principal, Session

_encode = msgspec.json.Encoder().encode
_MOST_KEPT = 4_096


class Identities:
    """`of` remembers whom it has written down lately: most requests are those of a few."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str, str], msgspec.Raw] = {}

    def of(self, principal: Principal) -> msgspec.Raw:
        key = (principal.arn, principal.access_key_id, principal.user_id, principal.subject)
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            kept = self._kept[key] = msgspec.Raw(_encode(identity_of(principal)))
        return kept


def identity_of(principal: Principal) -> dict[str, Any]:
    if principal.provider_arn:
        return _of_web(principal)
    session = principal.session
    told: dict[str, Any] = {
        "type": _type(principal),
        "principalId": principal.user_id,
        "arn": principal.arn,
        "accountId": principal.account_id,
        "accessKeyId": principal.access_key_id,
    }
    if told["type"] == "IAMUser":
        told["userName"] = principal.arn.rpartition("/")[2]
    if session is not None:
        told["sessionContext"] = _context(principal, session)
    return told


def from_another_account(principal: Principal) -> msgspec.Raw:
    """What the account whose resource it is learns of a caller in another."""
    return msgspec.Raw(_encode({"type": "AWSAccount", "principalId": principal.user_id, "accountId": principal.account_id}))


def of_nobody(claimed_key: str) -> msgspec.Raw:
    """`claimed_key`: the access key id that a request names without having shown that it is its."""
    return msgspec.Raw(_encode({"type": "Unknown", **({"accessKeyId": claimed_key} if claimed_key else {})}))


def _type(principal: Principal) -> str:
    if principal.is_federated or ":federated-user/" in principal.arn:
        return "FederatedUser"
    if principal.role_arn or ":assumed-role/" in principal.arn:
        return "AssumedRole"
    return "Root" if principal.is_root else "IAMUser"


def _of_web(principal: Principal) -> dict[str, Any]:
    """Of AssumeRoleWithWebIdentity, before there is a session."""
    return {
        "type": "WebIdentityUser",
        "principalId": principal.user_id,
        "userName": principal.subject,
        "identityProvider": principal.provider_arn,
    }


def _context(principal: Principal, session: Session) -> dict[str, Any]:
    context: dict[str, Any] = {
        "attributes": {
            "creationDate": moment(int(session.issued_at)),
            "mfaAuthenticated": "true" if session.mfa_at else "false",
        }
    }
    if session.role_arn:
        context["sessionIssuer"] = {
            "type": "Role",
            "principalId": session.role_id,
            "arn": session.role_arn,
            "accountId": principal.account_id,
            "userName": session.role_arn.rpartition("/")[2],
        }
    elif principal.is_federated:
        issuer = session.user_arn
        context["sessionIssuer"] = {
            "type": "Root" if issuer.endswith(":root") else "IAMUser",
            "arn": issuer,
            "accountId": principal.account_id,
            **({} if issuer.endswith(":root") else {"userName": issuer.rpartition("/")[2]}),
        }
    if session.provider_arn:
        context["webIdFederationData"] = {"federatedProvider": session.provider_arn, "attributes": dict(session.told)}
    if session.source_identity:
        context["sourceIdentity"] = session.source_identity
    return context
