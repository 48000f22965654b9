"""What an operation is given besides its request: who calls, for which account and region, and the world it may touch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.kit.sealing import Keys
from longshore.services.ecs.utilisation import Utilisation
from longshore.store.archive import Archive, MemoryArchive
from longshore.store.base import Store
from longshore.store.blobs import BlobStore
from longshore.store.event_log import EventLog

if TYPE_CHECKING:
    from longshore.audit.log import AuditLog
    from longshore.services.ecr.pull_through.cache import PullThroughCache
    from longshore.services.ecs.outlook.counts import Counter as TrafficCounter
    from longshore.services.ecs.outlook.seen import Scheduler
    from longshore.services.iam.deciding import Deciding
    from longshore.services.iam.recording import Recorder
    from longshore.services.sts.model import Began
    from longshore.services.sts.web_identity.issuers import Issuers
    from longshore.services.sts.web_identity.tokens import WebIdentity


@dataclass(frozen=True, slots=True)
class Session:
    """What is particular to who signs with temporary credentials."""

    #: of the role that was taken on; empty for a user's own session, or the root's
    role_arn: str
    #: AROA…
    role_id: str
    #: seconds since the epoch
    issued_at: float
    expires_at: float
    #: the session token itself: who has it and the secret key is the session
    token: str = field(repr=False)
    #: the long-lived key that a user's own session was begun with
    begun_with: str = ""
    #: documents, and ARNs of managed policies, beyond which the session may nothing; None where it is not limited
    policies: tuple[str, ...] | None = None
    policy_arns: tuple[str, ...] = ()
    #: keys of tags that sessions begun from this one inherit
    transitive: tuple[str, ...] = ()
    source_identity: str = ""
    #: what it acts as, and ends with: the ARN of a task, or the id of a container instance's machine; empty for most
    bound_to: str = ""
    #: all who have a part in it: whoever began the first of a chain of sessions, those between, itself
    links: tuple[Began, ...] = ()
    #: when a device's code was given for it (seconds since the epoch); 0 where none was
    mfa_at: float = 0.0
    #: of a federated user; empty for all others
    federated_name: str = ""
    #: whose session it is, where it is no role's
    user_arn: str = ""
    #: of the identity provider whose token a role was taken on with, and what that said of the bearer: condition keys and their values
    provider_arn: str = ""
    told: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who signed the request."""

    account_id: str
    #: arn:aws:iam::ACCOUNT:root, arn:aws:iam::ACCOUNT:user/NAME, arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION
    arn: str
    #: AIDA… for users, AROA…:SESSION for roles' sessions, the account id for its root
    user_id: str
    access_key_id: str
    #: (key, value): the user's own, or the role's under the session's
    tags: tuple[tuple[str, str], ...] = ()
    session: Session | None = None
    #: ARN of the identity provider that vouches for somebody who has no credentials (yet); empty for everybody else
    provider_arn: str = ""
    #: what that provider calls them, the token's `sub`
    subject: str = ""

    @property
    def is_root(self) -> bool:
        return self.arn.endswith(":root")

    @property
    def is_federated(self) -> bool:
        """Whether it is a session of GetFederationToken."""
        return self.session is not None and bool(self.session.federated_name)

    @property
    def role_arn(self) -> str:
        """Of the role whose session this is; empty for everybody else."""
        return self.session.role_arn if self.session is not None else ""

    @property
    def role_id(self) -> str:
        return self.session.role_id if self.session is not None else ""

    @property
    def identity_arn(self) -> str:
        """The ARN that identity policies hang on: a session's role, a user, who let a federated user in."""
        if self.session is not None and self.session.federated_name:
            return self.session.user_arn
        return self.role_arn or self.arn

    @property
    def identity_id(self) -> str:
        """Of whom identity_arn names: AROA…, AIDA…"""
        if self.session is not None and self.session.federated_name:
            return self.session.links[-1].id
        return self.role_id or self.user_id

    @property
    def key(self) -> str:
        """What tells apart whose rights may differ: two sessions of one name may be limited differently."""
        return self.arn if self.session is None else self.access_key_id


@dataclass(frozen=True, slots=True)
class Site:
    """Facts about this installation that answers speak of; fixed while the server runs."""

    account_id: str
    region: str
    #: zone names in order, e.g. ("us-east-1a", "us-east-1b")
    zones: tuple[str, ...]
    #: http://127.0.0.1:4566 – how clients on this machine reach the gateway
    endpoint: str
    #: port of the gateway, which is the registry's port too
    port: int
    dev: bool = False
    #: seconds after RUNNING at which a task counts as healthy when nothing checks its health, as long as ECS waits
    warm_up_s: float = 40.0
    #: seconds for which layers that nothing names are left alone after they were stored or asked for
    collection_grace_s: float = 24 * 3600.0
    #: seconds without its agent after which a container instance counts as lost; 0: never
    lost_after_s: float = 600.0
    #: suffix of registry host names
    domain: str = "localhost"
    #: suffix of load balancers' host names
    load_balancer_domain: str = "localhost"

    @property
    def registry_address(self) -> str:
        """Host and port that Docker Engine reaches the registry by. It resolves no name that only this machine's C library
        knows (`*.localhost`), and trusts plain HTTP on loopback addresses only."""
        return self.endpoint.partition("://")[2]

    @property
    def registry_endpoint(self) -> str:
        """What `docker login` is given."""
        return self.endpoint

    def registry_host(self, account_id: str, region: str) -> str:
        """What image names of this account and region begin with, such that Docker Engine pushes and pulls them as they are.

        127.0.0.1:PORT for the account and region of this installation; others stand behind it as the first part of the path,
        127.0.0.1:PORT/ACCOUNT.dkr.ecr.REGION, since an address cannot say them.
        """
        if (account_id, region) == (self.account_id, self.region):
            return self.registry_address
        return f"{self.registry_address}/{account_id}.dkr.ecr.{region}"

    def registry_dns_name(self, account_id: str, region: str) -> str:
        """Another name for the same, for clients that resolve `*.localhost` (browsers, curl, hosts with systemd-resolved)."""
        return f"{account_id}.dkr.ecr.{region}.{self.domain}:{self.port}"

    def load_balancer_dns_name(self, name: str, identifier: str, region: str) -> str:
        return f"{name}-{identifier}.{region}.elb.{self.load_balancer_domain}"


@dataclass(frozen=True, slots=True)
class Call:
    store: Store
    blobs: BlobStore
    clock: Clock
    ids: Ids
    site: Site
    principal: Principal
    #: account whose resources are meant (the caller's own)
    account_id: str
    #: region of the request's credential scope
    region: str
    request_id: str
    source_ip: str
    #: the scheme and host the client used, e.g. http://127.0.0.1:4566: answers that hand out URLs build on it
    base_url: str
    secret_for_signing: Keys = field(default=b"", repr=False)
    #: brings images of other registries here; None where nothing reaches out
    pull_through: PullThroughCache | None = field(default=None, repr=False)
    #: what is over: flight records, tasks that are history
    archive: Archive = field(default_factory=MemoryArchive, repr=False)
    #: what tasks use, as their agents said last
    utilisation: Utilisation = field(default_factory=Utilisation, repr=False)
    #: what happened; None where nobody writes it down
    events: EventLog | None = field(default=None, repr=False)

    #: what was asked of the installation; None where nobody writes it down
    audit: AuditLog | None = field(default=None, repr=False)

    #: says what becomes of a service; None where no controllers run
    scheduler: Scheduler | None = field(default=None, repr=False)

    #: knows the keys of identity providers; None where nothing reaches out
    issuers: Issuers | None = field(default=None, repr=False)
    #: what one of them says of who calls; None where none was asked
    web_identity: WebIdentity | None = field(default=None, repr=False)
    #: when a device's code was given with the request (seconds since the epoch); 0 where none was
    mfa_at: float = 0.0

    #: what load balancers count; None where there are none
    traffic: TrafficCounter | None = field(default=None, repr=False)

    #: how the gateway decides what is allowed; None where nothing is asked through one
    deciding: Deciding | None = field(default=None, repr=False)
    #: keeps what is decided while somebody wants that; None where nobody can
    recorder: Recorder | None = field(default=None, repr=False)

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account_id}:{resource}"
