"""The short way to a directory with a long name: there while it is needed, gone afterwards, and nobody else's."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest

from longshore.balancer.files import make_sure_of, places_in, prepare, release
from longshore.kit.volatile import memory_directory


@pytest.fixture(autouse=True)
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where links are made."""
    where = tmp_path / "links"
    where.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(where))
    return where


def long(tmp_path: Path, name: str = "x") -> Path:
    return tmp_path / (name * 100) / "haproxy"


def test_a_short_name_needs_no_link(links: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        directory = Path(short, "h")
        places = places_in(directory)
        prepare(places, directory)
        release(places, directory)
        assert places.directory == str(directory) and directory.is_dir()
    assert not list(links.iterdir())


def test_a_long_name_has_a_link_until_it_is_released(tmp_path: Path, links: Path) -> None:
    directory = long(tmp_path)
    places = places_in(directory)
    secret = prepare(places, directory)
    assert os.readlink(places.directory) == str(directory) and [str(link) for link in links.iterdir()] == [places.directory]
    assert prepare(places, directory) == secret  # whoever takes a running HAProxy over
    release(places, directory)
    release(places, directory)
    assert not list(links.iterdir()) and (directory / "secret").exists()


def test_links_that_lead_nowhere_go_with_the_next_start_and_others_stay(tmp_path: Path, links: Path) -> None:
    ours = f"longshore-{os.geteuid()}-"
    (links / f"{ours}0123456789ab").symlink_to(tmp_path / "removed")
    (links / f"{ours}ba9876543210").symlink_to(tmp_path)
    (links / f"{ours}file").write_text("")
    (links / "longshore-somebody-0123456789ab").symlink_to(tmp_path / "removed")
    places = places_in(long(tmp_path))
    prepare(places, long(tmp_path))
    found = {link.name for link in links.iterdir()}
    assert found == {f"{ours}ba9876543210", f"{ours}file", "longshore-somebody-0123456789ab", Path(places.directory).name}


def test_what_somebody_else_put_there_is_neither_followed_nor_removed(tmp_path: Path, links: Path) -> None:
    places = places_in(long(tmp_path))
    Path(places.directory).symlink_to(links)
    with pytest.raises(OSError, match="somebody else's"):
        prepare(places, long(tmp_path))
    release(places, long(tmp_path))
    assert os.readlink(places.directory) == str(links)


@pytest.mark.skipif(memory_directory() is None, reason="no file system in memory here")
@pytest.mark.parametrize("name", ["h", "x" * 100])
def test_what_the_system_clears_away_in_memory_comes_again_as_private_and_goes_in_the_end(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name / "haproxy"
    places = places_in(directory)
    prepare(places, directory)
    held = Path(os.path.realpath(places.bodies)).parent.parent
    shutil.rmtree(held)
    before = os.umask(0o022)
    try:
        for place in (places.bodies, places.certificates):
            make_sure_of(place)
            assert Path(place).is_dir() and Path(os.path.realpath(place)).parent.parent == held
    finally:
        os.umask(before)
    assert {stat.S_IMODE(each.stat().st_mode) for each in (held, *held.rglob("*")) if each.is_dir()} == {0o700}
    release(places, directory)
    assert not held.exists()
