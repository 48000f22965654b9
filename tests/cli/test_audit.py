"""`longshore audit`: lines that people read, times they give, and a log that is looked through without a server."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from longshore.audit.layout import CLOSED, PUBLIC_KEY, files_of, new_key
from longshore.audit.log import open_audit_log
from longshore.cli.app import app
from longshore.cli.audit import moment
from longshore.cli.audit_tables import Line, table, text_of
from longshore.cli.outcome import ExitCode, Failure
from longshore.kit.clock import SteppedClock
from tests.audit.records import made


def line(**more: object) -> str:
    return text_of(msgspec.json.decode(made(1_700_000_000.0, "e", **more), type=Line))


@pytest.mark.parametrize(
    ("who", "shown"),
    [
        ({"type": "Root", "accountId": "000000000000"}, "root (000000000000)"),
        ({"type": "IAMUser", "userName": "ann"}, "ann "),
        ({"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/deploy/ci"}, "deploy/ci"),
        ({"type": "FederatedUser", "arn": "arn:aws:sts::1:federated-user/bob"}, "federated bob"),
        ({"type": "AWSAccount", "accountId": "222222222222"}, "account 222222222222"),
        ({"type": "Unknown", "accessKeyId": "AKIAGUESS"}, "nobody (AKIAGUESS)"),
        ({"type": "Unknown"}, "nobody "),
    ],
)  # fmt: skip
def test_a_line_says_who_in_few_words(who: dict[str, str], shown: str) -> None:
    assert line(who=who).startswith(f"2023-11-14T22:13:20Z  {shown}")


def test_a_line_says_what_came_of_it_without_what_is_for_machines() -> None:
    said = line(error_code="AccessDenied", error_message="User may not. Encoded authorization failure message: abc")
    assert said.endswith("AccessDenied: User may not.")
    assert line(error_code="X", additional={"furtherAttempts": 29}).endswith("X (29 more like it)")
    assert line(resources=[("arn:aws:ecr:us-east-1:1:repository/app", ""), ("arn:aws:ecr:us-east-1:1:repository/b", "")]).endswith("ok")


def test_columns_are_as_wide_as_what_is_in_them_and_bounded() -> None:
    decoded = [
        msgspec.json.decode(made(1_700_000_000.0, "e", who={"type": "IAMUser", "userName": name}), type=Line) for name in ("al", "x" * 90)
    ]
    short, long = list(table(decoded[:1])), list(table(decoded))
    assert short[0].startswith("TIME                  WHO  ACTION") and short[1].startswith("2023-11-14T22:13:20Z  al   ")
    assert len({row.index(mark) for row, mark in zip(long, ("ACTION", "ecs:", "ecs:"), strict=True)}) == 1
    assert long[0].index("ACTION") == 22 + 40 + 2 and "…" in long[2]


def test_nothing_a_client_says_moves_the_readers_cursor() -> None:
    assert "\x1b" not in line(event_name="Run\x1b[2JTask")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, None),
        ("2h", "1692800.000"),
        ("90s", "1699910.000"),
        ("1970-01-02", "86400.000"),
        ("1970-01-01T00:00:10Z", "10.000"),
        ("1970-01-01T01:00:10+01:00", "10.000"),
    ],
)  # fmt: skip
def test_times_are_told_backwards_or_as_they_are(given: str | None, found: str | None) -> None:
    assert moment(given, 1_700_000.0, "--since") == found


def test_a_time_that_is_none_is_wrong_usage() -> None:
    with pytest.raises(Failure):
        moment("yesterday", 0.0, "--since")


def test_a_time_that_ends_before_it_begins_is_wrong_usage() -> None:
    said = CliRunner().invoke(app, ["audit", "--since", "2h", "--until", "3h"])
    assert isinstance(said.exception, Failure) and said.exception.code == ExitCode.USAGE


def test_a_log_that_is_not_there_is_not_called_somebody_elses(tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["audit", "verify", "--directory", str(tmp_path)])
    assert isinstance(said.exception, Failure) and str(said.exception) == f"there is no {tmp_path / PUBLIC_KEY}"


async def kept(directory: Path) -> None:
    log = await open_audit_log(directory, new_key(), SteppedClock(), "tests")
    for number in range(5):
        log.append(made(1_700_000_000.0, f"e-{number}"))
    await log.close()


async def test_a_log_is_verified_from_its_files_alone(tmp_path: Path) -> None:
    await kept(tmp_path)
    whole = CliRunner().invoke(app, ["audit", "verify", "--directory", str(tmp_path)])
    assert whole.exit_code == 0 and "1 digests, 5 records" in whole.output and whole.output.endswith("whole\n")
    file = files_of(tmp_path, CLOSED)[0]
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    changed = CliRunner().invoke(app, ["audit", "verify", "--directory", str(tmp_path), "-o", "json"])
    assert changed.exit_code == 1
    assert json.loads(changed.output)["problems"] == [f"{file.name} is not as it was closed"]


async def test_a_public_key_from_elsewhere_tells_a_log_that_was_signed_anew(tmp_path: Path) -> None:
    await kept(tmp_path / "own")
    await kept(tmp_path / "anew")
    key = tmp_path / "own" / PUBLIC_KEY
    asked = ["audit", "verify", "--directory", str(tmp_path / "anew"), "--public-key", str(key)]
    assert CliRunner().invoke(app, asked).exit_code == 1
    assert CliRunner().invoke(app, [*asked[:3], str(tmp_path / "own"), *asked[4:]]).exit_code == 0
