"""Versions in the order of each packaging system: tables, laws that every order keeps, and the systems' own programs."""

from __future__ import annotations

import shutil
import subprocess
import time
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import InvalidVersion, Version

from longshore.scanner.versions import ORDERS

#: oldest first; what stands in one tuple is equal
SORTED: dict[str, list[tuple[str, ...]]] = {
    "dpkg": [
        ("1.0~~",),
        ("1.0~~a",),
        ("1.0~",),
        ("1.0", "1.0-0", "0:1.0", "1.00"),
        ("1.0-1~deb12u1",),
        ("1.0-1", "1.0-01"),
        ("1.0-1+b1",),
        ("1.0-1+deb12u1",),
        ("1.0-1.1",),
        ("1.0-10",),
        ("1.0a-1",),
        ("1.0+dfsg-1",),
        ("1.0-1-1",),
        ("1.0.1",),
        ("1.2.3",),
        ("1.10",),
        ("2.0",),
        ("1:0.1",),
        ("2:0",),
    ],
    "apk": [
        ("1.0_alpha",),
        ("1.0_alpha2",),
        ("1.0_beta1",),
        ("1.0_pre1",),
        ("1.0_rc1",),
        ("1.0_rc1_p1",),
        ("1.0_rc2",),
        ("1.0", "1.0-r0"),
        ("1.0-r1",),
        ("1.0-r10",),
        ("1.0_git20240101",),
        ("1.0_p1",),
        ("1.0_p1-r1",),
        ("1.0a",),
        ("1.0b",),
        ("1.0.1",),
        ("1.01",),
        ("1.1",),
        ("1.2",),
        ("1.10",),
        ("2",),
        ("10.0",),
    ],
    "rpm": [
        ("1.a-1",),
        ("1.0~rc1-1",),
        ("1.0~rc2-1",),
        ("1.0-0.1",),
        ("1.0-1.el9",),
        ("1.0-1.el9_2",),
        ("1.0-1.1.el9",),
        ("1.0-2",),
        ("1.0-10",),
        ("1.0^git1-1",),
        ("1.0a-1",),
        ("1.0.1-1", "1_0_1-1", "0:1.0.1-1", "1.00.01-1"),
        ("1.2-1",),
        ("1.10-1",),
        ("1:0.1-1",),
    ],
    "pip": [
        ("1.0.dev1", "1.0dev1", "v1.0.dev1"),
        ("1.0a1.dev2",),
        ("1.0a1", "1.0alpha1", "1.0-A.1"),
        ("1.0b1", "1.0beta1"),
        ("1.0rc1", "1.0c1", "1.0.preview1"),
        ("1.0", "1", "1.0.0", "0!1.0"),
        ("1.0+abc",),
        ("1.0+5",),
        ("1.0.post1.dev3",),
        ("1.0.post1", "1.0-1", "1.0.rev1"),
        ("1.0.1",),
        ("1.9",),
        ("1.10",),
        ("2020.1",),
        ("1!0.1",),
    ],
    "npm": [
        ("1.0.0-0",),
        ("1.0.0-1",),
        ("1.0.0-alpha",),
        ("1.0.0-alpha.1",),
        ("1.0.0-alpha.beta",),
        ("1.0.0-beta",),
        ("1.0.0-beta.2",),
        ("1.0.0-beta.11",),
        ("1.0.0-rc.1",),
        ("1.0.0", "v1.0.0", "1.0.0+build.5", "1", "1.0"),
        ("1.0.1",),
        ("1.2.0",),
        ("1.10.0",),
        ("2.0.0",),
    ],
}


@pytest.mark.parametrize("manager", SORTED)
def test_a_table_of_versions_is_in_order(manager: str) -> None:
    compare = ORDERS[manager]
    for older, newer in combinations(SORTED[manager], 2):
        for one in older:
            for other in newer:
                assert compare(one, other) < 0, (one, other)
                assert compare(other, one) > 0, (other, one)
    for same in SORTED[manager]:
        for one in same:
            assert all(compare(one, other) == 0 for other in same), same


_ALPHABET = st.text("01239abrcz.+-~^_:!vd ", max_size=10)
_LIKE_VERSIONS = st.from_regex(
    r"([0-9]:)?[0-9]{1,2}(\.[0-9]{1,2}){0,2}([~^_+-]?(rc|a|p|git|dev|post)[0-9]?)?(-r?[0-9]{1,2})?", fullmatch=True
)
VERSIONS = _ALPHABET | _LIKE_VERSIONS


@pytest.mark.parametrize("manager", ORDERS)
@given(one=VERSIONS, other=VERSIONS, third=VERSIONS)
def test_every_order_is_total_whatever_the_versions_are(manager: str, one: str, other: str, third: str) -> None:
    compare = ORDERS[manager]
    assert compare(one, one) == 0
    forth, back = compare(one, other), compare(other, one)
    assert (forth > 0) == (back < 0)
    assert (forth == 0) == (back == 0)
    if forth <= 0 and compare(other, third) <= 0 and manager != "rpm":  # a missing release matches every release there
        assert compare(one, third) <= 0


@pytest.mark.parametrize("manager", ORDERS)
def test_no_version_is_too_long_to_be_compared(manager: str) -> None:
    long, longer = "1." + "9" * 10_000, "1.1" + "0" * 10_000
    assert ORDERS[manager](long, longer) < 0
    ORDERS[manager]("a-" * 5_000, "_" * 10_000)


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is not here")
def test_debian_versions_compare_as_dpkg_does() -> None:
    versions = [version for same in SORTED["dpkg"] for version in same]
    versions += ["0", "1.0.0~rc1-2", "1.0+~1.1-3", "1.0~+1-1", "9.5.0-1~deb11u1", "1a", "1A", "1z", "1.+", "1.-1", "1:1-1"]
    compare = ORDERS["dpkg"]
    pairs = list(combinations(versions, 2))
    # One shell for all of them: a process each would take longer than all other tests of this module.
    script = "\n".join(f"dpkg --compare-versions '{one}' lt '{other}' && echo 1 || echo 0" for one, other in pairs)
    answers = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=True).stdout.split()
    assert len(answers) == len(pairs)
    for (one, other), less in zip(pairs, answers, strict=True):
        assert (compare(one, other) < 0) is (less == "1"), (one, other)


@given(
    one=st.from_regex(
        r"([1-3]!)?[0-9](\.[0-9]{1,2}){0,3}((a|b|rc)[0-9])?(\.post[0-9])?(\.dev[0-9])?(\+[a-z0-9]{1,2}(\.[a-z0-9])?)?", fullmatch=True
    ),
    other=st.from_regex(r"([1-3]!)?[0-9](\.[0-9]{1,2}){0,3}([-_.]?(alpha|c|pre)[0-9]?)?(-[0-9])?([-_.]?dev[0-9]?)?", fullmatch=True),
)
def test_python_versions_compare_as_the_packaging_library_does(one: str, other: str) -> None:
    try:
        mine, theirs = Version(one), Version(other)
    except InvalidVersion:
        return
    difference = ORDERS["pip"](one, other)
    assert (difference < 0) is (mine < theirs)
    assert (difference == 0) is (mine == theirs)


@pytest.mark.parametrize("order", sorted(ORDERS))
@pytest.mark.parametrize("version", ["1" * 20_000 + "!", "1." * 10_000 + "!", "1-" * 10_000 + "!", " " * 20_000 + "!"])
def test_what_an_image_says_is_a_version_is_read_in_no_time_however_long(order: str, version: str) -> None:
    began = time.perf_counter()
    assert ORDERS[order](version, "1.0") in (-1, 0, 1)
    assert time.perf_counter() - began < 1.0
