"""What an agent writes down is there after a crash, at whatever byte it came."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec
import pytest

from longshore.agent import journal as journal_module
from longshore.agent.journal import ContainerRecord, Identity, Journal, JournalUnusable, PulledImage, TaskRecord
from longshore.agent.lifecycle import Phase, TaskStatus


def record(arn: str = "arn:1", **changes: object) -> TaskRecord:
    return msgspec.structs.replace(TaskRecord(arn=arn, payload=msgspec.Raw(b'{"arn":"x"}')), **changes)


def test_everything_is_there_again(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "deep" / "journal")
    journal.identify(Identity("arn:instance", "default", "http://e"))
    journal.raise_sequence(7)
    journal.raise_sequence(3)
    container = ContainerRecord(phase=Phase.STOPPED, id="c", exit_code=0, reason="r", bindings=msgspec.Raw(b"[1]"))
    journal.keep(record(status=TaskStatus.STOPPED, reported=2, containers={"main": container}))
    journal.keep(record("arn:2"))
    journal.forget("arn:2")
    journal.keep_image(PulledImage("sha256:1", "bb:1", 1.0))
    journal.close()
    again = Journal.open(tmp_path / "deep" / "journal")
    assert again.identity == Identity("arn:instance", "default", "http://e")
    assert again.sequence == 7
    assert list(again.tasks) == ["arn:1"] and again.images["sha256:1"].reference == "bb:1"
    kept = again.tasks["arn:1"]
    assert (kept.status, kept.reported, bytes(kept.payload)) == (TaskStatus.STOPPED, 2, b'{"arn":"x"}')
    assert kept.containers["main"].exit_code == 0 and bytes(kept.containers["main"].bindings) == b"[1]"
    again.close()


def test_a_crash_at_any_byte_loses_at_most_the_last_line(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal.open(path)
    for number in range(3):
        journal.keep(record(f"arn:{number}"))
    journal.close()
    content = path.read_bytes()
    whole = content[: content.rindex(b"\n", 0, -1) + 1]
    for cut in range(len(whole), len(content) + 1):
        path.write_bytes(content[:cut])
        again = Journal.open(path)
        assert list(again.tasks)[:2] == ["arn:0", "arn:1"]
        again.keep(record("arn:later"))
        again.close()
        last = Journal.open(path)
        assert "arn:later" in last.tasks
        last.close()


def test_history_is_dropped_when_there_is_much_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "COMPACT_BYTES", 4096)
    path = tmp_path / "journal"
    journal = Journal.open(path)
    for number in range(1000):
        journal.keep(record("arn:1", reason=str(number)))
    assert path.stat().st_size < 10_000
    journal.close()
    again = Journal.open(path)
    assert again.tasks["arn:1"].reason == "999"
    again.close()


async def test_a_full_disk_is_told_and_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal"
    journal = Journal.open(path)
    journal.keep(record("arn:before"))

    def full(descriptor: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        journal.keep(record("arn:during"))
        with pytest.raises(JournalUnusable, match="No space left"):
            await journal.sync()
    assert "arn:during" in journal.tasks
    await journal.sync()
    journal.close()
    again = Journal.open(path)
    assert list(again.tasks) == ["arn:before", "arn:during"]
    again.close()


async def test_starting_over_keeps_only_the_images(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal")
    journal.identify(Identity("arn:instance"))
    journal.keep(record())
    journal.keep_image(PulledImage("sha256:1", "bb:1", 1.0))
    await journal.start_over()
    journal.close()
    again = Journal.open(tmp_path / "journal")
    assert (again.identity, again.tasks, list(again.images)) == (Identity(), {}, ["sha256:1"])
    again.close()


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    Journal.open(tmp_path / "journal").close()
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o600


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalUnusable, match="file"):
        Journal.open(tmp_path / "file" / "journal")
