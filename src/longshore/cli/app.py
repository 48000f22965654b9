"""The command `longshore`. Each command gathers its options and hands over to the module of its name.

Modules are imported inside the commands that use them: a start must not wait for what it does not need.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from longshore import config
from longshore.cli import account, audit, ecr, explain, iam, instances, keys, lb, registry, service, task
from longshore.cli.balancer import balancer
from longshore.cli.ecs_events import events
from longshore.cli.elb_copy.command import elb_copy
from longshore.cli.exec import execute
from longshore.cli.lb_tail import metrics, tail
from longshore.cli.outcome import EXIT_CODES, ExitCode, Failure
from longshore.cli.rebalance import rebalance
from longshore.cli.sbom import sbom
from longshore.environment import BadSetting, Environment, environment

app = typer.Typer(
    name="longshore",
    help="Amazon ECS, ECR and Elastic Load Balancing on your own machines.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(account.app)
app.add_typer(audit.app)
app.add_typer(keys.app)
app.add_typer(registry.app)
app.add_typer(ecr.app)
app.add_typer(service.app)
app.add_typer(explain.app)
app.add_typer(iam.app)
app.add_typer(lb.app)
app.add_typer(task.app)
app.add_typer(instances.app)
ecr.app.command()(sbom)
lb.app.command()(tail)
lb.app.command()(metrics)
app.command()(balancer)
app.command()(events)
app.command()(rebalance)
app.command("elb-copy")(elb_copy)
app.command("exec", context_settings={"allow_interspersed_args": False})(execute)

DataDir = Annotated[Path | None, typer.Option(help="Where the platform keeps everything [env: LONGSHORE_DATA_DIR].")]
Output = Annotated[str, typer.Option("-o", "--output", help="text or json.", metavar="text|json")]

# options of `up` that take more than a line
LoadBalancerAddress = Annotated[
    str | None, typer.Option(help="An address of this machine at which others reach its load balancers; '' for none; as last time.")
]
IncompleteImages = Annotated[bool, typer.Option("--incomplete-images", help="Let `docker push` and its like leave out layers of an image.")]
VulnerabilityDatabase = Annotated[
    Path | None, typer.Option(exists=True, help="OSV records to scan images with: a directory, ZIP file or JSON lines; as last time.")
]
ScannerName = Annotated[
    str | None, typer.Option(help="What scans images; as last time, at first auto.", metavar="auto|built-in|trivy|grype")
]
SpeakTls = Annotated[
    bool | None, typer.Option("--tls/--no-tls", help="Speak HTTPS, with a certificate of an authority made here; as last time.")
]
TlsNames = Annotated[
    list[str] | None, typer.Option(help="Host name or address others reach this machine by, as often as you like; as last time.")
]
EncryptAll = Annotated[
    bool | None, typer.Option("--encrypt/--no-encrypt", help="Encrypt what new repositories keep, whatever they ask for; as last time.")
]
StoppedTasksKept = Annotated[
    str | None, typer.Option(help="How long stopped tasks are listed, such as 24h; as last time, at first 1h.", metavar="TIME")
]
TaskHistoryKept = Annotated[
    str | None, typer.Option(help="How long `task list` knows them after that; as last time, at first 7d.", metavar="TIME")
]
AuditDays = Annotated[
    int | None, typer.Option(min=1, max=3650, help="How long records of what was asked are kept; as last time, at first 90 days.")
]
AuditBestEffort = Annotated[
    bool | None, typer.Option("--audit-best-effort/--no-audit-best-effort", help="Answer what cannot be recorded, too; as last time.")
]
LostAfter = Annotated[
    str | None,
    typer.Option(help="Services do without an instance whose agent is away so long; as last time, at first 10m; 0: never.", metavar="TIME"),
]
Insecure = Annotated[bool, typer.Option("--insecure", help="Let others on the network read what is said: plain HTTP beyond this machine.")]
RateLimits = Annotated[
    str | None,
    typer.Option(help="What one principal may ask; as last time, at first generous, on loopback off.", metavar="off|generous|aws"),
]

MasterKeyFile = Annotated[
    Path | None, typer.Option(help="The key that secrets are wrapped with, made here if missing; as last time, at first DATA/master-key.")
]
MasterKeyCommand = Annotated[
    str | None, typer.Option(help="A program that wraps and unwraps keys, such as one of your KMS's, instead; as last time.")
]


@dataclass(frozen=True, slots=True)
class _Settings:
    environment: Environment
    data: config.DataDirectory


def _settings(data_dir: Path | None) -> _Settings:
    given = environment()
    return _Settings(given, config.DataDirectory(data_dir.absolute() if data_dir else given.data_dir))


def _absolute(path: Path | None) -> Path | None:
    return path.absolute() if path else None


def _is_json(output: str) -> bool:
    if output not in ("text", "json"):
        raise Failure(f"unknown output {output!r}", "use -o text or -o json", ExitCode.USAGE)
    return output == "json"


def _print_json(value: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


@app.command(help="Start the platform on this machine.")
def up(
    data_dir: DataDir = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of gateway and registry; as last time, at first 4566.")] = None,
    host: Annotated[str | None, typer.Option(help="Address the gateway listens on; 127.0.0.1 unless given.")] = None,
    instances: Annotated[int | None, typer.Option(min=0, max=250, help="Local container instances; as last time, at first 1.")] = None,
    instance_cpu: Annotated[int | None, typer.Option(min=128, help="CPU units of each; an even share of the machine.")] = None,
    instance_memory: Annotated[int | None, typer.Option(min=128, help="MiB of memory of each; an even share of the machine.")] = None,
    zones: Annotated[str | None, typer.Option(help="Availability Zones, e.g. a,b; as last time, at first a,b,c.")] = None,
    region: Annotated[str | None, typer.Option(help="The default region; as last time, at first us-east-1.")] = None,
    account: Annotated[str | None, typer.Option(help="The account, 12 digits; as last time, at first 000000000000.")] = None,
    dev: Annotated[bool, typer.Option("--dev", help="Accept the keys test/test and resets: for development machines only.")] = False,
    incomplete_images: IncompleteImages = False,
    vulnerability_database: VulnerabilityDatabase = None,
    scanner: ScannerName = None,
    tls: SpeakTls = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="Speak HTTPS with this certificate (PEM) instead; as last time.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key (PEM), if it is not in the same file.")] = None,
    tls_name: TlsNames = None,
    encrypt: EncryptAll = None,
    stopped_tasks_kept: StoppedTasksKept = None,
    task_history_kept: TaskHistoryKept = None,
    lost_after: LostAfter = None,
    load_balancer_address: LoadBalancerAddress = None,
    insecure: Insecure = False,
    rate_limits: RateLimits = None,
    audit_days: AuditDays = None,
    audit_best_effort: AuditBestEffort = None,
    master_key_file: MasterKeyFile = None,
    master_key_command: MasterKeyCommand = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when everything is ready; stop with `longshore down`.")] = False,
) -> None:
    from longshore.cli import layout, master, up

    data, given = (settings := _settings(data_dir)).data, settings.environment
    last = layout.last_time(data, region or given.region)
    wishes = layout.Wishes(
        data_dir=data.root,
        host=host or given.host or "127.0.0.1",
        port=port or given.port or last.port,
        account_id=account or given.account_id or last.account_id,
        region=region or given.region or last.region,
        zones=zones or given.zones or last.zones,
        instances=next(count for count in (instances, given.instances, last.instances) if count is not None),
        instance_cpu_units=instance_cpu,
        instance_memory_mib=instance_memory,
        dev=dev or given.dev,
        **layout.wanted_scanning(last, given, _absolute(vulnerability_database), scanner),
        incomplete_images=incomplete_images,
        **layout.environment_alone(given),
        tls=layout.wanted_tls(last.tls, given.tls if tls is None else tls, tls_certificate, tls_key, tls_name or ()),
        storage=layout.wanted_storage(last.storage, given.encrypt if encrypt is None else encrypt),
        **layout.wanted_logs(last, given, audit_days, audit_best_effort),
        history=layout.wanted_history(last.history, given, stopped_tasks_kept, task_history_kept),
        lost_after_s=layout.wanted_lost_after(last.lost_after_s, lost_after or given.lost_after_s),
        load_balancer_address=last.load_balancer_address if load_balancer_address is None else load_balancer_address,
        insecure=insecure or given.insecure,
        rate_limits=rate_limits or given.rate_limits or last.rate_limits,
        master_key=master.wanted_master_key(master_key_file, master_key_command),
    )
    up.up(wishes, given, sys.stdout, detach=detach)


@app.command()
def down(
    data_dir: DataDir = None,
    keep_tasks: Annotated[
        bool, typer.Option("--keep-tasks", help="Let the tasks' containers run on; the next start takes them over.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait for everything to stop.")] = 75,
) -> None:
    """Stop the platform; what it keeps stays for the next start."""
    from longshore.cli import presence

    data = _settings(data_dir).data
    presence.stop(data, timeout, keep_tasks)
    print(f"stopped; its state is kept in {data.root}")


@app.command()
def status(data_dir: DataDir = None, output: Output = "text") -> None:
    """Show what runs."""
    from longshore.cli.status import look, print_status

    as_json = _is_json(output)
    seen = look(_settings(data_dir).data)
    if as_json:
        _print_json(seen)
    else:
        print_status(seen)
    raise typer.Exit(seen.exit_code)


@app.command()
def env(data_dir: DataDir = None, output: Output = "text") -> None:
    """Print shell lines that point AWS clients here: eval "$(longshore env)". Writes the AWS profile `longshore`, too."""
    from longshore.cli import presence, profile
    from longshore.cli.status import root_credentials

    as_json = _is_json(output)
    settings = _settings(data_dir)
    state = presence.running_state(settings.data)
    credentials = root_credentials(settings.data)
    profile.write(state.endpoint, state.region, credentials, settings.environment, state.ca_bundle)
    variables = {
        "AWS_PROFILE": profile.NAME,
        "AWS_ENDPOINT_URL": state.endpoint,
        "AWS_REGION": state.region,
        "AWS_DEFAULT_REGION": state.region,
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "LONGSHORE_REGISTRY": state.registry,
        **({"AWS_CA_BUNDLE": state.ca_bundle} if state.ca_bundle else {}),
    }
    if as_json:
        _print_json(variables)
        return
    # A session token left over from elsewhere would be sent beside these keys and make them another user's.
    print("unset AWS_SESSION_TOKEN")
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")


@app.command()
def ca(
    data_dir: DataDir = None,
    install: Annotated[
        bool, typer.Option("--install", help="Put it where docker, podman, buildah and skopeo look for it (certs.d/HOST:PORT).")
    ] = False,
    output: Output = "text",
) -> None:
    """Print the certificate that clients of `longshore up --tls` are to trust."""
    from longshore.cli.ca import install as put
    from longshore.cli.ca import root_of

    as_json = _is_json(output)
    settings = _settings(data_dir)
    root = root_of(settings.data)
    if install:
        for file in put(root, settings.data, settings.environment.home):
            print(f"wrote {file}", file=sys.stderr)
    if as_json:
        _print_json(root)
    elif not install:
        print(root.certificate, end="")


@app.command("ecr-login")
def ecr_login(
    registry: Annotated[str | None, typer.Option(help="Host and port to log in to; the platform's own unless given.")] = None,
    program: Annotated[str | None, typer.Option("--with", help="docker, podman, buildah or skopeo; the first that is here.")] = None,
    install: Annotated[
        bool, typer.Option("--install", help="Make docker ask us for a password whenever it needs one, in place of logging in.")
    ] = False,
) -> None:
    """Log docker or podman in to the registry, or install the credential helper that makes that needless."""
    from longshore.cli import ecr_login as login

    given = environment()
    access = login.find_access(given)
    if program is not None and program not in login.PROGRAMS:
        raise Failure(f"{program!r} is not known", f"name one of {', '.join(login.PROGRAMS)}", ExitCode.USAGE)
    if not install:
        print(f"logged in to {login.log_in(access, registry, program)}")
        return
    where = registry or login.fresh_login(access).registry
    if not login.serves(access, where):
        raise Failure(f"{where} is not a registry of {access.endpoint}", "name it by host and port, such as 127.0.0.1:4566", ExitCode.USAGE)
    file, missing = login.install(given, [where])
    print(f"{file} asks docker-credential-{login.HELPER} for {where}")
    for what in missing:
        print(f"  → {what}")


@app.command()
def doctor(
    data_dir: DataDir = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="The gateway's port to look at.")] = None,
    output: Output = "text",
) -> None:
    """Look for what is missing on this machine, and say how to get it."""
    from longshore.cli.doctor import examine, exit_code, print_findings

    as_json = _is_json(output)
    settings = _settings(data_dir)
    given = settings.environment
    findings = examine(given, settings.data, given.host or "127.0.0.1", port or given.port or config.DEFAULT_PORT)
    if as_json:
        _print_json(findings)
    else:
        print_findings(findings)
    raise typer.Exit(exit_code(findings))


@app.command()
def agent(
    endpoint: Annotated[str | None, typer.Option(help="The platform's endpoint, e.g. http://10.0.0.5:4566.")] = None,
    cluster: Annotated[str, typer.Option(help="The cluster to join.")] = "default",
    region: Annotated[str | None, typer.Option(help="The cluster's region.")] = None,
    zone: Annotated[
        str | None, typer.Option(help="The Availability Zone this machine is to count as; the region's `a` unless given.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="The address others reach this machine's tasks at.")] = None,
    name: Annotated[str, typer.Option(help="Tells several agents on one machine apart.")] = "agent",
    cpu: Annotated[int | None, typer.Option(min=128, help="CPU units to offer; all unless given.")] = None,
    memory: Annotated[int | None, typer.Option(min=128, help="MiB of memory to offer; all unless given.")] = None,
    attribute: Annotated[list[str] | None, typer.Option(help="name=value, as often as you like.")] = None,
    capacity_provider: Annotated[str | None, typer.Option(help="The capacity provider that this instance belongs to.")] = None,
    reserved_port: Annotated[list[int] | None, typer.Option(min=1, max=65535, help="A port tasks are not given.")] = None,
    task_network: Annotated[
        str | None, typer.Option(help="The range tasks in awsvpc get addresses from, e.g. 10.9.1.0/24; chosen unless given.")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="What to trust at an https endpoint: the file `longshore ca` prints there.")] = None,
    activation: Annotated[
        str | None, typer.Option(help="A code of `longshore instance activate`: lets this machine in; not needed again.")
    ] = None,
    insecure: Insecure = False,
    data_dir: DataDir = None,
) -> None:
    """Make this machine a container instance of a platform elsewhere.

    It is let in by a code, and has credentials of its own from then on; without one it signs with AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY.
    """
    from longshore.cli.join import Joining, become_agent

    settings = _settings(data_dir)
    given = settings.environment
    where = endpoint or given.endpoint
    if where is None:
        raise Failure("which platform?", "name it with --endpoint http://HOST:4566", ExitCode.USAGE)
    joining = Joining(
        endpoint=where,
        credentials=given.credentials,
        cluster=cluster,
        region=region or given.region or config.DEFAULT_REGION,
        zone=zone,
        address=address,
        name=name,
        cpu_units=cpu,
        memory_mib=memory,
        attributes=(*(attribute or ()), *((f"longshore.capacity-provider={capacity_provider}",) if capacity_provider else ())),
        reserved_ports=tuple(reserved_port or (22, 2375, 2376)),
        task_network=task_network or "",
        docker_url=given.docker_url,
        log_level=given.log_level,
        ca_bundle=ca.absolute() if ca else given.ca_bundle,
        activation=activation or "",
        insecure=insecure or given.insecure,
    )
    become_agent(joining, settings.data)


@app.command()
def reset(
    data_dir: DataDir = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Wipe everything the platform keeps: while it runs in dev mode, or when it is stopped."""
    from longshore.cli import presence
    from longshore.cli.reset import reset_running, reset_stopped

    data = _settings(data_dir).data
    running = presence.supervisor_pid(data) is not None
    if not yes:
        if not sys.stdin.isatty():
            raise Failure("this removes every resource and image", "say so with --yes", ExitCode.USAGE)
        typer.confirm(f"Remove every resource and image kept in {data.root}?", abort=True)
    if running:
        reset_running(data)
    else:
        reset_stopped(data)
    print("everything is wiped")


@app.command()
def logs(
    part: Annotated[str, typer.Argument(help="server, supervisor, haproxy, agent-1 …")] = "server",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many lines from the end.")] = 100,
    data_dir: DataDir = None,
) -> None:
    """Show what a part of the platform wrote down."""
    from longshore.cli.logs import show

    show(_settings(data_dir).data, part, lines, follow)


def main() -> None:
    try:
        app()
    except Failure as failure:
        _complain(failure.cause, failure.fix)
        sys.exit(failure.code)
    except BadSetting as error:
        _complain(str(error), "correct the variable or unset it")
        sys.exit(ExitCode.USAGE)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)


def _complain(cause: str, fix: str) -> None:
    print(f"longshore: {cause}", file=sys.stderr)
    if fix:
        print(f"  → {fix}", file=sys.stderr)
