"""What replication keeps: which registries get what is pushed here, what is to be carried there, and how far it came.

A push writes a `Replication` for each destination in its own transaction, so nothing pushed after the configuration was made
can be forgotten, and nothing pushed before it is carried by chance. A deletion writes a `Withdrawal`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from longshore.kit.resource import Kind
from longshore.services.ecr.model import image_key


class Destination(msgspec.Struct, frozen=True, gc=False):
    #: a Region, or the name of a remote registry that the source's registry knows
    region: str
    account_id: str

    @property
    def key(self) -> str:
        return f"{self.region}:{self.account_id}"


class ReplicationRule(msgspec.Struct, frozen=True, gc=False):
    destinations: tuple[Destination, ...]
    #: what repository names begin with; none: every repository
    prefixes: tuple[str, ...] = ()
    #: None where nothing was said, which means no
    delete_replication: bool | None = None


class ReplicationSettings(msgspec.Struct, frozen=True, gc=False):
    """The replication configuration of one registry."""

    region: str
    account_id: str
    rules: tuple[ReplicationRule, ...]

    @property
    def key(self) -> str:
        return f"{self.region}:{self.account_id}"


REPLICATION_SETTINGS: Kind[ReplicationSettings] = Kind(
    name="ecr.replication_settings", type=ReplicationSettings, key=lambda settings: settings.key
)

ReplicationStatus = Literal["IN_PROGRESS", "COMPLETE", "FAILED"]


def replication_key(repository: str, digest: str, destination: Destination) -> str:
    return f"{image_key(repository, digest)}>{destination.key}"


class Replication(msgspec.Struct, frozen=True, gc=False):
    """One image on its way to one destination."""

    repository: str  # key of the source repository
    digest: str
    destination: Destination
    status: ReplicationStatus
    #: tags to be given there; those that stand for another digest by then are left out
    tags: tuple[str, ...]
    changed_at: float
    #: what AWS calls failureCode; "" while nothing failed
    failure_code: str = ""
    #: how often it failed in a row
    attempts: int = 0
    #: when to try again; None: not again, unless the image is pushed or carried anew
    retry_at: float | None = None

    @property
    def key(self) -> str:
        return replication_key(self.repository, self.digest, self.destination)


REPLICATIONS: Kind[Replication] = Kind(
    name="ecr.replication",
    type=Replication,
    key=lambda replication: replication.key,
    indexes={
        "repository": lambda replication: (replication.repository,),
        "image": lambda replication: (image_key(replication.repository, replication.digest),),
        "open": lambda replication: ("open",) if replication.status == "IN_PROGRESS" or replication.retry_at is not None else (),
    },
)


class Withdrawal(msgspec.Struct, frozen=True, gc=False):
    """An image or one of its tags, deleted here and to be deleted at a destination. Gone once that is done."""

    region: str
    account_id: str
    #: name of the repository, which may be gone by now
    name: str
    digest: str
    #: "" for the image with all its tags
    tag: str
    destination: Destination
    asked_at: float
    attempts: int = 0
    retry_at: float = 0.0

    @property
    def key(self) -> str:
        return f"{self.region}:{self.account_id}:{self.name}@{self.digest}:{self.tag}>{self.destination.key}"


WITHDRAWALS: Kind[Withdrawal] = Kind(name="ecr.withdrawal", type=Withdrawal, key=lambda withdrawal: withdrawal.key)


BackfillStatus = Literal["PREPARING", "IN_PROGRESS", "COMPLETE", "FAILED", "STOPPING", "STOPPED"]
#: a backfill that goes on
RUNNING: frozenset[str] = frozenset({"PREPARING", "IN_PROGRESS", "STOPPING"})


class Backfill(msgspec.Struct, frozen=True, gc=False):
    """Existing images of a registry, carried to one of its destinations."""

    id: str
    region: str
    account_id: str
    destination: Destination
    status: BackfillStatus
    started_at: float
    ended_at: float | None = None
    failure_code: str = ""
    #: how many images and tags it is about; None until that is known
    total: int | None = None
    #: key of the image that was prepared last
    prepared_to: str | None = None

    @property
    def scope(self) -> str:
        return f"{self.region}:{self.account_id}"


BACKFILLS: Kind[Backfill] = Kind(
    name="ecr.replication_backfill",
    type=Backfill,
    key=lambda backfill: backfill.id,
    indexes={
        "scope": lambda backfill: (backfill.scope,),
        "running": lambda backfill: (backfill.scope,) if backfill.status in RUNNING else (),
    },
)


class BackfillItem(msgspec.Struct, frozen=True, gc=False):
    """One image and one of its tags ("" for an image without) in a backfill. CARRIED as long as its `Replication` is in progress."""

    backfill_id: str
    repository: str
    name: str
    digest: str
    tag: str
    status: Literal["PENDING", "CARRIED", "COMPLETE", "FAILED"] = "PENDING"
    failure_code: str = ""
    #: of the images in an index; None where the image is no index
    sub_image_failure_codes: tuple[str, ...] | None = None

    @property
    def key(self) -> str:
        return f"{self.backfill_id}:{image_key(self.repository, self.digest)}:{self.tag}"


BACKFILL_ITEMS: Kind[BackfillItem] = Kind(
    name="ecr.replication_backfill_item",
    type=BackfillItem,
    key=lambda item: item.key,
    indexes={
        "backfill": lambda item: (item.backfill_id,),
        "status": lambda item: (f"{item.backfill_id}:{item.status}",),
    },
)


#: what the passwords of remote registries are sealed for
REMOTE_PASSWORDS = "remote-registry-password-1"


Authentication = Literal["BASIC", "AWS"]


class RemoteRegistry(msgspec.Struct, frozen=True, gc=False):
    """A registry elsewhere that speaks the OCI protocol, under the name by which replication rules call it."""

    region: str
    account_id: str
    name: str
    #: https://HOST[:PORT][/PATH]; the path stands before the names of repositories there
    url: str
    created_at: float
    #: BASIC: user name and password; AWS: access key id and secret access key
    authentication: Authentication = "BASIC"
    user: str = ""
    #: sealed with the installation's key; empty where there is none
    password: bytes = b""

    @property
    def key(self) -> str:
        return remote_key(self.region, self.account_id, self.name)


def remote_key(region: str, account_id: str, name: str) -> str:
    return f"{region}:{account_id}:{name}"


REMOTE_REGISTRIES: Kind[RemoteRegistry] = Kind(
    name="ecr.remote_registry",
    type=RemoteRegistry,
    key=lambda remote: remote.key,
    indexes={"scope": lambda remote: (f"{remote.region}:{remote.account_id}",)},
)


class Wish(NamedTuple):
    """What a push or deletion in a repository means for one destination."""

    destination: Destination
    delete_replication: bool


def wishes(settings: ReplicationSettings | None, name: str) -> list[Wish]:
    """Every destination that `name` goes to, each once."""
    found: dict[Destination, bool] = {}
    for rule in settings.rules if settings is not None else ():
        if rule.prefixes and not name.startswith(rule.prefixes):
            continue
        for destination in rule.destinations:
            found[destination] = found.get(destination, False) or bool(rule.delete_replication)
    return [Wish(destination, deletes) for destination, deletes in found.items()]
