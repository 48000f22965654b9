"""How `longshore ecr` shows things to people: tables of images, a forecast by week, one line per event."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from longshore.cli.ecr_answers import Event, Forecast, Image, Preview, User
from longshore.cli.registry import size

if TYPE_CHECKING:
    from rich.console import Console

#: rows of a table unless all are asked for
_MOST_ROWS = 40
_DAY_S = 86_400.0
#: what Rich takes where nobody tells it, and what is as good as no width
_UNTOLD_WIDTH, _OF_A_PIPE = 80, 10_000
#: tags and users named in a cell
_NAMED = 3


def console() -> Console:
    """As wide as the terminal, or as COLUMNS says; a pipe has no width, and what is folded in it is lost to grep and awk."""
    from rich.console import Console

    made = Console(highlight=False)
    if not made.is_terminal and made.width == _UNTOLD_WIDTH:
        made.width = _OF_A_PIPE
    return made


def print_preview(console: Console, found: Preview, *, everything: bool) -> None:
    _print_rules(console, found)
    now = found.evaluated_at
    going = [image for image in found.images if image.decision != "KEEP"]
    later = [image for image in found.images if image.decision == "KEEP" and image.expected is not None]
    staying = [image for image in found.images if image.decision == "KEEP" and image.expected is None]
    columns = _Columns(now)
    _print_images(console, "Goes now", going, (*columns.of_all, columns.rule, columns.users), everything=everything)
    later.sort(key=lambda image: (image.expected.in_days if image.expected else 0, image.image_pushed_at))
    if found.forecast is not None:
        title = f"Goes within {found.forecast.days} days"
        _print_images(console, title, later, (*columns.of_all, columns.when, columns.users), everything=everything)
    _print_images(console, "Stays", staying, (*columns.of_all, columns.why, columns.users), everything=everything)
    if found.forecast is not None:
        _print_forecast(console, found.forecast)
    _print_summary(console, found)


def _print_rules(console: Console, found: Preview) -> None:
    from rich.table import Table
    from rich.text import Text

    keeping = "images in use are kept" if found.keep_images_in_use else "images in use go like others"
    console.print(f"[bold]{found.repository_name}[/], as of {_moment(found.evaluated_at)}; {keeping}")
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for rule in json.loads(found.lifecycle_policy_text)["rules"]:
        table.add_row(f"  rule {rule['rulePriority']}", Text(rule_in_words(rule)))
    console.print(table)


def rule_in_words(rule: dict[str, Any]) -> str:
    selection, action = rule["selection"], rule["action"]
    number = selection["countNumber"]
    listed = selection.get("tagPatternList") or [f"{prefix}*" for prefix in selection.get("tagPrefixList") or ()]
    which = {"any": "any image", "untagged": "untagged images"}.get(selection["tagStatus"], f"images tagged {' and '.join(listed)}")
    counted = {
        "imageCountMoreThan": f"beyond the newest {number}",
        "sinceImagePushed": f"pushed more than {number} d ago",
        "sinceImagePulled": f"not pulled for {number} d",
        "sinceImageTransitioned": f"archived more than {number} d ago",
    }[selection["countType"]]
    does = "go to the archive" if action["type"] == "transition" else "expire"
    said = f" ({rule['description']})" if rule.get("description") else ""
    return printable(f"{which}, {counted}, {does}{said}")


# ── images ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_Column = tuple[str, str, Callable[[Image], str]]


class _Columns:
    """(heading, alignment, text) of what there is to say about an image."""

    def __init__(self, now: float) -> None:
        self.of_all: tuple[_Column, ...] = (
            ("IMAGE", "left", lambda image: short(image.image_digest)),
            ("TAGS", "fold", lambda image: _some(image.image_tags, len(image.image_tags)) or "–"),
            ("PUSHED", "right", lambda image: age(now - image.image_pushed_at)),
            ("SIZE", "right", lambda image: size(image.image_size_in_bytes)),
        )
        self.rule: _Column = ("BY", "left", _by)
        self.when: _Column = ("WHEN", "left", _when)
        self.why: _Column = ("WHY", "fold", _why)
        self.users: _Column = ("USED BY", "fold", lambda image: _users(image.used_by))


def _print_images(console: Console, title: str, images: list[Image], columns: Iterable[_Column], *, everything: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    console.print()
    if not images:
        console.print(f"[bold]{title}[/]: nothing")
        return
    total = sum(image.image_size_in_bytes for image in images)
    console.print(f"[bold]{title}[/]: {_counted(len(images))}, {size(total)}")
    shown = images if everything else images[:_MOST_ROWS]
    used = [column for column in columns if column[0] != "USED BY" or any(image.used_by for image in shown)]
    table = Table(box=None, pad_edge=False)
    for heading, alignment, _ in used:
        fold = alignment == "fold"
        table.add_column(heading, justify="right" if alignment == "right" else "left", no_wrap=not fold, overflow="fold")
    for image in shown:
        table.add_row(*(Text(text(image)) for _, _, text in used))
    console.print(table)
    if len(shown) < len(images):
        console.print(f"… and {len(images) - len(shown)} more; --all shows them")


def _by(image: Image) -> str:
    archived = " → archive" if image.decision == "TRANSITION" else ""
    if image.reason == "GOES_WITH":
        return f"with {short(image.held_by)}{archived}"
    return f"rule {image.rule_priority}{archived}"


def _when(image: Image) -> str:
    expected = image.expected
    if expected is None:
        return ""
    archived = " → archive" if expected.action == "TRANSITION" else ""
    return f"in {expected.in_days} d, {_date(expected.at)}, rule {expected.rule_priority}{archived}"


def _why(image: Image) -> str:
    archived = "archived; " if image.storage_class == "ARCHIVE" else ""
    words = {
        "KEPT_BY_RULE": f"rule {image.rule_priority} keeps it",
        "IN_USE": f"in use; rule {image.rule_priority} would take it",
        "PART_OF_INDEX": f"part of {short(image.held_by)}",
        "ABOUT_IMAGE": f"about {short(image.held_by)}",
        "NO_RULE": "no rule selects it",
    }
    return archived + words.get(image.reason, image.reason)


def _users(users: tuple[User, ...]) -> str:
    return _some([f"{user.type} {_name(user.arn)}" for user in users], len(users))


def _name(arn: str) -> str:
    """The last part of an ARN; of a task's id, as much as tells it from others."""
    name = arn.rpartition("/")[2]
    return name[:8] if len(name) == 32 and name.isalnum() else name


def _some(names: Iterable[str], count: int) -> str:
    listed = list(names)[:_NAMED]
    more = f" +{count - len(listed)}" if count > len(listed) else ""
    return ", ".join(listed) + more


# ── forecast and summary ────────────────────────────────────────────────────────────────────────────────────────────


def _print_forecast(console: Console, found: Forecast) -> None:
    from rich.table import Table

    console.print()
    rate = sum(each.pushes_per_day for each in found.push_rates)
    console.print(f"[bold]The next {found.days} days[/] at {rate:.{0 if rate >= 10 else 1}f} pushes a day")
    table = Table("WEEK FROM", "IMAGES OF TODAY THAT GO", "SIZE", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for first in range(0, found.days + 1, 7):
        week = [day for day in found.per_day if first <= day.day < first + 7]
        today = sum(day.expiring + day.transitioning for day in week)
        if today:
            table.add_row(_date(week[0].at), str(today), size(sum(day.size_in_bytes for day in week)))
    if table.row_count:
        console.print(table)
    else:
        console.print("of today's images nothing goes")
    to_come = sum(day.expiring_future + day.transitioning_future for day in found.per_day)
    if to_come:
        console.print(f"of images to come {to_come} would go as well")


def _print_summary(console: Console, found: Preview) -> None:
    summary = found.summary
    console.print()
    parts = [f"{_counted(summary.expiring_image_count)} would expire ({size(summary.expiring_size_in_bytes)})"]
    if summary.transitioning_image_count:
        parts.append(f"{summary.transitioning_image_count} would go to the archive ({size(summary.transitioning_size_in_bytes)})")
    parts.append(f"{summary.kept_image_count} stay ({size(summary.kept_size_in_bytes)})")
    if summary.kept_in_use_image_count:
        parts.append(f"{summary.kept_in_use_image_count} of them because they are in use")
    console.print("; ".join(parts))
    if summary.expiring_image_count:
        console.print(f"layers that no other image of the repository has: {size(summary.freed_size_in_bytes)}")
    if summary.used_image_count:
        console.print(f"[yellow]{_counted(summary.used_image_count)} that would go {_is(summary.used_image_count)} in use[/]")


# ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def event_line(event: Event) -> str:
    detail = event.detail
    action = str(detail.get("action-type") or detail.get("scan-status") or detail.get("result") or "")
    digest, tag = str(detail.get("image-digest") or ""), str(detail.get("image-tag") or "")
    image = " ".join(part for part in (short(digest) if digest else "", tag) if part)
    by = f"by rule {detail['lifecycle-rule-priority']}" if "lifecycle-rule-priority" in detail else ""
    kind = event.detail_type.removeprefix("ECR ").removesuffix(" Action")
    parts = (_moment(event.time), str(detail.get("repository-name") or ""), kind.lower(), action, image, by)
    return printable("  ".join(part for part in parts if part))


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def printable(text: str) -> str:
    """Without what a terminal would take for a command."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def short(digest: str) -> str:
    """What tells an image from others: the beginning of its digest."""
    return digest.partition(":")[2][:12] or digest


def age(seconds: float) -> str:
    if seconds < 3600:
        return f"{int(seconds // 60)} min ago" if seconds >= 60 else "just now"
    return f"{int(seconds // 3600)} h ago" if seconds < 2 * _DAY_S else f"{int(seconds // _DAY_S)} d ago"


def _counted(count: int) -> str:
    return f"{count} image" if count == 1 else f"{count} images"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _date(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d}"


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}"
