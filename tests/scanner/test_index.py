"""The index made of an operator's records: of every form they come in, whatever stands between them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from longshore.scanner.builtin import stamp_of
from longshore.scanner.index import Index, Unusable, build
from tests.scanner.records import TINY, database, fixed_in, record


def names(path: Path, ecosystem: str, package: str) -> list[str]:
    index = Index(path)
    try:
        return sorted(advisory.id for advisory in index.about(ecosystem, package))
    finally:
        index.close()


def forms(tmp_path: Path) -> dict[str, Path]:
    directory = tmp_path / "directory" / "nested"
    directory.mkdir(parents=True)
    for each in TINY:
        (directory / f"{each['id'].replace(':', '-')}.json").write_text(json.dumps(each))
    (directory / "README.md").write_text("not a record")
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        for each in TINY:
            made.writestr(f"{each['id']}.json", json.dumps(each))
    listed = tmp_path / "list.json"
    listed.write_text(json.dumps(TINY))
    zips = tmp_path / "zips"
    zips.mkdir()
    (zips / "all.zip").write_bytes(archive.read_bytes())
    return {"directory": tmp_path / "directory", "zip": archive, "lines": database(tmp_path / "l.jsonl"), "list": listed, "zips": zips}


@pytest.mark.parametrize("form", ["directory", "zip", "lines", "list", "zips"])
def test_records_are_found_in_every_form(tmp_path: Path, form: str) -> None:
    target = tmp_path / "index.sqlite"
    summary = build(forms(tmp_path)[form], target, "s1")
    assert (summary.records, summary.skipped) == (len(TINY), 0)
    assert names(target, "Debian:12", "harbourlib") == ["DEBIAN-CVE-2099-0001", "DEBIAN-CVE-2099-0002"]
    assert names(target, "PyPI", "buoy") == ["GHSA-aaaa-bbbb-cccc", "PYSEC-2099-4"]
    assert names(target, "Debian:12", "other") == []
    index = Index(target)
    assert index.covers("Alpine:v3.18")
    assert not index.covers("Alpine:v3.19")
    assert (index.stamp, index.updated_at) == ("s1", 1709251200.0)
    index.close()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_is_no_record_is_counted_and_the_rest_used(tmp_path: Path) -> None:
    source = tmp_path / "l.jsonl"
    good = json.dumps(record("CVE-2099-1234", "npm", "p", *fixed_in("2")))
    source.write_bytes(
        b"\n".join([b"not json", b'{"id": 7}', b'{"no": "id"}', b"\xff\xfe", b"[" * 5000, good.encode(), b"", b'{"id": "empty"}'])
    )
    summary = build(source, tmp_path / "i.sqlite", "s")
    assert (summary.records, summary.skipped) == (2, 5)
    assert names(tmp_path / "i.sqlite", "npm", "p") == ["CVE-2099-1234"]


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"PK\x03\x04nonsense"])
def test_what_holds_no_records_is_unusable(tmp_path: Path, content: bytes) -> None:
    for name in ("x.jsonl", "x.zip", "x.json"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Unusable, match=name):
            build(tmp_path / name, tmp_path / "i.sqlite", "s")
    assert not (tmp_path / "i.sqlite").exists()
    with pytest.raises(Unusable, match="cannot be read"):
        build(tmp_path / "absent", tmp_path / "i.sqlite", "s")


def test_a_damaged_index_is_unusable(tmp_path: Path) -> None:
    for content in (b"", b"nonsense" * 1000):
        (tmp_path / "i.sqlite").write_bytes(content)
        with pytest.raises(Unusable):
            Index(tmp_path / "i.sqlite")


def test_the_stamp_changes_with_the_files(tmp_path: Path) -> None:
    source = tmp_path / "db"
    source.mkdir()
    database(source / "a.jsonl")
    first = stamp_of(source)
    assert stamp_of(source) == first
    database(source / "a.jsonl", *TINY[:2])
    second = stamp_of(source)
    database(source / "b.jsonl")
    assert len({first, second, stamp_of(source)}) == 3
    (source / "README").write_text("of no interest")
    third = stamp_of(source)
    assert third == stamp_of(source)
    with pytest.raises(OSError):
        stamp_of(tmp_path / "absent")
