"""Requests and answers of the operations on remote registries, which AWS does not have.

docs/extensions.md says what they mean. Times are seconds since the epoch.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from longshore.aws.protocol.model import OperationShape
from longshore.services.ecr.replication.model import Authentication

RemoteName = Annotated[str, Meta(min_length=2, max_length=25, pattern="^[0-9a-z-]{2,25}$")]
_PageSize = Annotated[int, Meta(ge=1, le=1000)]


class _Shape(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    pass


class PutRemoteRegistryRequest(_Shape, frozen=True, kw_only=True, omit_defaults=True):
    name: RemoteName
    url: Annotated[str, Meta(max_length=500)]
    #: BASIC unless given: a user name and a password; AWS: an access key, for Amazon ECR and other Longshores
    authentication: Authentication | None = None
    user_name: Annotated[str, Meta(max_length=256)] | None = None
    password: Annotated[str, Meta(max_length=8192)] | None = None


class RemoteRegistryDetail(_Shape, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    url: str
    authentication: str | None = None
    user_name: str | None = None
    created_at: float


class PutRemoteRegistryResponse(_Shape, frozen=True, kw_only=True, omit_defaults=True):
    remote_registry: RemoteRegistryDetail


class DescribeRemoteRegistriesRequest(_Shape, frozen=True, kw_only=True, omit_defaults=True):
    max_results: _PageSize | None = None
    next_token: str | None = None


class DescribeRemoteRegistriesResponse(_Shape, frozen=True, kw_only=True, omit_defaults=True):
    remote_registries: tuple[RemoteRegistryDetail, ...]
    next_token: str | None = None


class CheckRemoteRegistryRequest(_Shape, frozen=True, kw_only=True, omit_defaults=True):
    name: RemoteName


class CheckRemoteRegistryResponse(_Shape, frozen=True, kw_only=True, omit_defaults=True):
    is_valid: bool
    failure: str | None = None


class DeleteRemoteRegistryRequest(_Shape, frozen=True, kw_only=True, omit_defaults=True):
    name: RemoteName


class DeleteRemoteRegistryResponse(_Shape, frozen=True, kw_only=True, omit_defaults=True):
    remote_registry: RemoteRegistryDetail


PUT = OperationShape("LongshorePutRemoteRegistry", PutRemoteRegistryRequest, PutRemoteRegistryResponse)
DESCRIBE = OperationShape("LongshoreDescribeRemoteRegistries", DescribeRemoteRegistriesRequest, DescribeRemoteRegistriesResponse)
CHECK = OperationShape("LongshoreCheckRemoteRegistry", CheckRemoteRegistryRequest, CheckRemoteRegistryResponse)
DELETE = OperationShape("LongshoreDeleteRemoteRegistry", DeleteRemoteRegistryRequest, DeleteRemoteRegistryResponse)
