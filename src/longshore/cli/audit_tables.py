"""A record as a line for people: when, who, what, to what, from where, what came of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

#: of columns whose rows are yet to come; the last one takes what it needs
_WIDTHS = (20, 28, 34, 40, 16)
#: of a column at most, where all rows are there
_MOST = (20, 40, 56, 72, 39)
_TITLES = ("TIME", "WHO", "ACTION", "RESOURCE", "FROM", "OUTCOME")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Who(
    msgspec.Struct, frozen=True, rename={"account": "accountId", "user_name": "userName", "key": "accessKeyId", "principal": "principalId"}
):
    type: str = ""
    arn: str = ""
    account: str = ""
    user_name: str = ""
    key: str = ""
    principal: str = ""


class Resource(msgspec.Struct, frozen=True, rename={"arn": "ARN"}):
    arn: str = ""


class Line(
    msgspec.Struct,
    frozen=True,
    rename={
        "time": "eventTime",
        "source": "eventSource",
        "name": "eventName",
        "who": "userIdentity",
        "remote": "sourceIPAddress",
        "error": "errorCode",
        "message": "errorMessage",
        "additional": "additionalEventData",
    },
):
    time: str
    source: str
    name: str
    who: Who
    remote: str = ""
    error: str = ""
    message: str = ""
    resources: tuple[Resource, ...] = ()
    additional: dict[str, object] = {}


def table(lines: Iterable[Line]) -> Iterator[str]:
    """Title and rows, each column as wide as what is in it."""
    rows = [_TITLES, *map(_cells, lines)]
    widths = [min(most, max(len(row[column]) for row in rows)) for column, most in enumerate(_MOST)]
    return (_row(row, widths) for row in rows)


def header() -> str:
    return _row(_TITLES)


def text_of(line: Line) -> str:
    return _row(_cells(line))


def _cells(line: Line) -> tuple[str, ...]:
    return (line.time, who_of(line.who), f"{line.source.partition('.')[0]}:{line.name}", _resource(line), line.remote, _outcome(line))


def who_of(who: Who) -> str:
    """As short as it can be told apart within its account."""
    match who.type:
        case "Root":
            return f"root ({who.account})"
        case "IAMUser":
            return who.user_name or who.arn.rpartition("/")[2]
        case "AssumedRole":
            return who.arn.partition(":assumed-role/")[2]
        case "FederatedUser":
            return f"federated {who.arn.rpartition('/')[2]}"
        case "WebIdentityUser":
            return who.user_name or who.principal
        case "AWSAccount":
            return f"account {who.account}"
        case _:
            return f"nobody ({who.key})" if who.key else "nobody"


def _resource(line: Line) -> str:
    if not line.resources:
        return "-"
    named = line.resources[0].arn.split(":", 5)
    more = f" +{len(line.resources) - 1}" if len(line.resources) > 1 else ""
    return f"{named[-1]}{more}"


def _outcome(line: Line) -> str:
    further = line.additional.get("furtherAttempts")
    counted = f" ({further} more like it)" if further else ""
    if not line.error:
        return f"ok{counted}"
    # what sts DecodeAuthorizationMessage takes is for machines
    message = line.message.partition(" Encoded authorization failure message")[0]
    return f"{line.error}{f': {message}' if message else ''}{counted}"


def _row(cells: Sequence[str], widths: Sequence[int] = _WIDTHS) -> str:
    # what clients said is not to move the reader's cursor
    shown = [_CONTROL.sub("?", cell) for cell in cells]
    parts = [f"{_middle(cell, width):{width}}" for cell, width in zip(shown, widths, strict=False)]
    return "  ".join((*parts, shown[-1])).rstrip()


def _middle(text: str, width: int) -> str:
    """Without its middle where it is too long: both ends tell things apart."""
    if len(text) <= width:
        return text
    half = (width - 1) // 2
    return f"{text[: width - 1 - half]}…{text[-half:]}"
