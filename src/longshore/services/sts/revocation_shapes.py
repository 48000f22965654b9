"""Shapes of the operations by which sessions are ended before their time; AWS has none for it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from longshore.aws.protocol.own import query_shape

Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"(?a:\A[\w+=,.@-]+\Z)")]
AccessKeyId = Annotated[str, Meta(min_length=16, max_length=128, pattern=r"(?a:\A\w+\Z)")]
#: seconds since the epoch
Moment = Annotated[int, Meta(ge=0, le=10**11)]


class Revocation(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    #: ARN of the role or the user, or the id of the access key
    subject: str
    #: sessions that began before have ended
    issued_before: float
    revoked_at: float
    revoked_by: str
    #: when it is forgotten, as there is nothing left that it could end
    needed_until: float


class RevokeRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """One of the first three."""

    role_name: Name | None = None
    user_name: Name | None = None
    access_key_id: AccessKeyId | None = None
    #: now, unless given
    issued_before: Moment | None = None


class RevokeResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    revocation: Revocation


class ListRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    pass


class ListResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    revocations: tuple[Revocation, ...] = ()


REVOKE = query_shape("LongshoreRevokeSessions", RevokeRequest, RevokeResponse)
LIST = query_shape("LongshoreListRevocations", ListRequest, ListResponse)
