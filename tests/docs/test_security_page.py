"""The threat model: every threat names tests that exist, every attacker has threats, and the numbers are those of the code."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from longshore.aws.protocol import form, json
from longshore.balancer import process
from longshore.gateway import balancers, doors, exec_bridge, failures, request
from longshore.gateway.agents import sessions
from longshore.gateway.lane import PARTIAL_S
from longshore.gateway.limits import GENEROUS
from longshore.kit import logs

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
#: (attacker, threat, what stands against it, shown by)
THREATS = [
    (section.partition("\n")[0], *row)
    for section in PAGE.partition("## Against whom")[2].partition("\n## Limits")[0].split("\n### ")[1:]
    for row in re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", section, flags=re.MULTILINE)
    if row[0] != "threat"
]
ATTACKERS = {
    "Nobody: whoever reaches a port",
    "A tenant: a user with some rights, or of another account",
    "A stolen key or session",
    "A malicious image, or what runs from it",
    "A compromised instance (ECScape)",
    "A malicious registry or identity provider",
    "A reader of the disk, or of a backup",
    "An operator who wants to hide something",
    "The way the software comes",
}


@cache
def names_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


@pytest.mark.parametrize(("attacker", "threat", "shown"), [(row[0], row[1], row[3]) for row in THREATS])
def test_every_threat_is_shown_by_tests_that_exist(attacker: str, threat: str, shown: str) -> None:
    named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", shown)
    assert named, f"{attacker}: nothing shows what stands against: {threat}"
    for file, name in named:
        path = ROOT / "tests" / file
        assert path.is_file(), file
        found = names_in(path)
        assert name in found if name else found, f"{file}::{name}"


def test_every_attacker_is_there_and_has_threats() -> None:
    assert {row[0] for row in THREATS} == ATTACKERS
    assert len(THREATS) > 45


def test_what_is_not_defended_against_is_said() -> None:
    assert len(re.findall(r"^- \*\*", PAGE.partition("## What is not defended against")[2], flags=re.MULTILINE)) >= 8


def test_the_limits_told_are_those_of_the_code() -> None:
    told = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", PAGE.partition("\n## Limits")[2], flags=re.MULTILINE))

    def numbers(what: str) -> list[float]:
        text = next(value for name, value in told.items() if name.startswith(what))
        units = {"KiB": 1 << 10, "MiB": 1 << 20}
        found = re.findall(r"(\d[\d,]*)(?: (KiB|MiB))?", text)
        return [int(number.replace(",", "")) * units.get(unit, 1) for number, unit in found]

    assert numbers("requests of one principal") == [*GENEROUS["reads"], *GENEROUS["changes"]]
    assert numbers("failed attempts") == [*failures.ELSEWHERE, *failures.LOOPBACK, failures.HELD_S]
    assert numbers("connections") == [
        doors.MOST_OF_ONE,
        doors.MOST,
        doors.LEFT_FOR_LOOPBACK,
        doors.HANDSHAKES_OF_ONE,
        doors.HANDSHAKES,
        doors.HANDSHAKES_LEFT,
    ]
    assert numbers("a request's head")[2] == PARTIAL_S
    assert numbers("a request's body") == [request.MOST_BODY, request.MOST_LAYER_PART, request.BODY_S]
    assert numbers("nesting") == [json.MOST_DEPTH, form.MOST_DEPTH, form.MOST_PARAMETERS]
    assert numbers("a WebSocket frame") == [sessions.MOST_FRAME, exec_bridge.MOST_FRAME, balancers._MOST_FRAME]
    assert numbers("logs of each part")[:2] == [logs.MOST_BYTES, process._MOST_LOG_BYTES]
