"""The shapes of what one process hands another at its start, and the data directory that they have in common.

The CLI reads the environment once (environment.py), decides on a `PlatformConfig`, writes it into the data directory and
starts the supervisor with it. The supervisor writes `State` when everything is up; every later command finds the running
platform by it. A data directory holds:

    credentials.json        the root access key, made on the first start (0600): what commands here sign with
    agents/<name>/          each local container instance: its id and its agent's journal
    logs/<part>.log         supervisor, server, haproxy, agent-1 …
    tls/ca.pem              the certificate that clients of `up --tls` are to trust
    keyring                 the secrets that all else is sealed and signed with, wrapped with the master key (docs/secrets.md)
    master-key              that key, unless it comes from elsewhere (0600)
    tls/authority.pem       the same with the key it issues with, encrypted; made once
    tls/server.pem          what the gateway serves with, its key encrypted; issued anew before it ends
    events.db               what happened lately, for whoever follows it (docs/events.md)
    audit/                  what was asked of the installation, with signed digests (docs/audit.md)
    archive.db              tasks that have ended: flight records and history
    scanner/                the index of the vulnerability database; can be made again
    run/platform.json       what the supervisor was started with (0600); without the root's secret key
    run/state.json          what runs now; absent when nothing does
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from longshore.kit.addresses import is_own_host
from longshore.kit.durable import write_durably
from longshore.kit.master_key import Master

if TYPE_CHECKING:
    from longshore.kit.certificates import Authority
    from longshore.kit.sealing import Keys

DEFAULT_PORT = 4566
DEFAULT_REGION = "us-east-1"
DEFAULT_ACCOUNT_ID = "000000000000"
DEFAULT_DOCKER_URL = "unix:///var/run/docker.sock"
#: added to a listener's port below 1024 where this user may not bind it
UNPRIVILEGED_PORT_OFFSET = 8000


#: load balancer N is reached by containers on this with N as its last number
LINK_NETWORK = "169.254.171."
#: what names of load balancers end with: of their own accord browsers and curl look for the first on their own machine, whatever
#: resolver they are given, which is right on the platform's machine and wrong in its containers; the second is everybody's
LOCAL_DOMAIN, INTERNAL_DOMAIN = "localhost", "longshore.internal"


class Credentials(msgspec.Struct, frozen=True, omit_defaults=True):
    access_key_id: str
    secret_access_key: str
    #: of temporary ones
    session_token: str = ""

    def __repr__(self) -> str:
        return f"Credentials({self.access_key_id})"


def local_code(root_secret: str, instance_id: str) -> str:
    """The code by which a container instance of the platform's own machine gets its credentials: whoever has the root's secret key
    may make one for any instance, and what comes of it is that instance's alone."""
    return hmac.new(root_secret.encode(), f"longshore local instance {instance_id}".encode(), hashlib.sha256).hexdigest()


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway speaks HTTPS: with a certificate of its own authority, or with the one in these files."""

    #: PEM, the server's certificate first; None: issued here
    certificate: Path | None = None
    #: PEM of the private key, without passphrase
    key: Path | None = None
    #: host names and addresses to be reached by, beside those that are certified anyway
    names: tuple[str, ...] = ()
    #: the name clients on this machine use, where the certificate is not good for the address; "": the address
    endpoint_host: str = ""
    #: PEM of what clients are to trust; None: their systems do already
    ca_bundle: Path | None = None


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """How the registry keeps bytes, and when it lets go of them. All times in seconds."""

    #: give every repository created from now on a data key, not only those that ask for AWS KMS
    encrypt: bool = False
    #: bytes that nothing names are left alone for so long after they were stored or asked for: longer than any push takes from
    #: its first layer to its manifest
    grace_s: float = 24 * 3600.0
    #: what was collected can come back for so long
    trash_s: float = 24 * 3600.0
    #: an upload to which nothing came for so long is given up
    upload_idle_s: float = 7 * 24 * 3600.0
    #: after a deletion the collector waits for so long for more of them
    settle_s: float = 10.0
    #: everything that is kept about layers is looked through so often, and the trash emptied of what is due
    interval_s: float = 3600.0
    #: the directories of all blobs are walked so often, for bytes that nothing ever named
    walk_s: float = 24 * 3600.0
    #: blobs are verified over and over at this many bytes per second; 0: only when asked
    scrub_bytes_per_s: int = 0
    #: a tag that came through the cache is compared with its upstream at most this often
    upstream_refresh_s: float = 24 * 3600.0


class Scanning(msgspec.Struct, frozen=True, kw_only=True):
    """What images are scanned with."""

    #: records in the OSV format: a directory, a ZIP file or JSON lines
    vulnerability_database: Path | None = None
    #: built-in, trivy or grype; auto: built-in where there is a database for it, else the first of the others that is installed
    scanner: str = "auto"


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """For how long events are kept, and how much of them."""

    kept_days: int = 7
    kept_mib: int = 1024


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """For how long records of what was asked are kept, and how much of them."""

    kept_days: int = 90
    #: of compressed files
    kept_mib: int = 4096
    #: answer what cannot be recorded, too
    best_effort: bool = False


class History(msgspec.Struct, frozen=True, kw_only=True):
    """For how long tasks are remembered that have stopped. All times in seconds."""

    #: DescribeTasks and ListTasks show them for so long; an hour at least, as ECS does
    stopped_tasks_kept_s: float = 3600.0
    #: `longshore task list` and `show` know them for so long after that; 0: not at all
    task_history_kept_s: float = 7 * 24 * 3600.0
    #: the oldest go when there are more
    task_history_most: int = 100_000


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway with its registry, controllers and load balancers."""

    data_dir: Path
    credentials: Credentials
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    account_id: str = DEFAULT_ACCOUNT_ID
    region: str = DEFAULT_REGION
    #: zone names in full and in order, e.g. ("us-east-1a", "us-east-1b")
    zones: tuple[str, ...] = ("us-east-1a", "us-east-1b", "us-east-1c")
    #: accept the keys test/test as root of the default account, and POST /_longshore/reset
    dev: bool = False
    #: program name or path; load balancers do not listen without it
    haproxy: str = "haproxy"
    docker_url: str = DEFAULT_DOCKER_URL
    #: load balancer N listens on this with N as its last number
    load_balancer_network: str = "127.0.2."
    #: the same for containers; "" where this user may not give the machine addresses
    link_network: str = ""
    #: where other machines reach the load balancers of this one; "" where they do not
    load_balancer_address: str = ""
    #: what names of load balancers end with
    load_balancer_domain: str = "localhost"
    #: added to listener ports below 1024; 0 where they may be bound
    privileged_port_offset: int = 0
    #: `docker push` and its like may leave out layers of an image; an index may always lack images there
    incomplete_images: bool = False
    storage: Storage = Storage()
    scanning: Scanning = Scanning()
    events: Events = Events()
    audit: Audit = Audit()
    history: History = History()
    #: seconds without its agent after which services do without a container instance; 0: never
    lost_after_s: float = 600.0
    log_level: str = "info"
    #: None: the gateway speaks plain HTTP
    tls: Tls | None = None
    #: whoever started it knows that others on the network can read what is said, or come in with the keys of --dev
    insecure: bool = False
    #: off, generous or aws, as it was asked for; "": by the address
    rate_limits: str = ""
    #: where the master key is to come from; None: as the keyring says
    master_key: Master | None = None

    @property
    def limits(self) -> str:
        """off, generous or aws: how much one principal may ask (gateway/limits.py)."""
        return self.rate_limits or ("off" if is_own_host(self.host) else "generous")

    @property
    def is_exposed(self) -> bool:
        """Whether others on the network can read what is said, or come in with keys that everybody knows."""
        return not is_own_host(self.host) and (self.tls is None or self.dev)

    @property
    def endpoint(self) -> str:
        """How clients on this machine reach the gateway."""
        return f"{'https' if self.tls else 'http'}://{self.registry}"

    @property
    def registry(self) -> str:
        """Host and port that image names of the default account and region begin with, and what `docker login` takes."""
        host = (self.tls.endpoint_host if self.tls else "") or ("127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host)
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


class AgentConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One container instance: who it is, what it offers and which platform it serves."""

    #: unique on this machine, e.g. agent-1; names its log file and its journal
    name: str
    data_dir: Path
    endpoint: str
    #: what it signs with; None: with a session of its machine's own, which it gets by `activation` and renews by itself
    credentials: Credentials | None
    #: i-<17 hexadecimal digits>
    instance_id: str
    #: where published ports listen and load balancers reach the tasks
    address: str
    zone: str
    cpu_units: int
    memory_mib: int
    cluster: str = "default"
    region: str = DEFAULT_REGION
    #: TCP ports of `address` that tasks are not given
    reserved_ports: tuple[int, ...] = ()
    docker_url: str = DEFAULT_DOCKER_URL
    #: range (a.b.c.0/24) for the addresses of tasks in awsvpc; "" leaves the choice to the agent
    task_network: str = ""
    #: custom attributes of the container instance
    attributes: dict[str, str] = {}
    log_level: str = "info"
    #: PEM of what to trust beside the system's authorities when the endpoint speaks HTTPS
    ca_bundle: Path | None = None
    #: a code that lets this machine in; empty where it has been let in, or has credentials
    activation: str = ""


class BalancerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that runs the data plane of load balancers for a platform elsewhere."""

    data_dir: Path
    endpoint: str
    credentials: Credentials
    #: the same one after a restart
    host_id: str
    #: where other machines reach load balancers here; "" where they do not
    address: str = ""
    region: str = DEFAULT_REGION
    haproxy: str = "haproxy"
    network: str = "127.0.2."
    link_network: str = ""
    privileged_port_offset: int = 0
    log_level: str = "info"
    #: PEM of what to trust beside the system's authorities when the endpoint speaks HTTPS
    ca_bundle: Path | None = None


class PlatformConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor starts, in this order. `server` is None on a machine that only joins another's platform."""

    server: ServerConfig | None
    agents: tuple[AgentConfig, ...] = ()


class PartState(msgspec.Struct, frozen=True, kw_only=True):
    """One process of a running platform: server, haproxy, agent-1 …"""

    name: str
    pid: int


class InstanceState(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    instance_id: str
    address: str
    zone: str


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A running platform, as its supervisor wrote it down when everything was ready."""

    #: the supervisor's own
    pid: int
    #: seconds since the epoch
    started_at: float
    endpoint: str
    registry: str
    #: how load balancers are reached, in words for people, e.g. `127.0.2.N at their own ports`
    load_balancers: str
    account_id: str
    region: str
    zones: tuple[str, ...]
    dev: bool = False
    #: PEM file of what clients of an https endpoint are to trust; None: nothing beside what their systems do
    ca_bundle: str | None = None
    parts: tuple[PartState, ...] = ()
    instances: tuple[InstanceState, ...] = ()


#: in an agent's directory: the session of a machine that was let in (0600)
MACHINE_SESSION = "machine.json"


class DataDirectory:
    """Names of the files in one data directory, and the small ones read and written whole."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"DataDirectory({self.root})"

    @property
    def credentials_file(self) -> Path:
        return self.root / "credentials.json"

    @property
    def tls(self) -> Path:
        return self.root / "tls"

    @property
    def ca_file(self) -> Path:
        """The certificate of this installation's own authority."""
        return self.tls / "ca.pem"

    @property
    def platform_file(self) -> Path:
        return self.root / "run" / "platform.json"

    @property
    def state_file(self) -> Path:
        return self.root / "run" / "state.json"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def log_file(self, part: str) -> Path:
        return self.logs / f"{part}.log"

    def agent(self, name: str) -> Path:
        return self.root / "agents" / name

    def prepare(self) -> None:
        """Makes the directories; raises OSError where that is not allowed."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for directory in (self.root / "run", self.logs, self.root / "agents"):
            directory.mkdir(exist_ok=True, mode=0o700)

    def credentials(self) -> Credentials:
        """The root access key of this installation, made on first use."""
        kept = self.kept_credentials()
        if kept is not None:
            return kept
        made = Credentials(f"AKIA{_base32(os.urandom(10))}", hashlib.sha256(os.urandom(64)).hexdigest()[:40])
        self.keep_credentials(made)
        return made

    def kept_credentials(self) -> Credentials | None:
        """None where there are none yet. Raises OSError and msgspec.DecodeError."""
        try:
            return msgspec.json.decode(self.credentials_file.read_bytes(), type=Credentials)
        except FileNotFoundError:
            return None

    def keep_credentials(self, credentials: Credentials) -> None:
        """Those that commands sign with from now on. Raises OSError."""
        if self.kept_credentials() != credentials:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_privately(self.credentials_file, msgspec.json.encode(credentials))

    def authority(self, now: float, keys: Keys) -> Authority:
        """The certificate authority of this installation, made on first use; its certificate lies in `ca_file` from then on, its key
        encrypted with a password of `keys`.

        Raises CertificateProblem where what is kept cannot issue any more, and OSError.
        """
        from longshore.kit import certificates, private_keys  # bring a large library, which few commands need

        kept = self.tls / "authority.pem"
        self.tls.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            authority = certificates.Authority.of_pem(*private_keys.read_locked(kept, keys))
        except FileNotFoundError:
            authority = certificates.Authority.make(f"Longshore on {os.uname().nodename}"[:64], now)
            write_privately(kept, private_keys.locked(authority.pem, keys))
        except certificates.CertificateProblem as problem:
            raise certificates.CertificateProblem(f"{kept}: {problem}; bring back a copy, or remove it and trust a new one") from None
        if certificates.facts(authority.root_pem).not_after <= now:
            raise certificates.CertificateProblem(f"{kept} has ended: remove it, and trust the new one that is made then")
        if not self.ca_file.exists() or self.ca_file.read_bytes() != authority.root_pem:
            write_privately(self.ca_file, authority.root_pem)
        return authority

    def relock(self, keys: Keys) -> int:
        """Encrypts private keys here with the current password where they are not; how many were not. Raises OSError.

        What does not open is left alone: whoever needs it says so.
        """
        from longshore.kit import certificates, private_keys

        changed = 0
        for path in (self.tls / "authority.pem", self.tls / "server.pem"):
            with contextlib.suppress(FileNotFoundError, certificates.CertificateProblem):
                before = path.read_bytes()
                changed += private_keys.read_locked(path, keys)[0] != before
        return changed

    def instance_id(self, agent: str) -> str:
        """i-<17 hexadecimal digits>, the same one for as long as the directory lives."""
        path = self.agent(agent) / "instance-id"
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            made = f"i-0{os.urandom(8).hex()}"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_privately(path, made.encode())
            return made

    def read_state(self) -> State | None:
        """What was written down last; None when there is nothing (readable)."""
        try:
            return msgspec.json.decode(self.state_file.read_bytes(), type=State)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def write_state(self, state: State) -> None:
        write_privately(self.state_file, msgspec.json.encode(state))

    def forget_state(self) -> None:
        self.state_file.unlink(missing_ok=True)


def read_platform(path: Path) -> PlatformConfig:
    """What `write_platform` wrote, with what it left to the root's credentials: without the secret where these cannot be read.

    Raises OSError or msgspec.DecodeError.
    """
    platform = msgspec.json.decode(path.read_bytes(), type=PlatformConfig, dec_hook=_path_from_text)
    server = platform.server
    if server is None or server.credentials.secret_access_key:
        return platform
    try:
        kept = DataDirectory(server.data_dir).kept_credentials()
    except (OSError, msgspec.DecodeError):
        kept = None
    if kept is None or kept.access_key_id != server.credentials.access_key_id:
        return platform
    agents = tuple(
        msgspec.structs.replace(agent, activation=local_code(kept.secret_access_key, agent.instance_id)) if _is_local(agent) else agent
        for agent in platform.agents
    )
    return PlatformConfig(server=msgspec.structs.replace(server, credentials=kept), agents=agents)


def _is_local(agent: AgentConfig) -> bool:
    """Lets itself in by the root's secret key."""
    return agent.credentials is None and not agent.activation


def read_balancer(path: Path) -> BalancerConfig:
    """What `write_balancer` wrote; raises OSError or msgspec.DecodeError."""
    return msgspec.json.decode(path.read_bytes(), type=BalancerConfig, dec_hook=_path_from_text)


def write_balancer(path: Path, config: BalancerConfig) -> None:
    """As JSON, readable by its owner only: it holds keys."""
    write_privately(path, msgspec.json.encode(config, enc_hook=str))


def write_platform(path: Path, platform: PlatformConfig) -> None:
    """As JSON, readable by its owner only. The root's secret key, and what follows from it, is not in it: that has a file of its own."""
    server = platform.server
    if server is not None and server.credentials.secret_access_key:
        secret = server.credentials.secret_access_key
        DataDirectory(server.data_dir).keep_credentials(server.credentials)
        agents = tuple(
            msgspec.structs.replace(agent, activation="") if agent.activation == local_code(secret, agent.instance_id) else agent
            for agent in platform.agents
        )
        bare = msgspec.structs.replace(server, credentials=Credentials(server.credentials.access_key_id, ""))
        platform = PlatformConfig(server=bare, agents=agents)
    write_privately(path, msgspec.json.encode(platform, enc_hook=str))


def _path_from_text(kind: type, text: Any) -> Path:
    if kind is not Path:
        raise TypeError(f"{kind} does not occur in a configuration")
    return Path(text)


def write_privately(path: Path, content: bytes) -> None:
    """The whole file or none of it, readable by its owner only."""
    write_durably(path, content)


def _base32(content: bytes) -> str:
    """16 letters and digits as AWS uses them in access key ids, of 10 bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    number = int.from_bytes(content, "big")
    return "".join(alphabet[(number >> shift) & 31] for shift in range(0, 80, 5))
