"""Layers on top of each other, and archives nobody should send."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.scanner.layers import interest
from longshore.scanner.limits import Budget, Limits, Refused
from longshore.scanner.tar import Archive, normal
from tests.scanner.contents import entries, layer_of, member, reading, tree_of, zstd

STATUS = "var/lib/dpkg/status"


def shown(*layers: bytes) -> dict[str, bytes]:
    return {path: file.content for path, file in tree_of(*layers).files.items()}


# ── layers ──


def test_a_later_layer_replaces_a_file() -> None:
    tree = tree_of(layer_of({STATUS: b"old"}), layer_of({STATUS: b"new"}))
    assert tree.files[STATUS].content == b"new"
    assert tree.files[STATUS].layer == "l1"


def test_only_files_that_tell_of_packages_are_kept() -> None:
    assert shown(layer_of({STATUS: b"s", "usr/bin/sh": b"x" * 1000, "home/METADATA": b"no"})) == {STATUS: b"s"}


@pytest.mark.parametrize(
    "hiding",
    ["var/lib/dpkg/.wh.status", "var/lib/.wh.dpkg", ".wh.var", "var/lib/dpkg/.wh..wh..opq", "var/.wh..wh..opq", ".wh..wh..opq"],
)
def test_whiteouts_hide_what_lower_layers_have(hiding: str) -> None:
    assert shown(layer_of({STATUS: b"s", "etc/os-release": b"o"}), layer_of({hiding: b""})) in ({"etc/os-release": b"o"}, {})
    assert STATUS not in shown(layer_of({STATUS: b"s"}), layer_of({hiding: b""}))


@pytest.mark.parametrize("first", [True, False])
def test_a_whiteout_leaves_its_own_layer_alone_wherever_it_stands(first: bool) -> None:
    ours = {"var/lib/dpkg/status.d/new": b"n"}
    opaque = {"var/lib/dpkg/status.d/.wh..wh..opq": b""}
    files = opaque | ours if first else ours | opaque
    assert shown(layer_of({"var/lib/dpkg/status.d/old": b"o"}), layer_of(files)) == ours


def test_a_file_in_place_of_a_directory_takes_what_was_in_it_along() -> None:
    below = layer_of({STATUS: b"s"})
    assert shown(below, entries((member("var/lib/dpkg"), b"now a file"))) == {}
    assert shown(below, entries(member("var/lib/dpkg", tarfile.SYMTYPE, "elsewhere"))) == {}
    assert shown(entries((member(STATUS), b"s"), member("var/lib", tarfile.SYMTYPE, "x"))) == {}
    assert shown(below, entries(member("var/lib/dpkg", tarfile.DIRTYPE))) == {STATUS: b"s"}
    assert shown(below, entries(member(STATUS, tarfile.DIRTYPE))) == {}


def test_a_name_that_begins_alike_is_another() -> None:
    assert shown(layer_of({STATUS: b"s"}), layer_of({"var/lib/.wh.dpk": b"", "var/lib/dpkg/.wh.status-old": b""})) == {STATUS: b"s"}


def test_hard_links_show_what_they_point_to() -> None:
    link = member("lib/apk/db/installed", tarfile.LNKTYPE, "usr/lib/apk/db/installed")
    found = shown(entries((member("usr/lib/apk/db/installed"), b"P:a"), link))
    assert found["lib/apk/db/installed"] == b"P:a"


def test_a_thousand_whiteouts_and_directories_cost_little() -> None:
    first = {f"usr/lib/python3/p{number}.dist-info/METADATA": b"Name: p" for number in range(3000)}
    second = {f"usr/lib/python3/.wh.p{number}.dist-info": b"" for number in range(3000)}
    assert shown(layer_of(first), layer_of(second)) == {}


@pytest.mark.parametrize("padding", [b"", b"\0" * 700, b"x"])
def test_layers_compressed_in_several_members_or_padded(padding: bytes) -> None:
    plain = entries((member(STATUS), random.Random(3).randbytes(5000)), (member("etc/os-release"), b"o"))
    members = b"".join(gzip.compress(plain[at : at + 1000]) for at in range(0, len(plain), 1000))
    for most in (1, 1000, 1 << 20):
        assert set(tree_of(members + padding, most=most).files) == {STATUS, "etc/os-release"}


@pytest.mark.engine("zstd")
def test_layers_compressed_with_zstd() -> None:
    plain = entries((member(STATUS), random.Random(4).randbytes(3 << 20)), (member("etc/os-release"), b"o"))
    for most in (1000, 1 << 20):
        files = tree_of(zstd(plain), layer_of({"var/lib/dpkg/status.d/a": b"a"}), zstd(entries((member(STATUS), b"new"))), most=most).files
        assert set(files) == {STATUS, "etc/os-release", "var/lib/dpkg/status.d/a"}
        assert files[STATUS].content == b"new"


@pytest.mark.engine("zstd")
def test_damaged_and_explosive_zstd_is_refused() -> None:
    packed = zstd(entries((member(STATUS), random.Random(5).randbytes(1 << 20))))
    assert "not valid zstd" in refusal(packed[: len(packed) // 2])
    assert refusal(packed[:50] + b"x" * 500)
    bomb = zstd(entries((member("zeros"), bytes(32 << 20))), "-3")
    assert len(bomb) < 1 << 16
    assert "when unpacked" in refusal(bomb, limits=Limits(unpacked=16 << 20))
    wide = zstd(bytes(140 << 20), "-1", "--long=28", "--no-check")
    assert "zstd" in refusal(wide)


def test_without_the_program_zstd_layers_are_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "install the program zstd" in refusal(b"\x28\xb5\x2f\xfd" + b"x" * 100)


# ── names ──


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("./var/lib/dpkg/status", STATUS),
        ("/var/lib/dpkg/status", STATUS),
        ("../../../var/lib/dpkg/status", STATUS),
        ("var//lib/./dpkg/x/../status", STATUS),
        ("..", ""),
        ("", ""),
    ],
)
def test_names_stay_inside_the_image(name: str, path: str) -> None:
    assert normal(name) == path


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("var/lib/dpkg/status.d/base", True),
        ("var/lib/dpkg/status.d/base.md5sums", False),
        ("app/node_modules/@scope/name/package.json", True),
        ("app/node_modules/name/lib/package.json", False),
        ("app/package.json", False),
        ("app/package-lock.json", True),
        ("app/node_modules/name/package-lock.json", False),
        ("usr/lib/python3/dist-packages/x-1.dist-info/METADATA", True),
        ("usr/lib/python3/dist-packages/x-1.egg-info/PKG-INFO", True),
        ("x.egg-info", True),
        ("METADATA", False),
    ],
)
def test_which_files_tell_of_packages(path: str, wanted: bool) -> None:
    assert (interest(path) is not None) is wanted


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_read_in_every_form(form: int) -> None:
    path = "x" * 120 + "/" + "y" * 120 + "/z.egg-info"
    assert shown(entries((member(path), b"Name: z"), form=form)) == {path: b"Name: z"}
    assert shown(entries((member("a" * 60 + "/" + "b" * 60 + "/z.egg-info"), b"z"), form=tarfile.USTAR_FORMAT))


@given(
    st.dictionaries(st.from_regex(r"[a-zé]{1,130}(/[a-z]{1,60}){0,3}", fullmatch=True), st.binary(max_size=1500), max_size=5),
    st.sampled_from([0, 1, 2]),
)
def test_archives_are_read_as_the_standard_library_reads_them(files: dict[str, bytes], form: int) -> None:
    try:
        archive = entries(*((member(name), content) for name, content in files.items()), form=form)
    except ValueError:
        return  # a name that the form cannot hold
    with tarfile.open(fileobj=io.BytesIO(archive)) as theirs:
        expected = [(normal(each.name), each.size) for each in theirs]
    assert [(each.path, each.size) for each in Archive(reading(archive, 700), Budget(Limits()), "it")] == expected


# ── what nobody should send ──


def refusal(*layers: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(Refused) as caught:
        tree_of(*layers, limits=limits)
    return str(caught.value)


@pytest.mark.parametrize("keep", [1, 10, 300, 600, 1100])
def test_a_layer_that_ends_early_is_refused(keep: int) -> None:
    plain = entries((member(STATUS), b"s" * 600))
    assert "ends in the middle" in refusal(plain[:keep]) or keep < 512
    packed = gzip.compress(plain)
    assert "l0" in refusal(packed[: len(packed) // 2])


def test_every_cut_of_a_layer_is_refused_or_shows_less() -> None:
    whole = layer_of({STATUS: random.Random(1).randbytes(3000), "etc/os-release": b"o"})
    for keep in range(0, len(whole) - 1, 97):
        try:
            found = shown(whole[:keep])
        except Refused:
            continue
        assert found == {}, keep  # nothing at all came


def test_what_is_no_archive_is_refused() -> None:
    assert "not a tar archive" in refusal(random.Random(2).randbytes(4096))
    assert "gzip" in refusal(b"\x1f\x8b" + b"nonsense" * 100)


@pytest.mark.parametrize(("magic", "name"), [(b"BZh91AY", "bzip2"), (b"\xfd7zXZ\0", "xz")])
def test_compressions_that_cannot_be_read_are_named(magic: bytes, name: str) -> None:
    assert f"compressed with {name}, which cannot be read here" in refusal(magic + b"\0" * 100)


def test_a_bomb_goes_off_within_bounds() -> None:
    zeros = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = zeros.compress(entries((member("bomb"), b""))[:512])
    header = bytearray(entries((member("bomb"), b""))[:512])
    header[124:136] = b"77777777777\0"
    header[148:156] = b"        "
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    zeros = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = zeros.compress(bytes(header)) + b"".join(zeros.compress(bytes(1 << 20)) for _ in range(64)) + zeros.flush()
    assert len(bomb) < 1 << 17
    assert "more than 16777216 bytes when unpacked" in refusal(bomb, limits=Limits(unpacked=16 << 20))


def test_entries_without_end_are_refused() -> None:
    many = gzip.compress(entries(*(member(f"d{number}", tarfile.DIRTYPE) for number in range(200))))
    assert "more than 100 entries" in refusal(many, limits=Limits(entries=100))
    links = entries(*(member(f"{number}.egg-info", tarfile.REGTYPE) for number in range(60)))
    assert "more than 50 files" in refusal(links, limits=Limits(files=50))


def test_more_files_of_interest_than_memory_are_refused() -> None:
    files = layer_of({f"{number}.egg-info": b"x" * 50_000 for number in range(100)})
    assert "more than 1000000 bytes" in refusal(files, limits=Limits(kept=1_000_000))
    assert "more than is looked at" in refusal(layer_of({STATUS: b"x" * 2_000_000}), limits=Limits(kept_each=1 << 20))


def damaged(at: int, content: bytes) -> bytes:
    """An archive whose first header has `content` at `at`, and a checksum that says so."""
    archive = bytearray(entries((member(STATUS), b"s")))
    archive[at : at + len(content)] = content
    archive[148:156] = b" " * 8
    archive[148:156] = f"{sum(archive[:512]):06o}\0 ".encode()
    return bytes(archive)


@pytest.mark.parametrize(
    ("at", "content"),
    [
        (124, b"\xff" * 12),  # a negative size
        (124, b"\x80" + b"\xff" * 11),  # an enormous one
        (124, b"nonsense\0\0\0\0"),
        (124, b"77777777777\0"),  # 8 GiB that never come
    ],
)
def test_impossible_sizes_are_refused(at: int, content: bytes) -> None:
    assert refusal(damaged(at, content))


def test_large_extended_headers_are_refused() -> None:
    huge = entries(member("x" * 900_000 + ".egg-info"))
    assert "path of" in refusal(huge)
    for record in (b"5 a=", b"999 path=x\n", b"-5 path=x\n", b"99999999999999999999 p=x\n", b"x path=y\n"):
        header = bytearray(damaged(156, b"x")[:512])
        header[124:136] = f"{len(record):011o}\0".encode()
        header[148:156] = b" " * 8
        header[148:156] = f"{sum(header):06o}\0 ".encode()
        assert "damaged extended header" in refusal(bytes(header) + record.ljust(512, b"\0") + bytes(1024)), record


@given(st.binary(max_size=2000), st.integers(0, 511), st.binary(min_size=1, max_size=12))
def test_noise_is_refused_or_read_and_nothing_else(noise: bytes, at: int, bit: bytes) -> None:
    for layer in (noise, damaged(min(at, 500), bit), gzip.compress(damaged(min(at, 500), bit))):
        try:
            tree_of(layer, limits=Limits(unpacked=1 << 20, entries=1000))
        except Refused as refused:
            assert "l0" in str(refused) or "the layers" in str(refused) or STATUS in str(refused)
