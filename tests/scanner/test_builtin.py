"""The built-in scanner with its real process: what it finds in images, and what happens when images, databases or processes are bad."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longshore.scanner.builtin import BuiltIn
from longshore.scanner.limits import Limits
from longshore.scanner.report import Report
from longshore.scanner.seam import BlobRef, ImageSource
from tests.engines import tar_of
from tests.scanner.contents import (
    ALPINE,
    OS_RELEASE,
    ROCKY,
    apk_installed,
    dpkg_status,
    entries,
    layer_of,
    member,
    metadata,
    rpm_database,
    rpm_package,
    zstd,
)
from tests.scanner.records import TINY, database, record

STATUS = "var/lib/dpkg/status"
DEBIAN = {"etc/os-release": OS_RELEASE, STATUS: dpkg_status(("libharbour", "1.0-1"), source="harbourlib")}


def image(*layers: bytes, broken: bool = False) -> ImageSource:
    by_digest = {f"sha256:{number:064}": layer for number, layer in enumerate(layers)}

    async def read(blob: BlobRef) -> AsyncIterator[bytes]:
        content = by_digest[blob.digest]
        for at in range(0, len(content), 70_000):
            yield content[at : at + 70_000]
        if broken:
            raise OSError(5, "the disk is broken")

    refs = tuple(BlobRef(digest, len(layer)) for digest, layer in by_digest.items())
    return ImageSource(digest="sha256:" + "a" * 64, media_type="", manifest=b"", config=None, layers=refs, read=read)


def workers() -> list[str]:
    """Scanning processes of this one that still run."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [pid for pid in children if b"longshore.scanner.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.fixture
def scanner(tmp_path: Path) -> BuiltIn:
    return BuiltIn(tmp_path / "scanner", database(tmp_path / "osv.jsonl"))


def findings(report: Report) -> list[tuple[str, str, str]]:
    return [(each.name, each.package, each.version) for each in report.findings]


async def test_an_image_of_several_distributions_tools_and_layers(scanner: BuiltIn) -> None:
    files = {"usr/lib/python3/buoy-1.2.dist-info/METADATA": metadata("Buoy", "1.2")}
    node = {"app/node_modules/anchor-chain/package.json": b'{"name": "anchor-chain", "version": "4.0.0"}'}
    report = await scanner.scan(image(layer_of(DEBIAN), layer_of(files), layer_of(node)))
    assert not report.failure
    assert report.distribution.id == "debian"
    assert findings(report) == [
        ("CVE-2099-0001", "harbourlib", "1.0-1"),
        ("GHSA-dddd-eeee-ffff", "anchor-chain", "4.0.0"),
        ("CVE-2099-0002", "harbourlib", "1.0-1"),
        ("CVE-2099-0004", "buoy", "1.2"),
    ]
    assert report.findings[1].layer == f"sha256:{2:064}"
    assert report.database_updated_at == 1709251200.0


async def test_other_distributions(scanner: BuiltIn) -> None:
    alpine = layer_of({"etc/os-release": ALPINE, "lib/apk/db/installed": apk_installed(("libpier", "1.2.3-r3", "pierlib"))})
    assert findings(await scanner.scan(image(alpine))) == [("CVE-2099-0003", "pierlib", "1.2.3-r3")]
    rocky = layer_of({"etc/os-release": ROCKY, "var/lib/rpm/rpmdb.sqlite": rpm_database(rpm_package("quay", "3.1", "1.el9"))})
    assert findings(await scanner.scan(image(rocky))) == [("RLSA-2099:1", "quay", "3.1-1.el9")]


async def test_a_later_layer_that_updates_or_removes_a_package(scanner: BuiltIn) -> None:
    updated = layer_of({STATUS: dpkg_status(("libharbour", "2.0-1"), source="harbourlib")})
    report = await scanner.scan(image(layer_of(DEBIAN), updated))
    assert (findings(report), report.failure) == ([], "")
    assert report.packages[0].version == "2.0-1"
    python = layer_of({"opt/buoy-1.2.dist-info/METADATA": metadata("buoy", "1.2")})
    gone = layer_of({"opt/.wh.buoy-1.2.dist-info": b""})
    assert ("CVE-2099-0004", "buoy", "1.2") in findings(await scanner.scan(image(layer_of(DEBIAN), python)))
    assert ("CVE-2099-0004", "buoy", "1.2") not in findings(await scanner.scan(image(layer_of(DEBIAN), python, gone)))


@pytest.mark.engine("zstd")
async def test_layers_compressed_with_zstd(scanner: BuiltIn) -> None:
    python = layer_of({"opt/buoy-1.2.dist-info/METADATA": metadata("buoy", "1.2")})
    report = await scanner.scan(image(zstd(tar_of(DEBIAN)), python))
    assert (len(report.findings), report.failure) == (3, "")


async def test_without_a_database_the_packages_are_known_and_nothing_is_said_of_them(tmp_path: Path) -> None:
    scanner = BuiltIn(tmp_path / "scanner", None)
    report = await scanner.scan(image(layer_of(DEBIAN)))
    assert "--vulnerability-database" in report.failure
    assert (len(report.packages), report.findings) == (1, ())


async def test_a_database_that_is_not_there_or_no_database_is_named(tmp_path: Path) -> None:
    absent = BuiltIn(tmp_path / "scanner", tmp_path / "absent")
    assert await absent.refresh() == ""
    report = await absent.scan(image(layer_of(DEBIAN)))
    assert f"{tmp_path / 'absent'} cannot be read" in report.failure
    (tmp_path / "nonsense.jsonl").write_text("nonsense\n")
    nonsense = BuiltIn(tmp_path / "scanner", tmp_path / "nonsense.jsonl")
    assert "no records in the OSV format" in (await nonsense.scan(image(layer_of(DEBIAN)))).failure


async def test_a_database_that_changes_is_read_again(tmp_path: Path) -> None:
    source = database(tmp_path / "osv.jsonl", TINY[1])
    scanner = BuiltIn(tmp_path / "scanner", source)
    first = await scanner.refresh()
    assert [name for name, _, _ in findings(await scanner.scan(image(layer_of(DEBIAN))))] == ["CVE-2099-0002"]
    database(source, *TINY)
    second = await scanner.refresh()
    assert second not in ("", first)
    report = await scanner.scan(image(layer_of(DEBIAN)))
    assert (len(report.findings), report.database_stamp) == (2, second)
    assert len(list((tmp_path / "scanner").glob("*.sqlite"))) == 1, "the earlier index is gone"
    again = BuiltIn(tmp_path / "scanner", source)
    made = next((tmp_path / "scanner").glob("*.sqlite")).stat().st_mtime_ns
    assert await again.refresh() == second
    assert next((tmp_path / "scanner").glob("*.sqlite")).stat().st_mtime_ns == made, "a restart makes no index anew"


async def test_a_database_that_went_bad_leaves_the_one_before_in_use(tmp_path: Path) -> None:
    source = database(tmp_path / "osv.jsonl")
    scanner = BuiltIn(tmp_path / "scanner", source)
    first = await scanner.refresh()
    source.write_text("nonsense\n")
    assert await scanner.refresh() == first
    report = await scanner.scan(image(layer_of(DEBIAN)))
    assert len(report.findings) == 2
    assert any("an earlier database was used" in note for note in report.notes)


async def test_an_image_without_anything_known_is_unsupported(scanner: BuiltIn) -> None:
    report = await scanner.scan(image(layer_of({"app": b"static binary"})))
    assert report.unsupported
    assert (await scanner.scan(image())).unsupported


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (layer_of(DEBIAN)[:100], "ends in the middle"),
        (b"nonsense" * 200, "not a tar archive"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 100, "zstd"),
        (layer_of({STATUS: b"", "etc/os-release": OS_RELEASE, "var/lib/rpm/rpmdb.sqlite": b"nonsense"}), "rpmdb.sqlite cannot be read"),
    ],
)
async def test_what_cannot_be_read_ends_in_words(scanner: BuiltIn, layer: bytes, words: str) -> None:
    report = await scanner.scan(image(layer))
    assert words in report.failure
    assert report.findings == ()


async def test_a_bomb_is_put_out_by_the_process_limits(tmp_path: Path) -> None:
    zeros = gzip.compress(entries((member("zeros"), bytes(64 << 20))), 1)
    small = BuiltIn(tmp_path / "s", database(tmp_path / "osv.jsonl"), limits=Limits(unpacked=32 << 20))
    assert "more than 33554432 bytes when unpacked" in (await small.scan(image(zeros))).failure
    # Many databases of packages at once, in less memory than they need.
    full = tar_of({f"var/lib/dpkg/status.d/{number}": bytes(1 << 20) for number in range(120)})
    tight = BuiltIn(tmp_path / "t", None, limits=Limits(memory=128 << 20))
    assert "memory" in (await tight.scan(image(full))).failure


async def test_a_scan_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    scanner = BuiltIn(tmp_path / "s", None, scan_timeout_s=0.01)
    assert "not finished after" in (await scanner.scan(image(layer_of(DEBIAN)))).failure
    worker = BuiltIn(tmp_path / "s", None, limits=Limits(cpu_s=0))
    assert "processor time" in (await worker.scan(image(gzip.compress(entries((member("zeros"), bytes(256 << 20))), 1)))).failure


async def test_an_error_of_the_disk_is_the_callers_and_leaves_no_process(scanner: BuiltIn) -> None:
    with pytest.raises(OSError, match="the disk is broken"):
        await scanner.scan(image(layer_of(DEBIAN), broken=True))
    assert workers() == []


async def test_a_scan_that_is_cancelled_takes_its_process_along(scanner: BuiltIn) -> None:
    await scanner.refresh()
    waiting = asyncio.Event()

    async def read(blob: BlobRef) -> AsyncIterator[bytes]:
        yield b"\x1f\x8b"
        waiting.set()
        await asyncio.Event().wait()

    source = ImageSource(digest="", media_type="", manifest=b"", config=None, layers=(BlobRef("sha256:x", 9),), read=read)
    job = asyncio.create_task(scanner.scan(source))
    await waiting.wait()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert workers() == []


async def test_records_of_a_vulnerability_in_no_package_here_find_nothing(tmp_path: Path) -> None:
    scanner = BuiltIn(tmp_path / "s", database(tmp_path / "o.jsonl", record("CVE-2099-1", "Debian:12", "other", versions=("1",))))
    report = await scanner.scan(image(layer_of(DEBIAN)))
    assert (report.failure, report.findings) == ("", ())
