"""Where images can be carried to: registries of this installation, and remote ones by the names their account gave them."""

from __future__ import annotations

import re
from typing import Protocol

from longshore.services.call import Principal
from longshore.services.ecr.access.resource_policies import resource_policies
from longshore.services.ecr.model import REPOSITORIES
from longshore.services.ecr.names import RepositoryId
from longshore.services.ecr.replication.model import REMOTE_REGISTRIES, Destination, RemoteRegistry, remote_key
from longshore.services.iam.evaluator import decide
from longshore.store.base import Reader

#: any region that a registry's host name can say
_REGION = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-[0-9]+")

#: failure codes
ACCESS_DENIED = "AccessDenied"
NOT_FOUND = "DestinationNotFound"


def is_region(name: str) -> bool:
    return _REGION.fullmatch(name) is not None


class _Registry(Protocol):
    @property
    def region(self) -> str: ...

    @property
    def account_id(self) -> str: ...


class _Source(_Registry, Protocol):
    @property
    def name(self) -> str: ...


def remote_of(reader: Reader, source: _Registry, destination: Destination) -> RemoteRegistry | None:
    """The remote registry that a destination names, where it names one that the source's registry knows."""
    if destination.account_id != source.account_id:
        return None
    return reader.get(REMOTE_REGISTRIES, remote_key(source.region, source.account_id, destination.region))


def refusal(reader: Reader, source: _Source, destination: Destination) -> str:
    """Why `destination` takes nothing of the repository `source`, as a failure code; "" where it does.

    Another account's registry policy must allow the source account `ecr:ReplicateImage`, and `ecr:CreateRepository` where the
    repository does not exist there yet.
    """
    account_id = source.account_id
    if remote_of(reader, source, destination) is not None:
        return ""
    if not is_region(destination.region):
        return NOT_FOUND
    if destination.account_id == account_id:
        return ""
    there = RepositoryId(destination.region, destination.account_id, source.name)
    missing = reader.get(REPOSITORIES, there.key) is None
    principal = Principal(account_id, f"arn:aws:iam::{account_id}:root", account_id, "")
    policies = resource_policies(reader, there.arn)
    context = {"aws:PrincipalAccount": [account_id], "aws:PrincipalArn": [principal.arn]}
    for action in ("ecr:ReplicateImage", "ecr:CreateRepository") if missing else ("ecr:ReplicateImage",):
        if not decide((), policies, action, there.arn, context, principal).allowed:
            return ACCESS_DENIED
    return ""
