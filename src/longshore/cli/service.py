"""`longshore service`: services at a glance, and new versions of them rolled out while one looks on.

longshore service list                             what there is, and how far it is
longshore service show NAME                        its tasks by version and zone, and what it waits for
longshore service deploy NAME --image REF          a new revision with that image, followed until it serves or is taken back
longshore service rollback NAME                    back to what was last deployed well before

Where AWS_ENDPOINT_URL names a platform, it is asked as whoever the environment says; otherwise the one that runs here, as root.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from longshore.cli import reach
from longshore.cli.client import Platform
from longshore.cli.outcome import ExitCode, Failure
from longshore.cli.service_answers import Explained, Revisions, Service, ServiceArns, ServiceDeployments, Services

app = typer.Typer(name="service", help="Look at services and deploy new versions of them.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="The service's name.", metavar="NAME")]
Cluster = Annotated[str | None, typer.Option(help="Its cluster; `default` unless given.")]
Region = Annotated[str | None, typer.Option(help="The cluster's region; the platform's own unless given.")]
DataDir = Annotated[Path | None, typer.Option(help="Where the platform keeps everything [env: LONGSHORE_DATA_DIR].")]
Output = Annotated[str, typer.Option("-o", "--output", help="text or json.", metavar="text|json")]
Timeout = Annotated[float, typer.Option(min=1, help="Seconds after which it is given up and taken back.")]
_PATIENCE_S = 30.0
_PER_CALL = 10


def is_json(output: str) -> bool:
    if output not in ("text", "json"):
        raise Failure(f"unknown output {output!r}", "use -o text or -o json", ExitCode.USAGE)
    return output == "json"


def print_json(value: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def platform_of(data_dir: Path | None, region: str | None) -> Platform:
    return reach.platform(data_dir, region, _PATIENCE_S)


def in_cluster(cluster: str | None, **members: object) -> dict[str, object]:
    return {**members, **({"cluster": cluster} if cluster else {})}


def find_service(platform: Platform, cluster: str | None, name: str) -> Service:
    """Raises Failure for one that is not there, or not any more."""
    found = platform.ecs("DescribeServices", in_cluster(cluster, services=[name]), Services).services
    if not found or found[0].status == "INACTIVE":
        raise Failure(f"there is no service {name}", "`longshore service list` shows what there is; --cluster names another cluster")
    return found[0]


def explain(platform: Platform, cluster: str | None, name: str, deployment_id: str = "") -> Explained:
    """A deployment that is named is told of even when it is over."""
    named = {"deploymentId": deployment_id} if deployment_id else {}
    return platform.ecs("LongshoreExplainService", in_cluster(cluster, service=name, **named), Explained)


@app.command("list")
def list_services(cluster: Cluster = None, region: Region = None, data_dir: DataDir = None, output: Output = "text") -> None:
    """Show the services of a cluster."""
    from longshore.cli.service_tables import console, print_services

    as_json = is_json(output)
    platform = platform_of(data_dir, region)
    services = _all(platform, cluster)
    if as_json:
        print_json(services)
    else:
        print_services(console(), services)


def _all(platform: Platform, cluster: str | None) -> list[Service]:
    arns: list[str] = []
    token: str | None = None
    while True:
        more = {"nextToken": token} if token else {}
        page = platform.ecs("ListServices", in_cluster(cluster, maxResults=100, **more), ServiceArns)
        arns += page.service_arns
        token = page.next_token
        if not token:
            break
    parts = [arns[start : start + _PER_CALL] for start in range(0, len(arns), _PER_CALL)]
    found = [one for part in parts for one in platform.ecs("DescribeServices", in_cluster(cluster, services=part), Services).services]
    return sorted(found, key=lambda one: one.service_name)


@app.command()
def show(name: Name, cluster: Cluster = None, region: Region = None, data_dir: DataDir = None, output: Output = "text") -> None:
    """Show a service's tasks by version and zone, what it waits for, and its last events."""
    from longshore.cli.service_tables import console, print_events, tree_of

    as_json = is_json(output)
    platform = platform_of(data_dir, region)
    service, explained = find_service(platform, cluster, name), explain(platform, cluster, name)
    if as_json:
        print_json({"service": service, "explained": explained})
        return
    out = console()
    out.print(tree_of(service, explained))
    print_events(out, service.events[:10])


@app.command()
def deploy(
    name: Name,
    image: Annotated[str, typer.Option(help="The image to run: in the platform's registry it is taken by its digest.", metavar="REF")],
    container: Annotated[str | None, typer.Option(help="The container that runs it; needless where there is but one.")] = None,
    cluster: Cluster = None,
    timeout: Timeout = 900,
    rollback: Annotated[bool, typer.Option("--rollback/--no-rollback", help="Take it back when it fails; on unless given.")] = True,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Deploy also where nothing is different.")] = False,
    region: Region = None,
    data_dir: DataDir = None,
) -> None:
    """Register a new revision with an image, roll it out, and look on until it serves. Ends with 1 where it had to be taken back."""
    from longshore.cli.deploying import Deploying, Wanted
    from longshore.cli.service_tables import console

    deploying = Deploying(platform_of(data_dir, region), cluster, name, console())
    code = deploying.run(Wanted(image=image, container=container, timeout_s=timeout, rollback=rollback, anyway=yes))
    raise typer.Exit(code)


@app.command()
def rollback(name: Name, cluster: Cluster = None, timeout: Timeout = 900, region: Region = None, data_dir: DataDir = None) -> None:
    """Stop the deployment that goes on and take it back; or go back to what was deployed well before the current version."""
    from longshore.cli.deploying import Deploying
    from longshore.cli.service_tables import console

    platform = platform_of(data_dir, region)
    service = find_service(platform, cluster, name)
    going_on = _deployments(platform, cluster, name, ("IN_PROGRESS", "PENDING"))
    deploying = Deploying(platform, cluster, name, console())
    if going_on.service_deployments:
        arn = going_on.service_deployments[0].service_deployment_arn
        platform.ecs("StopServiceDeployment", {"serviceDeploymentArn": arn, "stopType": "ROLLBACK"}, dict[str, str])
        raise typer.Exit(deploying.follow_back(timeout))
    before = _version_before(platform, cluster, service)
    raise typer.Exit(deploying.go_to(before, timeout))


def _deployments(platform: Platform, cluster: str | None, name: str, statuses: tuple[str, ...]) -> ServiceDeployments:
    request = in_cluster(cluster, service=name, status=list(statuses), maxResults=100)
    return platform.ecs("ListServiceDeployments", request, ServiceDeployments)


def _version_before(platform: Platform, cluster: str | None, service: Service) -> str:
    """The task definition of the newest deployment that went well and ran another one than now. Raises Failure."""
    done = _deployments(platform, cluster, service.service_name, ("SUCCESSFUL",)).service_deployments
    arns = [one.target_service_revision_arn for one in sorted(done, key=lambda one: -one.created_at)][:20]
    if arns:
        told = platform.ecs("DescribeServiceRevisions", {"serviceRevisionArns": arns}, Revisions).service_revisions
        definitions = {one.service_revision_arn: one.task_definition for one in told}
        for arn in arns:
            if definitions.get(arn, service.task_definition) != service.task_definition:
                return definitions[arn]
    raise Failure(f"nothing else was ever deployed well to {service.service_name}", "deploy an image with `longshore service deploy`")
