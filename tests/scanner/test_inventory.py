"""Which packages are read out of which databases, and that this machine's own are read as its own program does."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.scanner.inventory import packages_of
from longshore.scanner.inventory.rpm import header_values
from longshore.scanner.layers import File
from longshore.scanner.limits import Limits, Refused
from longshore.scanner.report import Distribution, Package
from tests.scanner.contents import apk_installed, dpkg_status, metadata, rpm_database, rpm_header, rpm_package


def packages(files: dict[str, bytes]) -> tuple[Package, ...]:
    return packages_of({path: File(content, len(content), "l0") for path, content in files.items()}, Limits())[1]


def found(files: dict[str, bytes]) -> list[tuple[str, str, str]]:
    return [(package.manager, package.name, package.version) for package in packages(files)]


def test_debian_packages_with_what_they_were_built_from() -> None:
    (package,) = packages({"var/lib/dpkg/status": dpkg_status(("libssl3", "3.0.1-1+b1"), source="openssl (3.0.1-1)")})
    assert (package.source, package.source_version, package.arch) == ("openssl", "3.0.1-1", "amd64")
    assert (package.path, package.layer) == ("var/lib/dpkg/status", "l0")


@pytest.mark.parametrize(
    ("status", "installed"),
    [
        ("install ok installed", True),
        ("hold ok installed", True),
        ("deinstall ok config-files", False),
        ("install ok half-installed", False),
        ("install ok unpacked", False),
    ],
)
def test_only_what_is_installed_counts(status: str, installed: bool) -> None:
    content = dpkg_status(("a", "1")).replace(b"install ok installed", status.encode())
    assert bool(found({"var/lib/dpkg/status": content})) is installed


def test_a_package_without_version_is_none() -> None:
    assert found({"var/lib/dpkg/status": dpkg_status(("a", "1")).replace(b"Version: 1", b"Version:")}) == []
    assert found({"var/lib/dpkg/status": dpkg_status(("a", "1")).replace(b"Version: 1", b"X: 1")}) == []
    assert found({"lib/apk/db/installed": b"P:a\n\nV:1\n"}) == []


def test_debian_packages_without_dpkg() -> None:
    content = b"Package: base\nVersion: 12\nArchitecture: amd64\n"
    assert found({"var/lib/dpkg/status.d/base": content}) == [("dpkg", "base", "12")]


@pytest.mark.parametrize("path", ["lib/apk/db/installed", "usr/lib/apk/db/installed"])
def test_alpine_packages(path: str) -> None:
    (package,) = packages({path: apk_installed(("libcrypto3", "3.1.4-r0", "openssl"))})
    assert (package.manager, package.name, package.version, package.source) == ("apk", "libcrypto3", "3.1.4-r0", "openssl")


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_rpm_packages(journal: str) -> None:
    database = rpm_database(
        rpm_package("bash", "5.1.8", "6.el9_1"),
        rpm_package("tar", "1.34", "6.el9", epoch=2),
        rpm_package("gpg-pubkey", "1", "2"),
        journal=journal,
    )
    assert found({"var/lib/rpm/rpmdb.sqlite": database}) == [("rpm", "bash", "5.1.8-6.el9_1"), ("rpm", "tar", "2:1.34-6.el9")]
    assert packages({"usr/lib/sysimage/rpm/rpmdb.sqlite": database})[0].source == "bash"


def test_a_database_that_rpm_itself_made() -> None:
    """Of rpm 4.18, with two packages built for this test; it lists them as `quay-libs|2|3.1~rc1-4.el9_2` and `bare|0|1.0^git5-4.el9_2`."""
    database = gzip.decompress(Path(__file__).with_name("rpmdb.sqlite.gz").read_bytes())
    assert found({"usr/lib/sysimage/rpm/rpmdb.sqlite": database}) == [
        ("rpm", "bare", "1.0^git5-4.el9_2"),
        ("rpm", "quay-libs", "2:3.1~rc1-4.el9_2"),
    ]


@pytest.mark.parametrize(("path", "named"), [("var/lib/rpm/Packages", "Berkeley DB"), ("usr/lib/sysimage/rpm/Packages.db", "ndb")])
def test_older_rpm_databases_are_refused_by_name(path: str, named: str) -> None:
    files = {path: File(b"", 4096, "l0")}
    with pytest.raises(Refused, match=named):
        packages_of(files, Limits())
    beside = {**files, "var/lib/rpm/rpmdb.sqlite": File(rpm_database(rpm_package("a", "1", "1")), 1, "l0")}
    assert len(packages_of(beside, Limits())[1]) == 1


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + b"\xff" * 4096, rpm_database(b"")[:5000], b"nonsense"])
def test_a_damaged_rpm_database_is_refused(content: bytes) -> None:
    with pytest.raises(Refused, match=r"rpmdb.sqlite cannot be read"):
        packages({"var/lib/rpm/rpmdb.sqlite": content})


@given(st.binary(max_size=200), st.integers(0, 100))
def test_damaged_headers_tell_what_they_can(noise: bytes, cut: int) -> None:
    wanted = frozenset({1000, 1001, 1003})
    header_values(noise, wanted)
    whole = rpm_header([(1000, "name"), (1001, "1"), (1003, 7)])
    assert set(header_values(whole[:cut], wanted).items()) <= {(1000, "name"), (1000, "n"), (1001, "1"), (1003, 7)} | {
        (1000, "name"[:length]) for length in range(5)
    }


@pytest.mark.parametrize("path", ["a/Flask_X-1.0.dist-info/METADATA", "a/Flask_X.egg-info/PKG-INFO", "a/Flask_X-1.0.egg-info"])
def test_python_packages_by_their_normalised_name(path: str) -> None:
    assert found({path: metadata("Flask_X", "1.0")}) == [("pip", "flask-x", "1.0")]
    assert found({path: metadata("Flask.X", "1.0").replace(b"\n", b"\r\n")}) == [("pip", "flask-x", "1.0")]


@pytest.mark.parametrize(
    ("database", "path", "owned"),
    [
        ("var/lib/dpkg/status", "usr/lib/python3/dist-packages/buoy-1.2.egg-info/PKG-INFO", True),
        ("var/lib/dpkg/status", "usr/lib/python3.11/dist-packages/buoy-1.2.dist-info/METADATA", True),
        ("var/lib/dpkg/status", "usr/local/lib/python3.11/dist-packages/buoy-1.2.dist-info/METADATA", False),
        ("var/lib/dpkg/status", "opt/venv/lib/python3.11/site-packages/buoy-1.2.dist-info/METADATA", False),
        ("var/lib/dpkg/status.d/base", "usr/lib/python3/dist-packages/buoy-1.2.egg-info/PKG-INFO", True),
        ("etc/os-release", "usr/lib/python3/dist-packages/buoy-1.2.egg-info/PKG-INFO", False),
        ("var/lib/rpm/rpmdb.sqlite", "usr/lib/python3.9/site-packages/buoy-1.2.dist-info/METADATA", True),
        ("var/lib/rpm/rpmdb.sqlite", "usr/local/lib/python3.9/site-packages/buoy-1.2.dist-info/METADATA", False),
        ("lib/apk/db/installed", "usr/lib/python3.11/site-packages/buoy-1.2.dist-info/METADATA", True),
        ("lib/apk/db/installed", "usr/lib/python3.11/site-packages/other-1.2.dist-info/METADATA", False),
    ],
)
def test_what_a_distribution_brought_along_is_its_own_affair(database: str, path: str, owned: bool) -> None:
    """It mends what it ships without changing the version: upstream's records would blame it for ever."""
    files = b"P:py3-buoy\nV:1.2-r0\nF:usr/lib/python3.11/site-packages/buoy-1.2.dist-info\nR:METADATA\nR:WHEEL\n"
    contents = {"var/lib/rpm/rpmdb.sqlite": rpm_database(), "lib/apk/db/installed": files}
    names = [
        each.name for each in packages({database: contents.get(database, b""), path: metadata("buoy", "1.2")}) if each.manager == "pip"
    ]
    assert names == ([] if owned else ["buoy"])


def test_npm_packages_that_are_unpacked() -> None:
    files = {
        "app/node_modules/left-pad/package.json": b'{"name": "left-pad", "version": "1.3.0", "dependencies": {}}',
        "app/node_modules/@babel/core/package.json": b'{"name": "@babel/core", "version": "7.0.0"}',
        "app/node_modules/left-pad/node_modules/deep/package.json": b'{"name": "deep", "version": "2.0.0"}',
        "app/node_modules/broken/package.json": b'{"name": "broken", "version": ',
        "app/node_modules/odd/package.json": b'{"name": "odd", "version": 7}',
        "app/package-lock.json": b'{"packages": {"node_modules/not-there": {"version": "9.9.9"}}}',
    }
    assert found(files) == [("npm", "@babel/core", "7.0.0"), ("npm", "deep", "2.0.0"), ("npm", "left-pad", "1.3.0")]


def test_npm_packages_that_only_a_lock_names() -> None:
    second = {"": {"name": "app"}, "node_modules/a": {"version": "1.0.0"}, "node_modules/a/node_modules/@s/b": {"version": "2.0.0"}}
    third = {**second, "node_modules/here": {"link": True, "version": "1.0.0"}}
    assert found({"app/package-lock.json": json.dumps({"packages": third}).encode()}) == [("npm", "@s/b", "2.0.0"), ("npm", "a", "1.0.0")]
    first = {"a": {"version": "1.0.0", "dependencies": {"b": {"version": "2.0.0"}}}, "git": {"version": "git+ssh://x"}}
    assert found({"package-lock.json": json.dumps({"dependencies": first}).encode()}) == [("npm", "a", "1.0.0"), ("npm", "b", "2.0.0")]


def test_deep_and_wrong_json_is_no_package() -> None:
    deep = b'{"dependencies": {"a":' * 5000
    assert found({"package-lock.json": deep, "node_modules/a/package.json": b"[" * 100_000}) == []
    assert found({"package-lock.json": b"[1]", "node_modules/a/package.json": b"\xff\xfe"}) == []


@pytest.mark.parametrize(
    ("content", "distribution"),
    [
        (b'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\n', Distribution("debian", "12", "Debian GNU/Linux 12", "")),
        (b'ID=\'alpine\'\nVERSION_ID=3.18.4\nNAME="A \\"L\\""\n', Distribution("alpine", "3.18.4", 'A "L"', "")),
        (b"\xff\xfe\n# ID=no\n=x\nid=no\n", Distribution()),
    ],
)
def test_the_distribution(content: bytes, distribution: Distribution) -> None:
    files = {"usr/lib/os-release": File(content, len(content), "l0")}
    assert packages_of(files, Limits())[0] == distribution
    etc = {**files, "etc/os-release": File(b"ID=other", 8, "l0")}
    assert packages_of(etc, Limits())[0].id == "other"


@given(content=st.binary(max_size=300))
def test_no_database_of_packages_is_trusted_to_be_one(content: bytes) -> None:
    paths = [
        "var/lib/dpkg/status",
        "lib/apk/db/installed",
        "x.egg-info",
        "node_modules/a/package.json",
        "package-lock.json",
        "etc/os-release",
    ]
    packages(dict.fromkeys(paths, content))


def test_names_and_versions_are_no_longer_than_sane_ones() -> None:
    (package,) = packages({"var/lib/dpkg/status": dpkg_status(("a" * 10_000, "1" * 10_000))})
    assert len(package.name) == len(package.version) == 256
    with pytest.raises(Refused, match="more than 2 packages"):
        files = {"var/lib/dpkg/status": File(dpkg_status(("a", "1"), ("b", "1"), ("c", "1")), 1, "")}
        packages_of(files, Limits(packages=2))


@pytest.mark.engine("dpkg-query")
def test_this_machines_packages_are_read_as_dpkg_reads_them() -> None:
    shown = "${db:Status-Abbrev}|${binary:Package}|${Version}|${Architecture}|${source:Package}|${source:Version}\n"
    listed = subprocess.run(["dpkg-query", "-W", "-f", shown], capture_output=True, text=True, check=True).stdout.splitlines()
    expected = {tuple(line.split("|")[1:]) for line in listed if line.startswith("ii ")}
    expected = {(name.partition(":")[0], *rest) for name, *rest in expected}
    ours = {
        (each.name, each.version, each.arch, each.source or each.name, each.source_version or each.version)
        for each in packages({"var/lib/dpkg/status": Path("/var/lib/dpkg/status").read_bytes()})
    }
    assert ours == expected
    assert len(ours) > 50
