"""The page on least privilege: its operations and their members, its commands and options, its numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from longshore.cli.iam import app
from longshore.gateway.catalogue import served
from longshore.services.iam.lookup import MOST_DOCUMENT
from longshore.services.iam.minimal import NARROWING
from longshore.services.iam.recording import MOMENTS, MOST_CALLS, MOST_OF_A_KIND
from longshore.services.iam.recording_shapes import Change

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "least-privilege.md").read_text()
TABLE = PAGE.partition("## Operations")[2]
OWN = [name for name in served("iam").operations if name.startswith("Longshore") and name in PAGE]


@pytest.mark.parametrize("operation", OWN)
def test_every_member_of_a_request_is_told_of(operation: str) -> None:
    told = set(re.findall(r"`(\w+)`", next(row for row in TABLE.splitlines() if f"`{operation}`" in row)))
    assert set(served("iam").shapes[operation].request.__struct_encode_fields__) <= told


def test_every_kind_of_change_is_told_of() -> None:
    assert set(Change.__struct_encode_fields__) <= set(re.findall(r"`(\w+)`", TABLE))


def test_commands_and_options_exist() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    known = {option for command in commands.values() for parameter in command.params for option in parameter.opts}
    known |= {option for command in commands["record"].commands.values() for parameter in command.params for option in parameter.opts}
    ours = re.sub(r"^\$ aws .*$", "", PAGE, flags=re.MULTILINE)
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours)) <= known
    assert set(re.findall(r"longshore iam ([a-z-]+)", PAGE)) <= set(commands)
    assert set(re.findall(r"record (start|stop|list|show|rm)\b", PAGE)) <= set(commands["record"].commands)


def test_numbers_and_keys_are_those_of_the_code() -> None:
    assert f"room for {MOST_CALLS:,} calls" in PAGE
    assert MOST_OF_A_KIND == 100 and "the first 100 of a kind" in PAGE
    assert f"{MOST_DOCUMENT:,} characters" in PAGE
    for key in (*(written for written, _ in NARROWING.values()), "aws:TokenIssueTime", "aws:MultiFactorAuthAge"):
        assert f"`{key}`" in PAGE
    assert {"aws:tokenissuetime", "aws:multifactorauthage"} == MOMENTS
