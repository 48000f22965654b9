"""How decisions, recordings and what changed policies would do are shown to people."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from longshore.cli.ecr_tables import printable
from longshore.cli.iam_answers import Call, Difference, Explained, Generated, Policy, Recording, Remedy, Replayed, Shown, Statement

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_VERDICTS = {
    "allowed": ("ALLOWED", "bold green"),
    "explicitDeny": ("DENIED", "bold red"),
    "implicitDeny": ("DENIED", "bold red"),
    "undetermined": ("UNDECIDED", "bold yellow"),
}
_SIDES = {
    "identity": "The principal's own policies",
    "resource": "The resource's policies",
    "boundary": "Permissions boundary",
    "session": "Policies of the session",
}
_KINDS = {"inline": "inline", "managed": "managed", "aws-managed": "managed by AWS"}
_MISSED = {"principal": "about somebody else", "action": "about other actions", "resource": "about other resources"}
#: rows of a table unless all are asked for
_ROWS = 40


# ── explained ───────────────────────────────────────────────────────────────────────────────────────────────────────


def print_explained(console: Console, found: Explained, *, everything: bool, was_refused: bool = False) -> None:
    from rich.text import Text

    word, style = _VERDICTS[found.decision]
    console.print(Text.assemble((word, style), "  ", printable(_verdict(found))))
    if found.message:
        console.print(Text(printable(found.message), style="red"))
    if was_refused and found.decision == "allowed":
        console.print(Text("It was refused at the time; with the policies of today it is not.", style="yellow"))
    console.print()
    _print_question(console, found)
    for side, title in _SIDES.items():
        heard = [policy for policy in found.policies if policy.side == side]
        if heard or side == "identity":
            console.print()
            console.print(Text(title, style="bold"))
            if not heard:
                console.print(Text("  none that are known here" if found.decision == "undetermined" else "  none", style="dim"))
            for policy in heard:
                _print_policy(console, policy, found.identity, everything=everything)
    _print_remedies(console, found.remedies)
    if found.missing_context_keys or found.notes:
        console.print()
    if found.missing_context_keys:
        keys = ", ".join(map(printable, found.missing_context_keys))
        console.print(Text(f"Policies ask for what the question does not say: {keys} (--context KEY=VALUE)", style="yellow"))
    for note in found.notes:
        console.print(Text(printable(note), style="dim"))


def _print_question(console: Console, found: Explained) -> None:
    from rich.table import Table
    from rich.text import Text

    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    for name, value in (("principal", found.principal), ("action", found.action_name), ("resource", found.resource)):
        rows.add_row(f"  {name}", Text(printable(value)))
    console.print(rows)


def _verdict(found: Explained) -> str:
    who, what = _across(found)
    if found.decision == "undetermined":
        return f"as far as is known here, {who} may {found.action_name} on {what}"
    verb = "may" if found.decision == "allowed" else "may not"
    by = next(((policy, one) for policy in found.policies for one in policy.statements if one.decides), None)
    if by is None:
        return f"{who} {verb} {found.action_name} on {what}"
    because = "allows" if found.decision == "allowed" else "denies"
    return f"{who} {verb} {found.action_name} on {what}: statement {by[1].number}{_sid(by[1])} of {by[0].name} {because} it"


def _across(found: Explained) -> tuple[str, str]:
    """Who and what, with their accounts where these differ."""
    who, what = short_arn(found.identity), short_arn(found.resource)
    accounts = [arn.split(":")[4] if arn.count(":") > 4 else "" for arn in (found.identity, found.resource)]
    if all(accounts) and accounts[0] != accounts[1]:
        return f"{who} of {accounts[0]}", f"{what} of {accounts[1]}"
    return who, what


def _print_policy(console: Console, policy: Policy, identity: str, *, everything: bool) -> None:
    from rich.text import Text

    kind = _KINDS.get(policy.kind, "")
    whose = short_arn(policy.holder_arn) if policy.side == "identity" and policy.holder_arn != identity else ""
    about = ", ".join(filter(None, (kind, f"of {whose}" if whose else "")))
    console.print(Text.assemble("  ", (printable(policy.name), "bold"), f"  {printable(about)}" if about else ""))
    if policy.is_gone:
        console.print(Text("    is gone, and allows nothing", style="red"))
    elsewhere = [one for one in policy.statements if one.missed in ("principal", "action") and not everything]
    for one in policy.statements:
        if one not in elsewhere:
            _print_statement(console, one)
    counts = Counter(one.missed for one in elsewhere)
    for missed, count in sorted(counts.items()):
        console.print(Text(f"    {count} statement{'s' if count != 1 else ''} {_MISSED[missed]}", style="dim"))


def _print_statement(console: Console, one: Statement) -> None:

    style = ("bold green" if one.effect == "Allow" else "bold red") if one.decides else "" if one.applied else "dim"
    where = f"  line {one.begin_line}" if one.begin_line else ""
    if one.end_line > one.begin_line:
        where = f"  lines {one.begin_line}-{one.end_line}"
    said = _outcome(one)
    _print_hanging(console, f"{one.number} {one.effect}{_sid(one)}{where}: {said}", 4, style)
    if one.applied or one.missed in ("condition", "resource"):
        _print_hanging(console, json.dumps(json.loads(one.text), ensure_ascii=False), 6, style or "dim")


def _print_hanging(console: Console, text: str, indent: int, style: str) -> None:
    from rich.padding import Padding
    from rich.text import Text

    console.print(Padding(Text(printable(text), style=style, overflow="fold"), (0, 0, 0, indent), expand=False))


def _outcome(one: Statement) -> str:
    if one.decides:
        return "applies, and decides"
    if one.applied:
        return "applies, and leaves it to the account's own policies" if one.reach == "account" and one.effect == "Allow" else "applies"
    if one.unmet is None:
        return f"is {_MISSED.get(one.missed, one.missed)}"
    unmet = one.unmet
    has = "the request has none" if unmet.is_absent else f"the request has {_values(unmet.given)}"
    return f"its condition does not hold: {unmet.operator} {_as_written(unmet.key, one.text)} {_values(unmet.wanted)}, {has}"


def _as_written(key: str, text: str) -> str:
    """A condition key, in the letters of the statement that asks for it."""
    blocks = json.loads(text).get("Condition", {}) if text else {}
    return next((written for block in blocks.values() for written in block if written.lower() == key), key)


def _values(values: Sequence[str]) -> str:
    shown = " or ".join(repr(value) for value in values[:3]) or "nothing"
    return f"{shown} or {len(values) - 3} more" if len(values) > 3 else shown


def _sid(one: Statement) -> str:
    return f" ({one.sid})" if one.sid else ""


def _print_remedies(console: Console, remedies: Iterable[Remedy]) -> None:
    from rich.text import Text

    for number, remedy in enumerate(remedies):
        console.print()
        if not number:
            console.print(Text("To be allowed", style="bold"))
        console.print(Text(f"  {printable(remedy.words)}", style="green" if remedy.verb == "add" else "yellow"))
        if remedy.verb == "add" and remedy.side in ("resource", "boundary"):
            on = f"{remedy.policy_name} of {remedy.holder_arn}" if remedy.policy_name else remedy.holder_arn
            console.print(Text(f"  on {printable(on)}", style="dim"))
        for line in indented(remedy.statement) if remedy.verb == "add" else ():
            console.print(Text(f"    {printable(line)}"), soft_wrap=True)


def indented(text: str) -> list[str]:
    return json.dumps(json.loads(text), indent=2, ensure_ascii=False).splitlines()


def short_arn(arn: str) -> str:
    """What people call it by; an ARN of this kind in full stands elsewhere."""
    parts = arn.split(":", 5)
    return parts[5] if len(parts) == 6 and parts[5] else arn


# ── recorded ────────────────────────────────────────────────────────────────────────────────────────────────────────


def print_recordings(console: Console, found: Sequence[Recording]) -> None:
    from rich.table import Table
    from rich.text import Text

    if not found:
        console.print("nothing is recorded, and nothing was; `longshore iam record start NAME` begins", markup=False)
        return
    table = Table("RECORDING", "OF", "CALLS", "REQUESTS", "REFUSED", "", box=None, pad_edge=False)
    table.columns[1].overflow = "fold"
    for one in found:
        whose = ", ".join(short_arn(arn) for arn in one.principals) or "everybody"
        running = one.status == "RUNNING"
        table.add_row(
            Text(printable(one.recording_name)),
            Text(printable(whose)),
            str(one.calls),
            str(one.requests),
            str(one.refused),
            Text(f"until {when(one.ends_at)}" if running else "ended", style="green" if running else "dim"),
        )
    console.print(table)


def print_recording(console: Console, one: Recording) -> None:
    from rich.text import Text

    whose = ", ".join(short_arn(arn) for arn in one.principals) or "everybody of the account"
    state = f"runs until {when(one.ends_at)}" if one.status == "RUNNING" else f"ended {when(one.stopped_at or one.ends_at)}"
    console.print(Text.assemble((printable(one.recording_name), "bold"), f"  of {printable(whose)}, {state}"))
    if one.requests or one.status != "RUNNING":
        console.print(Text(f"  {_count(one.requests, 'request')} in {_count(one.calls, 'call')}, {one.refused} of them refused"))
    if one.tries_changes:
        style = "red" if one.would_deny else "green"
        console.print(Text(f"  with the changed policies {one.would_deny} would have been denied, {one.would_allow} allowed", style=style))
    _print_dropped(console, one.dropped, one.dropped_actions)


def _print_dropped(console: Console, dropped: int, actions: Sequence[str]) -> None:
    from rich.text import Text

    if dropped:
        named = f": {', '.join(map(printable, actions[:8]))}{' …' if len(actions) > 8 else ''}" if actions else ""
        console.print(Text(f"  {dropped} requests are not in it, for want of room{named}", style="yellow"))


def print_calls(console: Console, found: Shown, *, everything: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    print_recording(console, found.recording)
    if not found.calls:
        return
    console.print()
    several = len({one.principal for one in found.calls}) > 1
    tried = found.recording.tries_changes
    columns = [*(["WHO"] if several else []), "ACTION", "RESOURCE", "ALLOWED", "REFUSED", *(["WOULD"] if tried else []), "LAST"]
    table = Table(*columns, box=None, pad_edge=False)
    _fold(table, {"RESOURCE", "WOULD", "WHO"})
    rows = sorted(_together(found.calls), key=lambda one: (one.principal, one.action, one.resource))
    for one in rows if everything else rows[:_ROWS]:
        who = [Text(short_arn(one.principal))] if several else []
        would = [Text(_would(one), style="red" if one.would_deny else "")] if tried else []
        style = "red" if one.refused and not one.allowed else ""
        cells = [Text(printable(one.action), style=style), Text(printable(short_arn(one.resource)), style=style)]
        table.add_row(*who, *cells, str(one.allowed or "–"), str(one.refused or "–"), *would, Text(when(one.last_at)))
    console.print(table)
    if len(rows) > _ROWS and not everything:
        console.print(f"… and {len(rows) - _ROWS} more; --all shows them")


def _together(calls: Iterable[Call]) -> Iterable[Call]:
    """One row for each action and resource, whatever the circumstances."""
    found: dict[tuple[str, str, str], Call] = {}
    for one in calls:
        key = (one.principal, one.action, one.resource)
        before = found.get(key)
        found[key] = one if before is None else _sum(before, one)
    return found.values()


def _sum(one: Call, other: Call) -> Call:
    return Call(
        principal=one.principal,
        action=one.action,
        resource=one.resource,
        is_pattern=one.is_pattern,
        allowed=one.allowed + other.allowed,
        refused=one.refused + other.refused,
        first_at=min(one.first_at, other.first_at),
        last_at=max(one.last_at, other.last_at),
        would_deny=one.would_deny + other.would_deny,
        would_allow=one.would_allow + other.would_allow,
        would_say=other.would_say or one.would_say,
    )


def _would(one: Call) -> str:
    if one.would_deny:
        return f"deny {one.would_deny}: {printable(one.would_say)}"
    return f"allow {one.would_allow}: {printable(one.would_say)}" if one.would_allow else "–"


# ── policies ────────────────────────────────────────────────────────────────────────────────────────────────────────


def print_policy(found: Generated) -> None:
    """The documents alone go to standard output."""
    for number, document in enumerate(found.policy_documents):
        if number:
            print()
        print(document)

    def say(text: str) -> None:
        print(printable(text), file=sys.stderr)

    say(f"# allows {_count(found.calls, 'recorded call')} of {', '.join(map(short_arn, found.principals))}")
    if len(found.policy_documents) > 1:
        say(f"# {len(found.policy_documents)} documents: more than a policy may hold; put each as a policy of its own")
    if found.refused:
        say(f"# left out, since refused: {_count(found.refused, 'call')} (--with-refused)")
    for one in found.widened:
        say(f"# {short_arn(one.pattern)}: {one.why} ({one.seen} seen)")
    if found.dropped:
        say(f"# {found.dropped} requests are not in the recording, for want of room: {', '.join(found.dropped_actions)}")


def print_replayed(console: Console, found: Replayed, *, everything: bool) -> None:
    from rich.text import Text

    if not found.recordings:
        console.print(Text("nothing was recorded: `longshore iam record start NAME` begins", style="yellow"))
        return
    if not found.principals:
        console.print(Text("the change changes nothing for anybody whose calls were recorded", style="yellow"))
        return
    head = f"{_count(found.requests_denied, 'request')} would have been denied" if found.breaks else "nothing would have been denied"
    whose = ", ".join(map(short_arn, found.principals[:4])) + (" …" if len(found.principals) > 4 else "")
    about = f" ({_count(found.calls, 'call')} of {printable(whose)}, recorded in {printable(', '.join(found.recordings))})"
    console.print(Text.assemble((head, "bold red" if found.breaks else "bold green"), about))
    _print_differences(console, "Would be denied", found.breaks, "red", everything=everything)
    _print_differences(console, "Would newly be allowed", found.opens, "yellow", everything=everything)
    console.print()
    for said in _remarks(found):
        console.print(Text(said, style="dim"))


def _remarks(found: Replayed) -> Iterable[str]:
    yield f"{_calls(found.unchanged)} decided as before"
    if found.left_out:
        yield f"{found.left_out} more are not listed"
    if found.since_changed:
        yield f"{_calls(found.since_changed)} decided otherwise today than when recorded, whatever is changed"
    if found.unkept_keys:
        yield f"policies ask for what recordings do not keep: {', '.join(map(printable, found.unkept_keys))}"
    if found.dropped:
        yield f"{found.dropped} requests are not in the recordings, for want of room"


def _calls(count: int) -> str:
    return f"{_count(count, 'call')} {'is' if count == 1 else 'are'}"


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _print_differences(console: Console, title: str, listed: Sequence[Difference], style: str, *, everything: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    if not listed:
        return
    console.print()
    console.print(Text(title, style=f"bold {style}"))
    rows = _alike(listed)
    several = len({one.principal for one, _ in rows}) > 1
    table = Table(*(["WHO"] if several else []), "ACTION", "RESOURCE", "REQUESTS", "BECAUSE", box=None, pad_edge=False)
    _fold(table, {"RESOURCE", "BECAUSE", "WHO"})
    for one, requests in rows if everything else rows[:_ROWS]:
        who = [Text(short_arn(one.principal))] if several else []
        cells = [Text(printable(one.action)), Text(printable(short_arn(one.resource))), Text(str(requests)), Text(printable(one.after))]
        table.add_row(*who, *cells)
    console.print(table)
    if len(rows) > _ROWS and not everything:
        console.print(f"… and {len(rows) - _ROWS} more; --all shows them")


def _alike(listed: Sequence[Difference]) -> list[tuple[Difference, int]]:
    """One row for what differs in nothing but its circumstances, with the requests of all; the most frequent first."""
    found: dict[tuple[str, str, str, str], tuple[Difference, int]] = {}
    for one in listed:
        key = (one.principal, one.action, one.resource, one.after)
        before = found.get(key, (one, 0))
        found[key] = (before[0], before[1] + one.requests)
    return sorted(found.values(), key=lambda row: -row[1])


def _fold(table: Table, folded: set[str]) -> None:
    """These columns give way where there is too little room, and no others."""
    for column in table.columns:
        column.overflow, column.no_wrap = "fold", column.header not in folded


def when(at: float) -> str:
    moment = datetime.fromtimestamp(at).astimezone()
    is_today = moment.date() == datetime.now().astimezone().date()
    return f"{moment:%H:%M:%S}" if is_today else f"{moment:%Y-%m-%d %H:%M}"
