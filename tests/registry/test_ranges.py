"""Range headers, as they are written and as nobody writes them."""

from __future__ import annotations

import time

import pytest

from longshore.registry.ranges import requested_range


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-9", (0, 9)),
        ("bytes= 5 - ", (5, 99)),
        ("bytes= - 10 ", (90, 99)),
        ("bytes=5 5-9", None),
        ("bytes=-", None),
        ("bytes= - ", None),
        ("lines=0-9", None),
        ("bytes=0-1,3-4", None),
    ],
)
def test_one_range_is_read_and_what_is_none_is_ignored(header: str, wanted: tuple[int, int] | None) -> None:
    assert requested_range(header, 100) == wanted


@pytest.mark.parametrize("header", ["bytes={}x", "bytes=1{}x", "bytes={}-{}x", "bytes=1{}-1{}x"])
def test_very_many_blanks_take_no_time(header: str) -> None:
    began = time.perf_counter()
    assert requested_range(header.replace("{}", " " * 100_000), 100) is None
    assert time.perf_counter() - began < 1.0
