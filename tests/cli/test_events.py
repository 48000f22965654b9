"""Reading a log that grows, and drawing what starts."""

from __future__ import annotations

import io
from pathlib import Path

from longshore.cli.events import Event, GrowingFile, last_lines, read_event
from longshore.cli.progress import PlainProgress, TerminalProgress, progress_for


def test_lines_come_whole_and_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntw")
    with GrowingFile(path) as file, path.open("ab") as writer:
        assert list(file.new_lines()) == [b"one"]
        writer.write(b"o\nthree\n")
        writer.flush()
        assert list(file.new_lines()) == [b"two", b"three"]
        assert list(file.new_lines()) == []


def test_a_log_replaced_or_cut_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old\n")
    with GrowingFile(path) as file:
        assert list(file.new_lines()) == [b"old"]
        (tmp_path / "new").write_bytes(b"new\n")
        (tmp_path / "new").replace(path)
        assert list(file.new_lines()) == [b"new"]
        path.write_bytes(b"x\n")
        assert list(file.new_lines()) == [b"x"]


def test_only_events_are_events() -> None:
    assert read_event(b'{"event": "ready", "part": "server", "more": 1}') == Event(event="ready", part="server")
    for line in (b"text", b"{", b'{"part": "server"}', b'{"event": 7}', b"[]", b'{"event": "\xff"}'):
        assert read_event(line) is None


def test_the_end_of_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "none", 5) == []


def test_a_pipe_gets_plain_lines_and_a_terminal_one_that_rewrites_itself() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(progress_for(io.StringIO()), PlainProgress)
    out = Terminal()
    progress = progress_for(out)
    assert isinstance(progress, TerminalProgress)
    progress.starting("server")
    progress.ready("server")
    progress.close()
    assert "server" in out.getvalue() and "\n" not in out.getvalue()
    assert out.getvalue().endswith("\r\x1b[K")
