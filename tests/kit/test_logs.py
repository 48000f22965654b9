"""Logs: lines that stay lines whatever clients put into them, and files that are moved aside without losing any."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.kit.logs import FORMAT, LogHandler, OneLine, Rotation, appended, begun_anew, printable, rotation_of


@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_whatever_a_client_writes_stays_on_its_line_and_can_be_written(text: str) -> None:
    shown = printable(text)
    assert len(f"a{shown}b".splitlines()) == 1
    assert "\x1b" not in shown and "\x00" not in shown
    shown.encode()


def test_what_people_write_is_left_as_it_is() -> None:
    assert printable("Zürich\t漢字 🚢 – “x”") == "Zürich\t漢字 🚢 – “x”"
    assert printable("a\nb\x1b[2J\u202eb") == "a\\nb\\x1b[2J\\u202eb"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[tuple[Path, logging.Logger, LogHandler]]:
    """A logger that writes to a file which is moved aside beyond 2,000 bytes."""
    path = tmp_path / "part.log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    handler = LogHandler(Rotation(path, (descriptor,), most=2000, kept=3), descriptor)
    handler.setFormatter(OneLine(FORMAT))
    logger = logging.Logger("part")
    logger.addHandler(handler)
    yield path, logger, handler
    os.close(descriptor)


def lines_of(path: Path) -> list[str]:
    """Of all files, the oldest first."""
    files = sorted(path.parent.glob("part.log*"), reverse=True)
    return [line for file in files for line in file.read_text().splitlines()]


def test_no_record_can_be_forged_by_what_a_client_says(log: tuple[Path, logging.Logger, LogHandler]) -> None:
    path, logger, _ = log
    logger.info("%s asked", "x\n2026-01-01 00:00:00,000 INFO    longshore: root was let in")
    try:
        raise ValueError("bad\n2026-01-01 00:00:00,000 INFO    longshore: root was let in \udc80")
    except ValueError:
        logger.exception("failed")
    lines = lines_of(path)
    assert [line for line in lines if "root was let in" in line and not line.startswith(" ")] == [lines[0]]
    assert all(line.startswith("    ") for line in lines[2:])


def test_files_are_moved_aside_and_no_line_is_lost(log: tuple[Path, logging.Logger, LogHandler]) -> None:
    path, logger, _ = log
    for number in range(60):
        logger.info("line %04d %s", number, "x" * 30)
    assert sorted(file.name for file in path.parent.iterdir()) == ["part.log", "part.log.1", "part.log.2"]
    assert [line.split("line ")[1][:4] for line in lines_of(path)] == [f"{number:04}" for number in range(60)]


def test_only_so_many_are_kept(log: tuple[Path, logging.Logger, LogHandler]) -> None:
    path, logger, _ = log
    for number in range(400):
        logger.info("line %04d %s", number, "x" * 30)
    files = sorted(path.parent.iterdir())
    assert len(files) == 4 and all(file.stat().st_size < 2200 for file in files)
    numbers = [int(line.split("line ")[1][:4]) for line in lines_of(path)]
    assert numbers == list(range(numbers[0], 400))


def test_threads_lose_no_lines_to_each_other(log: tuple[Path, logging.Logger, LogHandler]) -> None:
    path, logger, handler = log
    handler._rotation = Rotation(path, (handler._descriptor,), most=2000, kept=1000)

    def write(who: int) -> None:
        for number in range(200):
            logger.info("line %d-%d", who, number)

    threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = [line.split("line ")[1] for file in path.parent.iterdir() for line in file.read_text().splitlines()]
    assert sorted(told) == sorted(f"{who}-{number}" for who in range(4) for number in range(200))


def test_a_process_whose_standard_error_is_the_log_moves_it_and_its_children_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    program = (
        "import logging, os, pathlib, subprocess, sys\n"
        "from longshore.kit import logs\n"
        "logs.MOST_BYTES = 1000\n"
        "logging.basicConfig(level='INFO', handlers=[logs.LogHandler(logs.rotation_of(pathlib.Path(sys.argv[1]), most=1000))])\n"
        "child = subprocess.Popen(['sh', '-c', 'read x; echo from the child >&2'], stdin=subprocess.PIPE)\n"
        "for number in range(100): logging.info('line %03d', number)\n"
        "child.communicate(b'go\\n')\n"
        "os.write(2, b'from elsewhere\\n')\n"
    )
    with path.open("ab") as file:
        subprocess.run([sys.executable, "-c", program, str(path)], stderr=file, check=True, timeout=30)
    assert path.read_text().endswith("from elsewhere\n")
    told = lines_of(path)
    assert "from the child" in told and len([line for line in told if line.startswith("INFO:root:line")]) == 100
    assert (tmp_path / "part.log.1").exists()


def test_a_terminal_or_somebody_elses_file_is_not_moved(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.touch()
    with (tmp_path / "other").open("ab") as file:
        assert rotation_of(theirs, (file.fileno(),)) is None
        assert rotation_of(tmp_path / "other", (file.fileno(),)) is not None
    assert rotation_of(None) is None


def test_a_file_that_somebody_moved_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    with path.open("ab") as file:
        rotation = Rotation(path, (file.fileno(),), most=10)
        file.write(b"x" * 20)
        file.flush()
        path.rename(tmp_path / "taken")
        rotation.look()
        os.write(file.fileno(), b"new\n")
    assert path.read_text() == "new\n" and (tmp_path / "taken").stat().st_size == 20


def test_where_nothing_can_be_moved_lines_go_on_into_the_file(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    (tmp_path / "part.log.1").mkdir()
    (tmp_path / "part.log.1" / "x").touch()
    with path.open("ab") as file:
        rotation = Rotation(path, (file.fileno(),), most=10, kept=1)
        for _ in range(3):
            os.write(file.fileno(), b"x" * 20 + b"\n")
            rotation.grew(21)
    assert path.read_text() == ("x" * 20 + "\n") * 3


def test_a_program_that_keeps_its_file_open_has_it_copied_aside(tmp_path: Path) -> None:
    path = tmp_path / "haproxy.log"
    with path.open("ab", buffering=0) as file:
        file.write(b"old\n" * 10)
        assert not begun_anew(path, 100)
        file.write(b"old\n" * 20)
        assert begun_anew(path, 100, kept=2)
        file.write(b"new\n")
    assert path.read_bytes() == b"new\n" and (tmp_path / "haproxy.log.1").read_bytes() == b"old\n" * 30
    assert (tmp_path / "haproxy.log.1").stat().st_mode & 0o777 == 0o600


def test_logs_are_their_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    for _ in range(2):
        with appended(path) as file:
            file.write(b"line\n")
    assert path.read_bytes() == b"line\nline\n" and path.stat().st_mode & 0o777 == 0o600
