"""Files for what passes through: read in any part, and not to be read on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.kit.scratch import ScratchFile


@given(
    pieces=st.lists(st.binary(max_size=100), max_size=8), reads=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 900)), max_size=8)
)
def test_what_was_appended_is_read_from_anywhere(pieces: list[bytes], reads: list[tuple[int, int]]) -> None:
    file = ScratchFile()
    for piece in pieces:
        file.append(piece)
    whole = b"".join(pieces)
    assert file.read(len(whole) + 1, 0) == whole
    for count, at in reads:
        assert file.read(count, at) == whole[at : at + count]
    file.close()


def test_it_has_no_name_and_nothing_of_it_is_on_the_disk_in_plain(tmp_path: Path) -> None:
    file = ScratchFile(tmp_path)
    file.append(b"confidential" * 100)
    assert list(tmp_path.iterdir()) == []
    assert b"confidential" not in os.pread(file._file.fileno(), 2000, 0)
    file.close()


def test_two_files_hide_the_same_content_differently() -> None:
    one, other = ScratchFile(), ScratchFile()
    for file in (one, other):
        file.append(bytes(64))
    assert os.pread(one._file.fileno(), 64, 0) != os.pread(other._file.fileno(), 64, 0)
    for file in (one, other):
        file.close()


def test_where_there_is_no_room_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        ScratchFile(tmp_path / "absent")
