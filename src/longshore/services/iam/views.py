"""How users, keys and policies look in answers. Counts are taken from what is attached, and documents are URL-encoded as IAM does."""

from __future__ import annotations

from urllib.parse import quote

from longshore.aws.shapes import iam as shapes
from longshore.services.iam.model import ATTACHMENTS, AccessKey, ManagedPolicy, PolicyVersion, Tag, User, policy_in_account
from longshore.store.base import Reader


def user_shape(user: User, *, tags: bool = False) -> shapes.User:
    """Tags are shown where one user is asked for, not in listings."""
    return shapes.User(
        path=user.path,
        user_name=user.name,
        user_id=user.user_id,
        arn=user.arn,
        create_date=user.created_at,
        tags=_tags(user.tags) if tags else None,
    )


def root_shape(account_id: str, arn: str, created_at: float) -> shapes.User:
    """The root has neither name nor path."""
    return shapes.User(user_id=account_id, arn=arn, create_date=created_at)


def _tags(tags: tuple[Tag, ...]) -> tuple[shapes.Tag, ...] | None:
    return tuple(shapes.Tag(key=tag.key, value=tag.value) for tag in tags) or None


def access_key_shape(key: AccessKey, user_name: str | None) -> shapes.AccessKeyMetadata:
    return shapes.AccessKeyMetadata(user_name=user_name, access_key_id=key.access_key_id, status=key.status, create_date=key.created_at)


def policy_shape(reader: Reader, policy: ManagedPolicy, account_id: str, *, whole: bool = True) -> shapes.Policy:
    """`account_id` is the one that asks: attachments are counted there. Listings leave description and tags out (not `whole`)."""
    return shapes.Policy(
        policy_name=policy.name,
        policy_id=policy.policy_id,
        arn=policy.arn,
        path=policy.path,
        default_version_id=policy.default_version_id,
        attachment_count=reader.count(ATTACHMENTS, "policy", policy_in_account(policy.arn, account_id)),
        permissions_boundary_usage_count=0,
        is_attachable=True,
        description=(policy.description or None) if whole else None,
        create_date=policy.created_at,
        update_date=policy.updated_at,
        tags=_tags(policy.tags) if whole else None,
    )


def version_shape(version: PolicyVersion, default_version_id: str, *, document: bool = False) -> shapes.PolicyVersion:
    return shapes.PolicyVersion(
        document=encoded_document(version.document) if document else None,
        version_id=version.version_id,
        is_default_version=version.version_id == default_version_id,
        create_date=version.created_at,
    )


def encoded_document(document: str) -> str:
    """Percent-encoded per RFC 3986, as IAM returns policy documents."""
    return quote(document, safe="-_.~")
