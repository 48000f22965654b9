"""The commands as a user types them, against a platform that runs (its stand-in) and against none."""

from __future__ import annotations

import configparser
import json
import urllib.request

import pytest

from longshore.cli.outcome import ExitCode
from tests.cli.conftest import Home


@pytest.fixture
def running(home: Home) -> Home:
    home.up(dev=True)
    return home


def test_status_tells_what_runs_in_json(running: Home) -> None:
    done = running.longshore("status", "-o", "json")
    assert done.returncode == ExitCode.OK, done.stderr
    told = json.loads(done.stdout)
    assert told["status"] == "running"
    assert told["endpoint"] == f"http://127.0.0.1:{running.port}"
    assert told["clusters"][0]["runningTasksCount"] == 3
    assert told["parts"][0]["alive"] is True


def test_status_tells_people_the_same(running: Home) -> None:
    done = running.longshore("status")
    assert "Longshore is running" in done.stdout and "dev mode" in done.stdout
    assert any(line.split() == ["default", "2", "1", "3", "0"] for line in done.stdout.splitlines())


def test_status_of_nothing_ends_with_the_code_for_not_running(home: Home) -> None:
    done = home.longshore("status", "-o", "json")
    assert done.returncode == ExitCode.NOT_RUNNING
    assert json.loads(done.stdout)["status"] == "stopped"


def test_env_prints_lines_a_shell_can_read_and_writes_the_profile(running: Home) -> None:
    done = running.longshore("env")
    assert done.returncode == ExitCode.OK
    assert f"export AWS_ENDPOINT_URL=http://127.0.0.1:{running.port}\n" in done.stdout
    key = running.data.credentials()
    assert f"export AWS_SECRET_ACCESS_KEY={key.secret_access_key}\n" in done.stdout
    config, credentials = configparser.ConfigParser(), configparser.ConfigParser()
    config.read(running.path / ".aws/config")
    credentials.read(running.path / ".aws/credentials")
    assert config["profile longshore"]["endpoint_url"] == f"http://127.0.0.1:{running.port}"
    assert credentials["longshore"]["aws_access_key_id"] == key.access_key_id


def test_env_of_nothing_prints_nothing_a_shell_would_run(home: Home) -> None:
    done = home.longshore("env")
    assert (done.returncode, done.stdout) == (ExitCode.NOT_RUNNING, "")
    assert "longshore up" in done.stderr


def test_reset_wipes_a_running_platform_in_dev_mode(running: Home) -> None:
    done = running.longshore("reset", "--yes")
    assert done.returncode == ExitCode.OK, done.stderr
    with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/_longshore/health") as answer:
        assert json.load(answer) == {"resets": 1}


def test_reset_asks_first(running: Home) -> None:
    done = running.longshore("reset")
    assert done.returncode == ExitCode.USAGE
    assert "--yes" in done.stderr


def test_reset_of_a_stopped_platform_keeps_its_key_and_its_instances(running: Home) -> None:
    key, instance = running.data.credentials(), running.data.instance_id("agent-1")
    (running.data.agent("agent-1") / "journal").write_text("tasks")
    (running.data.root / "store.db").write_text("rows")
    (running.data.root / "blobs").mkdir()
    running.longshore("down")
    assert running.longshore("reset", "-y").returncode == ExitCode.OK
    assert not (running.data.root / "store.db").exists() and not (running.data.root / "blobs").exists()
    assert not (running.data.agent("agent-1") / "journal").exists()
    assert (running.data.credentials(), running.data.instance_id("agent-1")) == (key, instance)


def test_reset_refuses_a_directory_that_is_not_ours(home: Home) -> None:
    home.data.root.mkdir()
    (home.data.root / "thesis.tex").write_text("years of work")
    assert home.longshore("reset", "-y").returncode == ExitCode.FAILED
    assert (home.data.root / "thesis.tex").exists()


def test_logs_shows_the_last_lines_of_a_part(running: Home) -> None:
    assert running.longshore("logs", "server", "-n", "2").stdout == "line 4\nline 5\n"
    missing = running.longshore("logs", "agent-9")
    assert missing.returncode == ExitCode.FAILED
    assert "there are: server, supervisor" in missing.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("up", "--zones", "a,a"),
        ("up", "--zones", "eu-west-1a"),
        ("up", "--account", "12"),
        ("up", "--region", "Mars"),
        ("up", "--port", "70000"),
        ("up", "--instances", "251"),
        ("status", "-o", "yaml"),
        ("agent",),
        ("agent", "--endpoint", "http://127.0.0.1:1"),
        ("nonsense",),
    ],
)
def test_wrong_usage_has_its_own_exit_code(home: Home, arguments: tuple[str, ...]) -> None:
    done = home.longshore(*arguments)
    assert done.returncode == ExitCode.USAGE, done.stderr
    assert done.stderr and "Traceback" not in done.stderr


def test_a_setting_that_cannot_be_used_is_named(home: Home) -> None:
    home.variables["LONGSHORE_PORT"] = "many"
    done = home.longshore("status")
    assert done.returncode == ExitCode.USAGE
    assert "LONGSHORE_PORT" in done.stderr


def test_help_documents_the_exit_codes(home: Home) -> None:
    said = " ".join(home.longshore("--help").stdout.split())
    for code in ExitCode:
        assert f"{code.value} " in said


def test_a_key_of_another_account_is_printed_as_lines_a_shell_can_read(running: Home) -> None:
    done = running.longshore("account", "add", "222222222222")
    assert done.returncode == ExitCode.OK, done.stderr
    assert done.stdout.splitlines() == [
        "unset AWS_PROFILE AWS_SESSION_TOKEN",
        "export AWS_ACCESS_KEY_ID=AKIATWO",
        "export AWS_SECRET_ACCESS_KEY='a/b+c d'",
    ]
    told = json.loads(running.longshore("account", "add", "222222222222", "-o", "json").stdout)
    assert told == {"accountId": "222222222222", "accessKeyId": "AKIATWO", "secretAccessKey": "a/b+c d"}
    refused = running.longshore("account", "add", "22")
    assert refused.returncode != ExitCode.OK
    assert (refused.stdout, "12 digits" in refused.stderr) == ("", True)


def test_accounts_are_listed(running: Home) -> None:
    assert running.longshore("account", "list").stdout.splitlines() == ["000000000000  1 root key", "222222222222  2 root keys"]
    assert json.loads(running.longshore("account", "list", "-o", "json").stdout)["accounts"][1]["rootKeys"] == 2
    assert running.longshore("account", "list", "-o", "yaml").returncode == ExitCode.USAGE
