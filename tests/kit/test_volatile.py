"""A place in memory for what must lie on no disk."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from longshore.kit.volatile import forget, memory_directory, private_directory

if memory_directory() is None:
    pytest.skip("no file system in memory here", allow_module_level=True)


def test_it_is_this_users_alone_the_same_every_time_and_gone_when_it_is_forgotten(tmp_path: Path) -> None:
    found = private_directory(tmp_path, "keys")
    assert found is not None
    try:
        (found / "key").write_text("secret")
        assert private_directory(tmp_path, "keys") == found
        assert private_directory(tmp_path / "other", "keys") != found
        assert {stat.S_IMODE(each.stat().st_mode) for each in (found, found.parent)} == {0o700}
        beside = private_directory(tmp_path, "more")
        assert beside is not None
        forget(beside)
        assert (found / "key").exists()
    finally:
        forget(found)
    assert not found.parent.exists()


@pytest.mark.parametrize("taken", ["open to others", "a link", "a file"])
def test_what_somebody_else_may_have_put_there_is_not_used(tmp_path: Path, taken: str) -> None:
    found = private_directory(tmp_path, "keys")
    assert found is not None
    forget(found)
    place = found.parent
    try:
        if taken == "a link":
            place.symlink_to(tmp_path)
        elif taken == "a file":
            place.touch()
        else:
            place.mkdir(mode=0o755)
            place.chmod(0o755)
        assert private_directory(tmp_path, "keys") is None
    finally:
        if place.is_symlink() or place.is_file():
            place.unlink()
        else:
            shutil.rmtree(place)


def test_what_was_left_by_an_owner_that_is_gone_is_cleared_away(tmp_path: Path) -> None:
    owner = tmp_path / "gone"
    owner.mkdir()
    left = private_directory(owner, "keys")
    assert left is not None
    owner.rmdir()
    other = private_directory(tmp_path, "keys")
    assert other is not None
    assert not left.exists()
    forget(other)


def test_a_machine_without_such_a_file_system_has_none(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    assert memory_directory(mounts) is None
    mounts.write_text("/dev/sda1 / ext4 rw 0 0\n/dev/sda1 /dev/shm ext4 rw 0 0\n")
    assert memory_directory(mounts) is None
    mounts.write_text("tmpfs /dev/shm tmpfs rw 0 0\n")
    assert memory_directory(mounts) == (Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None)
