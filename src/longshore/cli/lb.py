"""`longshore lb`: what load balancers do with requests.

longshore lb test NAME URL   which rule a request would meet, why none of the others, and who would get it; nothing is sent
longshore lb trust FILE      puts certificates, or revocation lists, where trust stores are made of them
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from longshore.cli import reach
from longshore.cli.client import Platform, Refused
from longshore.cli.outcome import ExitCode, Failure
from longshore.cli.service import is_json, print_json

app = typer.Typer(name="lb", help="Look into load balancers.", no_args_is_help=True, rich_markup_mode=None)

Region = Annotated[str | None, typer.Option(help="The load balancer's region; the platform's own unless given.")]
DataDir = Annotated[Path | None, typer.Option(help="Where the platform keeps everything [env: LONGSHORE_DATA_DIR].")]
_PATIENCE_S = 30.0


class Condition(msgspec.Struct, frozen=True, rename="pascal"):
    field: str
    #: true, false or unknown
    holds: str
    reason: str | None = None


class Rule(msgspec.Struct, frozen=True, rename="pascal"):
    rule_arn: str
    priority: str
    #: true, false or unknown
    matches: str
    is_chosen: bool
    conditions: tuple[Condition, ...] | None = None


class Group(msgspec.Struct, frozen=True, rename="pascal"):
    target_group_arn: str
    weight: int
    targets: int
    healthy_targets: int
    stickiness: str | None = None


class Verdict(msgspec.Struct, frozen=True, rename="pascal"):
    """What LongshoreTestRequest answers. Empty elements are None."""

    listener_arn: str
    #: None at a Classic load balancer
    rules: tuple[Rule, ...] | None
    is_certain: bool
    actions: tuple[str, ...]
    target_groups: tuple[Group, ...] | None = None
    group_stickiness: str | None = None
    status_code: int = 0
    location: str | None = None
    host: str | None = None
    path: str | None = None
    problem: str | None = None


#: of the Classic API
_CLASSIC = ("elasticloadbalancing", "2012-06-01")
_MODERN = ("elasticloadbalancing", "2015-12-01")


class _LoadBalancer(msgspec.Struct, frozen=True, rename="pascal"):
    load_balancer_arn: str


class _LoadBalancers(msgspec.Struct, frozen=True, rename="pascal"):
    load_balancers: tuple[_LoadBalancer, ...]


class _Classic(msgspec.Struct, frozen=True, rename="pascal"):
    load_balancer_name: str


class _Classics(msgspec.Struct, frozen=True, rename="pascal"):
    load_balancer_descriptions: tuple[_Classic, ...]


class _Caller(msgspec.Struct, frozen=True, rename="pascal"):
    account: str


@app.command()
def test(
    name: Annotated[str, typer.Argument(help="The load balancer's name, or its ARN.", metavar="NAME")],
    url: Annotated[str, typer.Argument(help="Whole, or a path where there is one listener.", metavar="URL")],
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help="A header of the request.", metavar="NAME:VALUE")] = None,
    method: Annotated[str, typer.Option("--request", "-X", help="The request's method.")] = "GET",
    source: Annotated[str | None, typer.Option("--from", help="The address it comes from; 127.0.0.1 unless given.", metavar="IP")] = None,
    region: Region = None,
    data_dir: DataDir = None,
    output: Annotated[str, typer.Option("-o", "--output", help="text or json.", metavar="text|json")] = "text",
) -> None:
    """Say which rule a request would meet, and what would become of it. Nothing is sent."""
    from longshore.cli.lb_tables import print_verdict
    from longshore.cli.service_tables import console

    as_json = is_json(output)
    headers = headers_of(header or ())
    platform = reach.platform(data_dir, region, _PATIENCE_S)
    request = {"LoadBalancerArn": arn_of(platform, name), "Url": url, "Method": method, "Headers": headers, "SourceIp": source}
    found = platform.elbv2("LongshoreTestRequest", request, Verdict)
    if as_json:
        print_json(found)
    else:
        print_verdict(console(), found)


@app.command()
def trust(
    file: Annotated[Path, typer.Argument(help="Certificates of authorities, or revocation lists, in PEM form.", metavar="FILE")],
    bucket: Annotated[str, typer.Option(help="What is to be given as the bucket.", metavar="NAME")] = "trust",
    key: Annotated[str | None, typer.Option(help="What is to be given as the key; the file's name unless given.", metavar="KEY")] = None,
    region: Region = None,
    data_dir: DataDir = None,
) -> None:
    """Put a file where trust stores, and their revocations, are made of it: AWS has S3 for that."""
    from longshore.cli.trust_files import put

    typer.echo(put(reach.platform(data_dir, region, _PATIENCE_S), file, bucket, key or file.name))


def headers_of(texts: list[str] | tuple[()]) -> list[dict[str, str]]:
    """As the operation takes them. Raises Failure."""
    found = []
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise Failure(f"{text!r} is no header", "give it as 'Name: value'", ExitCode.USAGE)
        found.append({"Name": name.strip(), "Value": value.strip()})
    return found


def arn_of(platform: Platform, name: str) -> str:
    """Of the Application or Network load balancer of that name, or else of the Classic one. Raises Failure."""
    if name.startswith("arn:"):
        return name
    try:
        found = platform.query(*_MODERN, "DescribeLoadBalancers", {"Names": [name]}, _LoadBalancers)
        return found.load_balancers[0].load_balancer_arn
    except Refused as refused:
        if refused.error_code != "LoadBalancerNotFound":
            raise
        return _classic_arn(platform, name, refused)


def _classic_arn(platform: Platform, name: str, refused: Refused) -> str:
    """Their API says no ARNs: the name is part of it. Raises Failure; `refused` where there is none of that name."""
    try:
        platform.query(*_CLASSIC, "DescribeLoadBalancers", {"LoadBalancerNames": [name]}, _Classics)
    except Refused as unknown:
        raise (refused if unknown.error_code in ("LoadBalancerNotFound", "AccessDenied") else unknown) from None
    account = platform.query("sts", "2011-06-15", "GetCallerIdentity", {}, _Caller).account
    return f"arn:aws:elasticloadbalancing:{platform.region}:{account}:loadbalancer/{name}"
