"""`longshore lb`: what load balancers do with requests.

longshore lb test NAME URL   which rule a request would meet, why none of the others, and who would get it; nothing is sent
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from xml.etree.ElementTree import Element

import typer

from longshore.cli import reach
from longshore.cli.client import Platform
from longshore.cli.outcome import Failure

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(name="lb", help="Look into load balancers.", no_args_is_help=True, rich_markup_mode=None)

Region = Annotated[str | None, typer.Option(help="The load balancer's region; the platform's own unless given.")]
DataDir = Annotated[Path | None, typer.Option(help="Where the platform keeps everything [env: LONGSHORE_DATA_DIR].")]
_SERVICE, _VERSION = "elasticloadbalancing", "2015-12-01"
_NAMESPACE = "{http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/}"
_PATIENCE_S = 30.0


@app.command()
def test(
    name: Annotated[str, typer.Argument(help="The load balancer's name, or its ARN.", metavar="NAME")],
    url: Annotated[
        str, typer.Argument(help="Whole (https://shop.example/cart?id=1), or a path where there is one listener.", metavar="URL")
    ],
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help="A header of the request.", metavar="NAME:VALUE")] = None,
    method: Annotated[str, typer.Option("--request", "-X", help="The request's method.")] = "GET",
    source: Annotated[str | None, typer.Option("--from", help="The address it comes from; 127.0.0.1 unless given.", metavar="IP")] = None,
    region: Region = None,
    data_dir: DataDir = None,
    output: Annotated[str, typer.Option("-o", "--output", help="text or json.", metavar="text|json")] = "text",
) -> None:
    """Say which rule a request would meet, and what would become of it. Nothing is sent."""
    from longshore.cli.service import is_json, print_json
    from longshore.cli.service_tables import console

    as_json = is_json(output)
    platform = reach.platform(data_dir, region, _PATIENCE_S)
    members = {"LoadBalancerArn": arn_of(platform, name), "Url": url, "Method": method}
    for number, text in enumerate(header or (), 1):
        key, colon, value = text.partition(":")
        if not colon:
            raise Failure(f"{text!r} is no header", "give it as 'Name: value'")
        members |= {f"Headers.member.{number}.Name": key.strip(), f"Headers.member.{number}.Value": value.strip()}
    if source:
        members["SourceIp"] = source
    found = ask(platform, "LongshoreTestRequest", members)
    if as_json:
        print_json(_plain(found))
    else:
        _print(console(), found)


def ask(platform: Platform, operation: str, members: dict[str, str]) -> Element:
    """What stands in the answer's result. Raises Failure."""
    from xml.etree.ElementTree import ParseError, fromstring

    try:
        document = fromstring(platform.form(_SERVICE, _VERSION, operation, members))
    except ParseError:
        raise Failure("the platform's answer is no XML") from None
    for element in document.iter():
        element.tag = element.tag.removeprefix(_NAMESPACE)
    result = document.find(f"{operation}Result")
    if result is None:
        raise Failure(f"the platform's answer to {operation} says nothing")
    return result


def arn_of(platform: Platform, name: str) -> str:
    """Raises Failure."""
    if name.startswith("arn:"):
        return name
    found = ask(platform, "DescribeLoadBalancers", {"Names.member.1": name})
    return _text(found, "LoadBalancers/member/LoadBalancerArn")


def _text(element: Element, path: str) -> str:
    return element.findtext(path) or ""


def _all(element: Element, path: str) -> list[Element]:
    return element.findall(path)


def _plain(element: Element) -> object:
    """As JSON has it: lists for members, text for everything that has no more within."""
    below = list(element)
    if not below:
        return [] if element.text is None and element.tag in ("Rules", "Conditions", "Actions", "TargetGroups") else element.text or ""
    if all(child.tag == "member" for child in below):
        return [_plain(child) for child in below]
    return {child.tag: _plain(child) for child in below}


def _print(screen: Console, found: Element) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("RULE", "", "WHY", box=None, pad_edge=False, header_style="bold")
    for rule in _all(found, "Rules/member"):
        is_chosen = _text(rule, "IsChosen") == "true"
        mark = "[green]this one[/]" if is_chosen else {"true": "too late", "unknown": "perhaps"}.get(_text(rule, "Matches"), "no")
        table.add_row(_text(rule, "Priority"), mark, escape(_why(rule)))
    screen.print(table)
    if _text(found, "IsCertain") != "true":
        screen.print("[yellow]An expression on the way is beyond what can be told here: HAProxy may decide otherwise.[/]")
    screen.print(f"\n{' → '.join(one.text or '' for one in _all(found, 'Actions/member'))}", highlight=False)
    status = _text(found, "StatusCode")
    if status not in ("", "0"):
        screen.print(f"  answers {status} itself", highlight=False)
    for tag, words in (
        ("Location", "leads to"),
        ("Host", "host becomes"),
        ("Path", "URL becomes"),
        ("GroupStickiness", "keeps clients with a group by"),
    ):
        if _text(found, tag):
            screen.print(f"  {words} {escape(_text(found, tag))}", highlight=False)
    total = sum(int(_text(group, "Weight")) for group in _all(found, "TargetGroups/member"))
    for group in _all(found, "TargetGroups/member"):
        screen.print(f"  {escape(_group(group, total))}", highlight=False)
    if _text(found, "Problem"):
        screen.print(f"  [red]{escape(_text(found, 'Problem'))}[/]", highlight=False)


def _why(rule: Element) -> str:
    if _text(rule, "Priority") == "default":
        return "takes what no other does"
    words = []
    for condition in _all(rule, "Conditions/member"):
        holds = _text(condition, "Holds")
        verb = {"true": "matches", "false": "does not match:", "unknown": "cannot be told:"}[holds]
        words.append(f"{_text(condition, 'Field')} {verb} {_text(condition, 'Reason')}")
    return "; ".join(words)


def _group(group: Element, total: int) -> str:
    name = _text(group, "TargetGroupArn").split(":targetgroup/")[-1].partition("/")[0]
    weight = int(_text(group, "Weight"))
    share = f", {100 * weight / total:.0f} % of clients" if total and total != weight else ""
    sticky = f", kept by {_text(group, 'Stickiness')}" if _text(group, "Stickiness") else ""
    return f"{name}: {_text(group, 'HealthyTargets')} of {_text(group, 'Targets')} targets healthy{share}{sticky}"
