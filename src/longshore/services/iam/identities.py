"""What the gateway asks of IAM at every request: whose key is this, and which policies does its owner have?

Reads only, straight from the store's memory. Compiled documents are kept by their text; the list of one principal's
policies is kept until something of IAM is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from longshore.aws.sigv4 import Secret
from longshore.services.call import Principal, Session
from longshore.services.iam import aws_managed
from longshore.services.iam.evaluator import Limit, Side
from longshore.services.iam.model import (
    ACCESS_KEY_USES,
    ACCESS_KEYS,
    ATTACHMENTS,
    INLINE_POLICIES,
    MANAGED_POLICIES,
    MEMBERSHIPS,
    POLICY_VERSIONS,
    ROLES,
    USERS,
    AccessKey,
    AccessKeyUse,
    Tag,
    policy_version_key,
    root_arn,
)
from longshore.services.iam.policy import Policy, compile_policy
from longshore.services.iam.service_uses import SERVICE_USES, ServiceUse
from longshore.store.base import Reader, Store, Tx

#: how old a noted use of a key may grow before it is written down
_USE_WRITTEN_S = 60.0


class Credentials(NamedTuple):
    secret: Secret
    principal: Principal


def find_credentials(reader: Reader, access_key_id: str) -> Credentials | None:
    """The secret of an active access key and whose it is; None for keys that are unknown or inactive."""
    key = reader.get(ACCESS_KEYS, access_key_id)
    if key is None or key.status != "Active":
        return None
    if key.principal_arn == root_arn(key.account_id):
        return Credentials(Secret(key.secret_access_key), root_principal(key.account_id, access_key_id))
    users = reader.list(USERS, "arn", key.principal_arn)
    if not users:
        return None
    principal = Principal(key.account_id, key.principal_arn, users[0].user_id, access_key_id, tags=tag_pairs(users[0].tags))
    return Credentials(Secret(key.secret_access_key), principal)


def tag_pairs(tags: Iterable[Tag]) -> tuple[tuple[str, str], ...]:
    return tuple((tag.key, tag.value) for tag in tags)


def root_principal(account_id: str, access_key_id: str) -> Principal:
    return Principal(account_id=account_id, arn=root_arn(account_id), user_id=account_id, access_key_id=access_key_id)


def ensure_root(tx: Tx, account_id: str, access_key_id: str, secret_access_key: str, now: float) -> None:
    """Make `access_key_id` the root's key of the account, with this secret; writes nothing when it is so already."""
    kept = tx.get(ACCESS_KEYS, access_key_id)
    principal_arn = root_arn(account_id)
    if kept is not None and (kept.principal_arn, kept.secret_access_key, kept.status) == (principal_arn, secret_access_key, "Active"):
        return
    tx.put(ACCESS_KEYS, AccessKey(access_key_id, account_id, principal_arn, secret_access_key, now))


class Policies:
    """The compiled policies of principals, each list kept until one of its parts changes."""

    def __init__(self, store: Reader) -> None:
        self._store = store
        self._kept: dict[str, tuple[tuple[str, ...], tuple[Policy, ...]]] = {}

    def of(self, principal: Principal) -> tuple[Policy, ...]:
        """What allows: inline and attached policies of a user and of its groups, or of a session's role.

        None for the root, which needs none, and whom it lets in.
        """
        if principal.identity_arn.endswith(":root"):
            return ()
        return self._compiled(principal.identity_arn, tuple(_documents(self._store, principal)))

    def limits(self, principal: Principal) -> tuple[Limit, ...]:
        """What must allow beside them: the boundary of the user or the role, and the policies of the session, where there are any."""
        limits = []
        boundary_arn = _boundary_arn(self._store, principal)
        if boundary_arn:
            document = default_document(self._store, boundary_arn)
            # A boundary whose policy is gone bounds everything.
            limits.append(Limit("boundary", () if document is None else (compile_policy(document),)))
        session = principal.session
        if session is not None and session.policies is not None:
            limits.append(Limit("session", self._compiled(principal.key, tuple(_session_documents(self._store, session)))))
        return tuple(limits)

    def _compiled(self, key: str, documents: tuple[str, ...]) -> tuple[Policy, ...]:
        kept = self._kept.get(key)
        if kept is not None and kept[0] == documents:
            return kept[1]
        policies = tuple(compile_policy(document) for document in documents)
        if len(self._kept) >= 10_000:
            self._kept.clear()
        self._kept[key] = (documents, policies)
        return policies


def _documents(reader: Reader, principal: Principal) -> Iterable[str]:
    owner = principal.identity_arn
    yield from held_documents(reader, owner)
    if not principal.role_arn:
        for membership in reader.list(MEMBERSHIPS, "user", owner):
            yield from held_documents(reader, membership.group_arn)


def held_documents(reader: Reader, owner_arn: str) -> Iterable[str]:
    """The documents in force of what is written into a user, group or role, and of what is attached to it."""
    for inline in reader.list(INLINE_POLICIES, "owner", owner_arn):
        yield inline.document
    for attachment in reader.list(ATTACHMENTS, "owner", owner_arn):
        document = default_document(reader, attachment.policy_arn)
        if document is not None:
            yield document


def _boundary_arn(reader: Reader, principal: Principal) -> str:
    if principal.role_arn:
        roles = reader.list(ROLES, "arn", principal.role_arn)
        return roles[0].boundary_arn if roles else ""
    users = reader.list(USERS, "arn", principal.identity_arn)
    return users[0].boundary_arn if users else ""


def _session_documents(reader: Reader, session: Session) -> Iterable[str]:
    """The session's own documents, and those of managed policies as they are now."""
    yield from session.policies or ()
    for policy_arn in session.policy_arns:
        document = default_document(reader, policy_arn)
        if document is not None:
            yield document


def default_document(reader: Reader, policy_arn: str) -> str | None:
    """The document in force of a managed policy, AWS's own included."""
    if policy_arn in aws_managed.DOCUMENTS:
        return aws_managed.DOCUMENTS[policy_arn]
    policy = reader.get(MANAGED_POLICIES, policy_arn)
    if policy is None:
        return None
    version = reader.get(POLICY_VERSIONS, policy_version_key(policy_arn, policy.default_version_id))
    return version.document if version else None


def global_context(principal: Principal, *, now: float, region: str, source_ip: str, secure: bool, user_agent: str) -> dict[str, list[str]]:
    """The condition keys that every request has (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html)."""
    context = {
        "aws:principalarn": [principal.role_arn or principal.arn],
        "aws:principalaccount": [principal.account_id],
        "aws:principaltype": [_type_of(principal)],
        "aws:userid": [principal.user_id],
        "aws:currenttime": [_moment(int(now))],
        "aws:epochtime": [str(int(now))],
        "aws:sourceip": [source_ip],
        "aws:securetransport": ["true" if secure else "false"],
        "aws:useragent": [user_agent],
        "aws:requestedregion": [region],
        "aws:viaawsservice": ["false"],
        "aws:principalisawsservice": ["false"],
        # whoever names nothing asks about what is their own account's; what is named says itself whose it is
        "aws:resourceaccount": [principal.account_id],
    }
    for key, value in principal.tags:
        context[f"aws:principaltag/{key.lower()}"] = [value]
    session = principal.session
    if session is not None:
        context["aws:tokenissuetime"] = [_moment(int(session.issued_at))]
        context["aws:multifactorauthpresent"] = ["true" if session.mfa_at else "false"]
        if session.mfa_at:
            context["aws:multifactorauthage"] = [str(max(0, int(now - session.mfa_at)))]
        for key, value in session.told:
            context.setdefault(key, []).append(value)
        if session.source_identity:
            context["aws:sourceidentity"] = [session.source_identity]
    if provider := principal.provider_arn or (session.provider_arn if session is not None else ""):
        context["aws:federatedprovider"] = [provider]
    if context["aws:principaltype"] == ["User"]:
        context["aws:username"] = [principal.arn.rpartition("/")[2]]
    return context


def _type_of(principal: Principal) -> str:
    """As aws:PrincipalType has it."""
    if principal.is_root:
        return "Account"
    return "AssumedRole" if principal.role_arn else "FederatedUser" if principal.is_federated or principal.provider_arn else "User"


@lru_cache(maxsize=256)
def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


#: how the words of a refusal go on where a policy denies
EXPLICIT = " with an explicit deny in "

#: kind of policy -> (as it stands after "because no", as it stands after "with an explicit deny in")
_SIDES: dict[str, tuple[str, str]] = {
    "identity": ("identity-based policy", "an identity-based policy"),
    "resource": ("resource-based policy", "a resource-based policy"),
    "boundary": ("permissions boundary", "a permissions boundary"),
    "session": ("session policy", "a session policy"),
    "trust": ("role trust policy", "the role trust policy"),
}


def access_denied_message(principal: Principal, action: str, resource: str, *, explicit: bool, side: Side = "identity") -> str:
    """Why not, in AWS's words; `side` is the kind of policy that denied or lacked an allow."""
    on = f"User: {principal.arn} is not authorized to perform: {action} on resource: {resource}"
    lacked, denied = _SIDES["trust" if side == "resource" and action.startswith("sts:") else side]
    if explicit:
        return f"{on}{EXPLICIT}{denied}"
    return f"{on} because no {lacked} allows the {action} action"


class KeyUses:
    """When keys, and roles, were used, and by whom each service: noted in memory at every request, written down at most once a minute
    for each."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._noted: dict[str, AccessKeyUse] = {}
        self._written: dict[str, float] = {}
        #: (id of a user or a role, service) -> (when, region)
        self._served: dict[tuple[str, str], tuple[float, str]] = {}
        self._served_written: dict[tuple[str, str], float] = {}

    def note(self, used: str, now: float, service: str, region: str, identity: str = "") -> bool:
        """Note a use of a key (its id) or of a role (its id), by the user or the role of that id; True when it is time to call `write`."""
        self._noted[used] = AccessKeyUse(used, now, service, region)
        due = now - self._written.get(used, 0.0) >= _USE_WRITTEN_S
        if identity:
            served = (identity, service)
            self._served[served] = (now, region)
            due = due or now - self._served_written.get(served, 0.0) >= _USE_WRITTEN_S
        return due

    async def write(self, now: float) -> None:
        """Write down every use that has not been written for a minute; whoever was deleted meanwhile is left out."""
        due = [use for key, use in self._noted.items() if now - self._written.get(key, 0.0) >= _USE_WRITTEN_S]
        for use in due:
            del self._noted[use.access_key_id]
            self._written[use.access_key_id] = now
        served = {key: use for key, use in self._served.items() if now - self._served_written.get(key, 0.0) >= _USE_WRITTEN_S}
        for key in served:
            del self._served[key]
            self._served_written[key] = now

        def put(tx: Tx) -> None:
            for use in due:
                if tx.get(ACCESS_KEYS, use.access_key_id) is not None or tx.count(ROLES, "id", use.access_key_id):
                    tx.put(ACCESS_KEY_USES, use)
            for (identity, service), (at, region) in served.items():
                accounts = [user.account_id for user in tx.list(USERS, "id", identity)]
                accounts += [role.account_id for role in tx.list(ROLES, "id", identity)]
                for account_id in accounts:
                    tx.put(SERVICE_USES, ServiceUse(account_id, identity, service, at, region))

        if due or served:
            await self._store.transact(put)


def used_identity(principal: Principal) -> str:
    """The id of the user or the role that a request is made by; empty for everybody else."""
    return principal.role_id or (principal.user_id if principal.user_id.startswith("AIDA") else "")


def used_key(principal: Principal) -> str:
    """What a request uses: a long-lived key, the role of a session, or the user's key that a session was begun with."""
    session = principal.session
    return principal.access_key_id if session is None else session.role_id or session.begun_with
