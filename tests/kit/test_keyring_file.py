"""The keyring on the disk: wrapped with a master key from a file, the environment or a command, whatever moment a change is cut off at."""

from __future__ import annotations

import os
import stat
import sys
import time
from base64 import b64encode
from pathlib import Path

import pytest

from longshore.kit import durable, master_key
from longshore.kit.keyring_file import KeyringFile
from longshore.kit.master_key import Master, MasterKeyProblem
from longshore.kit.sealing import newest, seal, unseal
from tests.cutting import Cut, cut_after, cut_everywhere

SECRET = b"first secret of an installation."
KEY, OTHER = b64encode(b"k" * 32).decode(), b64encode(b"o" * 32).decode()
ENVIRONMENT = Master("environment")
#: as no KMS does it: what is wrapped has three bytes in front, four characters of base64
PROGRAM = """
read given
for verb; do :; done
case "$verb:$given" in
  wrap:*) echo "d3d3$given" ;;
  unwrap:d3d3*) echo "${given#d3d3}" ;;
  *) echo "not wrapped here" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def command(tmp_path: Path) -> Master:
    program = tmp_path / "kms of ours.sh"
    program.write_text(PROGRAM)
    return Master("command", command=f"sh '{program}' --vault=ours")


def content_of(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(directory.rglob("*")) if file.is_file())


@pytest.mark.parametrize("source", ["file", "environment", "command"])
def test_what_was_begun_opens_again_with_the_same_master_key(tmp_path: Path, source: str, command: Master) -> None:
    given, handed = {"file": (None, ""), "environment": (None, KEY), "command": (command, "")}[source]
    data = tmp_path / "data"
    data.mkdir()
    begun = KeyringFile(data, given, handed)
    keys = begun.begin(SECRET, 1.0)
    sealed = seal(keys, "one", b"content")
    second = begun.rotate(2.0, at_once=False)
    # The next start need not be told of a file or a command.
    again = KeyringFile(data, None, handed)
    assert unseal(again.open(), "one", sealed) == b"content"
    assert newest(again.keys) == second.secret
    assert again.master.source == source
    for secret in (SECRET, second.secret):
        for form in (secret, b64encode(secret), secret.hex().encode()):
            assert form not in content_of(data)
    assert {stat.S_IMODE(file.stat().st_mode) for file in data.iterdir()} == {0o600}


def test_a_missing_master_key_is_not_made_anew(tmp_path: Path) -> None:
    KeyringFile(tmp_path).begin(SECRET, 1.0)
    (tmp_path / "master-key").unlink()
    before = content_of(tmp_path)
    with pytest.raises(MasterKeyProblem, match="missing"):
        KeyringFile(tmp_path).open()
    assert content_of(tmp_path) == before


def test_nor_is_it_when_the_secret_is_rotated(tmp_path: Path) -> None:
    file = KeyringFile(tmp_path)
    file.begin(SECRET, 1.0)
    kept = (tmp_path / "master-key").read_bytes()
    for content in (None, b"x" * 32):
        (tmp_path / "master-key").unlink(missing_ok=True)
        if content:
            durable.write_durably(tmp_path / "master-key", content)
        with pytest.raises(MasterKeyProblem, match=r"missing|does not open"):
            file.rotate(2.0, at_once=False)
    assert newest(file.keys) == SECRET
    durable.write_durably(tmp_path / "master-key", kept)
    assert newest(KeyringFile(tmp_path).open()) == SECRET


@pytest.mark.parametrize(
    ("given", "handed", "words"),
    [
        (None, "", "not set"),
        (None, OTHER, "does not open"),
        (None, "short", "base64 of 32 bytes"),
        (Master("file"), "", "missing"),
        (Master("command", command="/nowhere/to/be/found"), "", "not wrapped with a command"),
    ],
)
def test_another_master_key_than_the_right_one_is_refused_and_changes_nothing(
    tmp_path: Path, given: Master | None, handed: str, words: str
) -> None:
    KeyringFile(tmp_path, None, KEY).begin(SECRET, 1.0)
    before = content_of(tmp_path)
    with pytest.raises(MasterKeyProblem, match=words) as refused:
        KeyringFile(tmp_path, given, handed).open()
    assert refused.value.fix
    assert KEY not in str(refused.value)
    assert OTHER not in str(refused.value) + refused.value.fix
    assert content_of(tmp_path) == before


@pytest.mark.parametrize(("mode", "is_taken"), [(0o600, True), (0o400, True), (0o640, False), (0o604, False)])
def test_a_file_that_others_may_read_is_no_master_key(tmp_path: Path, mode: int, is_taken: bool) -> None:
    elsewhere = tmp_path / "mount" / "key"
    elsewhere.parent.mkdir()
    elsewhere.write_text(KEY)
    elsewhere.chmod(mode)
    file = KeyringFile(tmp_path, Master("file", file=str(elsewhere)))
    if is_taken:
        assert newest(file.begin(SECRET, 1.0)) == SECRET
        assert newest(KeyringFile(tmp_path).open()) == SECRET
    else:
        with pytest.raises(MasterKeyProblem, match="others may read"):
            file.begin(SECRET, 1.0)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import sys; sys.exit('the vault is sealed')", "the vault is sealed"),
        ("print('?')", "no base64"),
        ("pass", "no base64"),
        ("print('QUJD')", "does not unwrap"),
        ("while True: print('A' * 8192)", "more than any key"),
        ("import sys\nwhile True: print('A' * 8192, file=sys.stderr)", "did not answer"),
        ("import os, time\nos.fork() or time.sleep(60)\nprint('QUJD')", "did not answer"),
    ],
)
def test_a_command_that_fails_is_told_of_in_its_own_words(
    tmp_path: Path, program: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "not answer" in words:
        monkeypatch.setattr(master_key, "COMMAND_S", 0.5)
    path = tmp_path / "program.py"
    path.write_text(program)
    with pytest.raises(MasterKeyProblem, match=words):
        KeyringFile(tmp_path, Master("command", command=f"{sys.executable} {path}")).begin(SECRET, 1.0)
    assert not (tmp_path / "keyring").exists()


def test_what_a_command_has_started_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master_key, "COMMAND_S", 0.5)
    noted = tmp_path / "pid"
    with pytest.raises(MasterKeyProblem, match="did not answer"):
        master_key.run(f"sh -c 'sleep 61 & echo $! > {noted}; sleep 62' -- ", "wrap", b"k" * 32, os.environ)
    pid = int(noted.read_text())
    deadline = time.monotonic() + 10.0
    while Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline, "it still runs"
        os.sched_yield()


@pytest.mark.parametrize("there", ["file", "environment", "command"])
@pytest.mark.parametrize("wanted", ["file", "other file", "environment", "command"])
def test_the_master_key_may_become_another_of_any_source(tmp_path: Path, there: str, wanted: str, command: Master) -> None:
    masters = {"file": Master(), "other file": Master("file", file=str(tmp_path / "usb")), "environment": ENVIRONMENT, "command": command}
    data = tmp_path / "data"
    data.mkdir()
    file = KeyringFile(data, masters[there], KEY if there == "environment" else "")
    file.begin(SECRET, 1.0)
    before = (data / "keyring").read_bytes()
    file.rewrap(masters[wanted], OTHER if wanted == "environment" else "")
    assert (data / "keyring").read_bytes() != before
    if wanted != "file":
        assert not (data / "master-key").exists()
    handed = OTHER if wanted == "environment" else ""
    assert newest(KeyringFile(data, None, handed).open()) == SECRET
    # Whoever is still told of the old one is not locked out: the keyring knows better.
    assert newest(KeyringFile(data, masters[there], handed).open()) == SECRET
    file.rotate(2.0, at_once=False)
    assert newest(KeyringFile(data, None, handed).open()) != SECRET


@pytest.mark.parametrize("alias", ["the same", "another way", "a symlink", "a hard link", "of the directory"])
def test_the_file_of_now_by_another_name_gets_a_new_key_and_is_not_taken_away(tmp_path: Path, alias: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "also").symlink_to(data)
    file = KeyringFile(data)
    file.begin(SECRET, 1.0)
    kept, copy = data / "master-key", tmp_path / "usb"
    before, old = kept.read_bytes(), (data / "keyring").read_bytes()
    match alias:
        case "the same":
            copy = kept
        case "another way":
            copy = data / ".." / "data" / "master-key"
        case "a symlink":
            copy.symlink_to(kept)
        case "a hard link":
            copy.hardlink_to(kept)
        case _:
            copy = tmp_path / "also" / "master-key"
    file.rewrap(Master("file", file=str(copy)))
    assert copy.read_bytes() != before
    assert newest(KeyringFile(data).open()) == SECRET
    assert not kept.exists() or kept.read_bytes() != before
    second = file.rotate(2.0, at_once=False)
    assert newest(KeyringFile(data).open()) == second.secret
    (data / "keyring").write_bytes(old)
    with pytest.raises(MasterKeyProblem):
        KeyringFile(data).open()


def test_what_was_given_and_opens_nothing_is_told_of_where_the_keyring_knows_better(tmp_path: Path) -> None:
    KeyringFile(tmp_path).begin(SECRET, 1.0)
    for given, handed, words in (
        (None, OTHER, "LONGSHORE_MASTER_KEY does not open"),
        (Master("file", file=str(tmp_path / "usb")), "", "is missing"),
    ):
        file = KeyringFile(tmp_path, given, handed)
        assert newest(file.open()) == SECRET and file.master == Master()
        assert file.passed_over is not None and words in str(file.passed_over) and file.passed_over.fix
    file = KeyringFile(tmp_path)
    file.open()
    assert file.passed_over is None


def test_a_master_key_that_lies_elsewhere_by_now_is_noted_there(tmp_path: Path) -> None:
    KeyringFile(tmp_path).begin(SECRET, 1.0)
    moved = (tmp_path / "master-key").rename(tmp_path / "usb")
    given = KeyringFile(tmp_path, Master("file", file=str(moved)))
    assert newest(given.look()) == SECRET
    with pytest.raises(MasterKeyProblem, match="missing"):
        KeyringFile(tmp_path).open()
    given.open()
    second = given.rotate(2.0, at_once=False)
    assert newest(KeyringFile(tmp_path).open()) == second.secret


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_who_only_looks_leaves_a_change_that_is_under_way_alone(tmp_path: Path, is_wrapped: bool) -> None:
    file = KeyringFile(tmp_path)
    file.begin(SECRET, 1.0)
    first = (tmp_path / "master-key").read_bytes()
    file.rewrap(Master())
    # As it is in the middle of that: the next key lies there, before or after the keyring is wrapped with it.
    if is_wrapped:
        durable.write_durably(tmp_path / "master-key.next", (tmp_path / "master-key").read_bytes())
        durable.write_durably(tmp_path / "master-key", first)
    else:
        durable.write_durably(tmp_path / "master-key.next", first)
    before = content_of(tmp_path)
    assert newest(KeyringFile(tmp_path).look()) == SECRET
    assert content_of(tmp_path) == before
    assert (tmp_path / "master-key.next").exists()
    assert newest(KeyringFile(tmp_path).open()) == SECRET
    assert not (tmp_path / "master-key.next").exists()


def test_a_new_master_key_in_the_same_file_survives_being_cut_off_anywhere(tmp_path: Path) -> None:
    def begin() -> None:
        for path in tmp_path.iterdir():
            path.unlink()
        KeyringFile(tmp_path).begin(SECRET, 1.0)

    def change() -> None:
        file = KeyringFile(tmp_path)
        file.open()
        file.rewrap(Master())

    def check() -> None:
        for _ in range(2):
            assert newest(KeyringFile(tmp_path).open()) == SECRET

    begin()
    old = (tmp_path / "master-key").read_bytes()
    assert cut_everywhere(change, check, begin) >= 4
    assert (tmp_path / "master-key").read_bytes() != old
    assert sorted(os.listdir(tmp_path)) == ["keyring", "master-key"]


@pytest.mark.parametrize("then", ["rotate", "rewrap", "start"])
def test_a_new_master_key_that_could_not_be_put_in_its_place_is_not_lost_by_what_comes_next(tmp_path: Path, then: str) -> None:
    file = KeyringFile(tmp_path)
    file.begin(SECRET, 1.0)
    # A directory of that name stands for a disk without room: the key beside is written, the keyring is, and then it goes wrong.
    blocked = tmp_path / f".master-key.{os.getpid()}"
    blocked.mkdir()
    with pytest.raises(MasterKeyProblem, match="wrapped with the new key"):
        file.rewrap(Master())
    with pytest.raises(MasterKeyProblem, match="cannot be written"):
        file.rewrap(Master())
    blocked.rmdir()
    assert newest(KeyringFile(tmp_path).look()) == SECRET
    match then:
        case "rotate":
            file.rotate(2.0, at_once=False)
        case "rewrap":
            with cut_after(1), pytest.raises(Cut):  # the old next key has its place, the new one its own; then it is cut off
                file.rewrap(Master())
        case _:
            pass
    assert KeyringFile(tmp_path).open().generations[0].secret == SECRET


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b'{"format": 99, "master": {}, "content": ""}'])
def test_what_is_no_keyring_is_told_of(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keyring").write_bytes(content)
    with pytest.raises(MasterKeyProblem, match=r"no keyring|newer"):
        KeyringFile(tmp_path).open()


def test_generations_are_dropped_but_for_the_current_one(tmp_path: Path) -> None:
    file = KeyringFile(tmp_path)
    file.begin(SECRET, 1.0)
    file.rotate(5.0, at_once=False)
    file.rotate(9.0, at_once=True)
    assert [(one.number, one.is_over) for one in file.keys.generations] == [(1, True), (2, True), (3, False)]
    assert (len(file.keys.trusted), len(file.keys.living)) == (1, 3)
    file.drop(frozenset({1, 2, 3}))
    again = KeyringFile(tmp_path).open()
    assert [(one.number, bool(one.secret), one.made_at) for one in again.generations] == [(1, False, 0.0), (2, False, 5.0), (3, True, 9.0)]
