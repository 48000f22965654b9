"""What sessions may not ask for, whatever the policies say of whose they are.

A user's own session may not call IAM unless a device's code was given for it, and of STS it may take on roles and ask who it is; a
federated user calls no IAM at all, and of STS only that. So a session that leaks cannot make itself keys that last.
"""

from __future__ import annotations

from longshore.aws.errors import AccessDenied, InvalidClientTokenId
from longshore.services.call import Principal

_OF_USERS = frozenset({"AssumeRole", "GetCallerIdentity"})
_OF_FEDERATED = frozenset({"GetCallerIdentity"})


def check_reach(principal: Principal, api: str, operation: str) -> None:
    """Raises InvalidClientTokenId and AccessDenied, as AWS does."""
    session = principal.session
    if session is None or session.role_arn:
        return
    if api == "iam" and not may_make_lasting_keys(principal):
        raise InvalidClientTokenId
    if api == "sts" and operation not in (_OF_FEDERATED if principal.is_federated else _OF_USERS):
        raise AccessDenied(f"Cannot call {operation[:64]} with {'federation' if principal.is_federated else 'session'} credentials")


def may_make_lasting_keys(principal: Principal) -> bool:
    """Whether keys that outlast its session may be given to it: to what may call IAM."""
    session = principal.session
    return session is None or bool(session.role_arn) or (bool(session.mfa_at) and not principal.is_federated)
