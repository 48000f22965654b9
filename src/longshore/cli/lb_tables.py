"""How `longshore lb` tells what it has found."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from longshore.cli.lb import Group, Rule, Verdict

_VERDICTS = {"true": "too late", "unknown": "perhaps", "false": "no"}
_VERBS = {"true": "matches", "false": "does not match:", "unknown": "cannot be told:"}


def print_verdict(screen: Console, found: Verdict) -> None:
    if found.rules:
        screen.print(_rules(found.rules))
    else:
        screen.print("A Classic load balancer has no rules: its listener sends every request the same way.")
    if not found.is_certain:
        screen.print("[yellow]An expression on the way is beyond what can be told here: HAProxy may decide otherwise.[/]")
    screen.print(f"\n{' → '.join(found.actions)}", highlight=False)
    told = (
        ("answers", f"{found.status_code} itself" if found.status_code else None),
        ("leads to", found.location),
        ("host becomes", found.host),
        ("URL becomes", found.path),
        ("keeps clients with a group by", found.group_stickiness),
    )
    for words, text in told:
        if text:
            screen.print(f"  {words} {escape(text)}", highlight=False, soft_wrap=True)
    total = sum(group.weight for group in found.target_groups or ())
    for group in found.target_groups or ():
        screen.print(f"  {escape(_group(group, total))}", highlight=False)
    if found.problem:
        screen.print(f"  [red]{escape(found.problem)}[/]", highlight=False)


def _rules(rules: tuple[Rule, ...]) -> Table:
    table = Table("RULE", "", "WHY", box=None, pad_edge=False, header_style="bold")
    for rule in rules:
        table.add_row(rule.priority, "[green]this one[/]" if rule.is_chosen else _VERDICTS[rule.matches], escape(_why(rule)))
    return table


def _why(rule: Rule) -> str:
    if rule.priority == "default":
        return "takes what no other does"
    return "; ".join(f"{one.field} {_VERBS[one.holds]} {one.reason or ''}".rstrip() for one in rule.conditions or ())


def _group(group: Group, total: int) -> str:
    name = group.target_group_arn.split(":targetgroup/")[-1].partition("/")[0]
    share = f", {100 * group.weight / total:.0f} % of clients" if total != group.weight else ""
    sticky = f", kept by {group.stickiness}" if group.stickiness else ""
    return f"{name}: {group.healthy_targets} of {group.targets} targets healthy{share}{sticky}"
