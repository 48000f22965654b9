"""`longshore keys`, and the options that say where the master key comes from."""

from __future__ import annotations

import sys
from base64 import b64encode
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from longshore.cli.doctor import examine
from longshore.cli.keys import Generation, Keys, MasterKey, Rotation, _print, app
from longshore.cli.master import refuse_another, wanted_master_key
from longshore.cli.outcome import ExitCode, Failure
from longshore.environment import environment, without_secrets
from longshore.kit.keyring_file import KeyringFile
from longshore.kit.master_key import Master
from tests.cli.conftest import Home

KEY = b64encode(b"k" * 32).decode()


@pytest.mark.parametrize(
    "arguments",
    [
        ("rotate-master", "--to", "vault"),
        ("rotate-master", "--to", "command"),
        ("rotate-master", "--to", "environment"),
        ("rotate-master", "--file", "/a"),
        ("rotate-master", "--to", "file", "--command", "kms"),
        ("status", "-o", "yaml"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anybody_is_asked(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LONGSHORE_MASTER_KEY", raising=False)
    failure = CliRunner().invoke(app, list(arguments)).exception
    assert isinstance(failure, Failure)
    assert failure.code == ExitCode.USAGE
    assert failure.fix


def test_generations_are_shown_with_what_is_left_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    rotation = Rotation("arn:aws:iam::000000000000:root", resealed=7, broken=1, done_at=3.0)
    shown = Keys(
        MasterKey("file", "/mnt/key"),
        (Generation(1, 0.0, "kept", 1e9), Generation(2, 2.0, "current", None, rotation)),
    )
    _print(shown, False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "master key    file: /mnt/key"
    assert lines[1].startswith("generation 1  kept     the first, goes after ")
    assert "by arn:aws:iam::000000000000:root, 7 sealed anew, 1 open with no key" in lines[2]
    _print(shown, True)
    assert msgspec.json.decode(capsys.readouterr().out, type=Keys) == shown


def test_a_master_key_comes_from_one_place(tmp_path: Path) -> None:
    assert wanted_master_key(None, None) is None
    assert wanted_master_key(tmp_path / "k", None) == Master("file", file=str(tmp_path / "k"))
    assert wanted_master_key(None, "kms --key a") == Master("command", command="kms --key a")
    for file, command in ((tmp_path, "kms"), (None, " ")):
        with pytest.raises(Failure):
            wanted_master_key(file, command)


def test_processes_inherit_nothing_secret() -> None:
    given = {"PATH": "/bin", "LONGSHORE_MASTER_KEY": KEY, "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t", "LONGSHORE_PORT": "1"}
    given["LONGSHORE_SECRET_ACCESS_KEY"] = "r"
    assert without_secrets(given) == {"PATH": "/bin", "LONGSHORE_PORT": "1"}
    assert environment({"LONGSHORE_MASTER_KEY": f"{KEY}\n", "HOME": "/"}).master_key == KEY


def looked_at(home: Home, **variables: str) -> dict[str, tuple[str, str]]:
    given = environment({"HOME": str(home.path), "LONGSHORE_DATA_DIR": str(home.data.root), **variables})
    return {found.name: (found.verdict, found.text) for found in examine(given, home.data, "127.0.0.1", home.port)}


def test_doctor_tries_the_master_key_and_changes_nothing(home: Home, tmp_path: Path) -> None:
    home.data.prepare()
    assert looked_at(home)["master key"][0] == "note"
    assert not (home.data.root / "master-key").exists()
    KeyringFile(home.data.root, Master("file", file=str(tmp_path / "key"))).begin(b"s" * 32, 0.0)
    assert looked_at(home)["master key"][0] == "ok"
    (tmp_path / "key").chmod(0o644)
    verdict, text = looked_at(home)["master key"]
    assert (verdict, "others may read" in text) == ("missing", True)
    (tmp_path / "key").unlink()
    assert looked_at(home)["master key"][0] == "missing"
    verdict, text = looked_at(home, LONGSHORE_MASTER_KEY="short")["master key"]
    assert (verdict, "base64" in text) == ("missing", True)


def test_a_master_key_that_is_given_and_opens_nothing_is_refused_though_the_keyring_knows_of_one_that_does(home: Home) -> None:
    home.data.prepare()
    KeyringFile(home.data.root).begin(b"s" * 32, 0.0)
    asked = {"HOME": str(home.path), "LONGSHORE_DATA_DIR": str(home.data.root)}
    wrong = environment({**asked, "LONGSHORE_MASTER_KEY": KEY})
    file = Master("file", file=str(home.path / "usb"))
    for variables, given in ((wrong, None), (environment(asked), file)):
        with pytest.raises(Failure, match=r"does not open|missing") as refused:
            refuse_another(variables, home.data, given)
        assert "wrapped with the key of the file master-key" in refused.value.fix
    verdict, text = looked_at(home, LONGSHORE_MASTER_KEY=KEY)["master key"]
    assert (verdict, "does not open" in text) == ("missing", True)
    refuse_another(environment(asked), home.data, None)
    refuse_another(environment(asked), home.data, Master())


def test_doctor_tells_what_a_command_says(home: Home, tmp_path: Path) -> None:
    home.data.prepare()
    program = tmp_path / "kms.py"
    program.write_text("import sys; print(sys.stdin.readline())")
    KeyringFile(home.data.root, Master("command", command=f"{sys.executable} {program}")).begin(b"s" * 32, 0.0)
    assert looked_at(home)["master key"][0] == "ok"
    program.write_text("import sys; sys.exit('sealed since noon')")
    verdict, text = looked_at(home)["master key"]
    assert (verdict, "sealed since noon" in text) == ("missing", True)
