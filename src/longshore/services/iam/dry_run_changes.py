"""The policies that somebody has, each by its name, and what they would be after a change. Reads only; the change itself is pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from longshore.services.iam import aws_managed
from longshore.services.iam.identities import default_document
from longshore.services.iam.model import ATTACHMENTS, INLINE_POLICIES, MEMBERSHIPS, ROLES, USERS, Role, User
from longshore.services.iam.policy import Policy, compile_policy
from longshore.services.iam.recording_model import Change
from longshore.store.base import Reader


class Source(NamedTuple):
    """One policy, where it stands, and how it is called."""

    #: inline, managed, aws-managed; boundary, session, resource
    kind: str
    #: of the policy; a managed one's without its path
    name: str
    #: a managed policy's; empty for others
    policy_arn: str
    #: of the user, group, role or resource it is heard for
    holder_arn: str
    #: empty where a boundary's policy is gone, which allows nothing
    document: str
    resource_based: bool = False

    @property
    def policy(self) -> Policy:
        """Raises MalformedPolicy."""
        return compile_policy(self.document, resource_based=self.resource_based)


class Standing(NamedTuple):
    """The policies of one principal, in the order in which they are heard."""

    principal_arn: str
    #: it, and its groups
    holders: tuple[str, ...]
    sources: tuple[Source, ...]
    #: None: it has none
    boundary: Source | None

    @property
    def own(self) -> tuple[Policy, ...]:
        return tuple(source.policy for source in self.sources)

    @property
    def bounds(self) -> tuple[Policy, ...]:
        """Of the boundary; none allow anything where its policy is gone."""
        return (self.boundary.policy,) if self.boundary is not None and self.boundary.document else ()


def standing_of(reader: Reader, identity_arn: str) -> Standing:
    """As they are; of the root, and of who is not there, none."""
    groups = [membership.group_arn for membership in reader.list(MEMBERSHIPS, "user", identity_arn)]
    holders = (identity_arn, *groups)
    sources = tuple(source for holder in holders for source in _held(reader, holder))
    boundary_arn = _boundary_arn(reader, identity_arn)
    boundary = None
    if boundary_arn:
        document = default_document(reader, boundary_arn)
        boundary = Source("boundary", _name(boundary_arn), boundary_arn, identity_arn, document or "")
    return Standing(identity_arn, holders, sources, boundary)


def _held(reader: Reader, holder: str) -> Iterable[Source]:
    for inline in reader.list(INLINE_POLICIES, "owner", holder):
        yield Source("inline", inline.name, "", holder, inline.document)
    for attachment in reader.list(ATTACHMENTS, "owner", holder):
        document = default_document(reader, attachment.policy_arn)
        if document is not None:
            yield managed(attachment.policy_arn, holder, document)


def managed(policy_arn: str, holder: str, document: str) -> Source:
    kind = "aws-managed" if policy_arn in aws_managed.POLICIES else "managed"
    return Source(kind, _name(policy_arn), policy_arn, holder, document)


def _name(policy_arn: str) -> str:
    return policy_arn.rpartition("/")[2]


def _boundary_arn(reader: Reader, identity_arn: str) -> str:
    found: list[User | Role] = [*reader.list(USERS, "arn", identity_arn), *reader.list(ROLES, "arn", identity_arn)]
    return found[0].boundary_arn if found else ""


# ── changes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def changed(standing: Standing, changes: Iterable[Change]) -> Standing:
    """The policies after the changes, one after the other; the same where they are about somebody else."""
    for change in changes:
        standing = _changed(standing, change)
    return standing


def _changed(standing: Standing, change: Change) -> Standing:
    if change.action == "version":
        return _with_version(standing, change.policy_arn, change.document)
    if change.holder_arn not in standing.holders:
        return standing
    if change.action == "boundary":
        if change.holder_arn != standing.principal_arn:
            return standing
        none = not change.policy_arn and not change.document
        name = _name(change.policy_arn) or "(given)"
        return standing._replace(
            boundary=None if none else Source("boundary", name, change.policy_arn, change.holder_arn, change.document),
        )
    kept = tuple(source for source in standing.sources if not _gives_way(source, change))
    match change.action:
        case "put":
            added = Source("inline", change.policy_name, "", change.holder_arn, change.document)
        case "attach":
            added = managed(change.policy_arn, change.holder_arn, change.document)
        case _:
            return standing._replace(sources=kept)
    place = next((number for number, source in enumerate(standing.sources) if _gives_way(source, change)), len(kept))
    return standing._replace(sources=(*kept[:place], added, *kept[place:]))


def _gives_way(source: Source, change: Change) -> bool:
    if source.holder_arn != change.holder_arn:
        return False
    if change.action in ("put", "delete"):
        return source.kind == "inline" and source.name == change.policy_name
    return bool(source.policy_arn) and source.policy_arn == change.policy_arn


def _with_version(standing: Standing, policy_arn: str, document: str) -> Standing:
    sources = tuple(source._replace(document=document) if source.policy_arn == policy_arn else source for source in standing.sources)
    boundary = standing.boundary
    if boundary is not None and boundary.policy_arn == policy_arn:
        boundary = boundary._replace(document=document)
    return standing._replace(sources=sources, boundary=boundary)
